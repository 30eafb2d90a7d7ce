//! A board without a battery-backed clock, and neighbours that know the time, lie, or keep silent.

use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};

use super::{Needs, Scenario};
use crate::lab::{ANSWER_MAX, Lab, Start};
use crate::lan::dhcp::{DhcpServer, Offer};
use crate::lan::sntp::{Says, TimeServer};
use crate::lan::{HOST, Lan};
use crate::owner::{Owner, wait_for_stranger};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "clock_at_1970_without_sntp",
        about: "a new box is claimed and chats, and says that its clock is not set",
        needs: Needs::Image,
        run: without,
    },
    Scenario {
        name: "clock_at_1970_with_sntp",
        about: "the time server that DHCP names sets the clock",
        needs: Needs::PreparedCard,
        run: with,
    },
    Scenario {
        name: "sntp_lies_by_60_years",
        about: "it is not believed, the floor stays, and the truth is taken when it comes",
        needs: Needs::PreparedCard,
        run: lies,
    },
];

const YEAR_S: i64 = 365 * 24 * 3600;
/// A good clock is no further off than this.
const NEAR_S: u64 = 10;
/// The box asks a server that it doesn't believe again after a while.
const ASKED_AGAIN_MAX: Duration = Duration::from_secs(300);
/// What is said of a server whose word is not taken.
const NOT_BELIEVED: &str = "is not believed";
/// What is said of the first one whose word is.
const FOLLOWS: &str = "The clock ";

fn without(lab: &Lab) -> Result<()> {
    let lan = Lan::build()?;
    let _server = DhcpServer::start(&lab.folder, &Offer::default())?;
    let (card, token) = lab.new_card("card.img")?;
    let (station, address) = Start::on(&lan, 1, &card)?.without_clock().boot()?;
    wait_for_stranger(address, ANSWER_MAX)?;
    let owner = Owner::claim(address, &token)?;
    owner.say(address, "what time is it?")?;
    let (set, _) = clock(&owner, address)?;
    ensure!(!set, "the clock is said to be set");
    station.power_off()
}

fn with(lab: &Lab) -> Result<()> {
    let lan = Lan::build()?;
    let times = TimeServer::start(HOST, Says::Truth)?;
    let _server = DhcpServer::start(&lab.folder, &named())?;
    let (card, owner) = lab.owned_card("card.img")?;
    let mut station = Start::on(&lan, 1, &card)?.without_clock().power_on()?;
    station.wait_for(FOLLOWS, ASKED_AGAIN_MAX)?;
    let address = station.wait_for_address()?;
    owner.wait_for_answer(address, ANSWER_MAX)?;
    let (set, time_s) = clock(&owner, address)?;
    ensure!(set && is_near(time_s), "set: {set}, {time_s} against {}", now_s());
    ensure!(times.asked() > 0, "nobody asked");
    station.power_off()
}

fn lies(lab: &Lab) -> Result<()> {
    let lan = Lan::build()?;
    let times = TimeServer::start(HOST, Says::Lie(60 * YEAR_S))?;
    let _server = DhcpServer::start(&lab.folder, &named())?;
    let (card, owner) = lab.owned_card("card.img")?;
    let start = Start::on(&lan, 1, &card)?.without_clock();
    for lie in [60 * YEAR_S, -60 * YEAR_S] {
        times.say(Says::Lie(lie));
        let mut station = start.power_on()?;
        station.wait_for(NOT_BELIEVED, ASKED_AGAIN_MAX)?;
        let address = station.wait_for_address()?;
        owner.wait_for_answer(address, ANSWER_MAX)?;
        let (set, time_s) = clock(&owner, address)?;
        ensure!(!set && time_s <= now_s() + NEAR_S, "set: {set}, {time_s} after a lie of {lie} s");
        station.power_off()?;
    }
    times.say(Says::Truth);
    let mut station = start.power_on()?;
    station.wait_for(FOLLOWS, ASKED_AGAIN_MAX)?;
    let address = station.wait_for_address()?;
    owner.wait_for_answer(address, ANSWER_MAX)?;
    let (set, time_s) = clock(&owner, address)?;
    ensure!(set && is_near(time_s), "set: {set}, {time_s} against {}", now_s());
    station.power_off()
}

/// DHCP that names the host's time server.
fn named() -> Offer {
    Offer { time_server: Some(HOST), ..Offer::default() }
}

/// Whether the box believes its clock, and what it shows in seconds since 1970.
fn clock(owner: &Owner, at: Ipv4Addr) -> Result<(bool, u64)> {
    let answer = owner.get(at, "/api/box")?;
    let set = answer["clock"]["set"].as_bool().context("no word about the clock")?;
    let time_ms = answer["clock"]["time_ms"].as_u64().context("no time")?;
    Ok((set, time_ms / 1000))
}

fn is_near(time_s: u64) -> bool {
    time_s.abs_diff(now_s()) <= NEAR_S
}

fn now_s() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    since_1970.expect("the host's clock is past 1970").as_secs()
}
