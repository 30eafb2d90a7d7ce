//! Cables, DHCP servers and addresses that come and go under a running box.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Needs, Scenario};
use crate::lab::{ANSWER_MAX, LEASE_MAX, Lab, Start};
use crate::lan::dhcp::{DhcpServer, Offer, wait_for_unanswered_request};
use crate::lan::mdns::Neighbour;
use crate::lan::{Lan, OTHER_HOST};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "cable_pulled_and_returned",
        about: "the address is kept and the page answers again",
        needs: Needs::PreparedCard,
        run: cable,
    },
    Scenario {
        name: "dhcp_server_gone_and_back",
        about: "the lease is kept while it is good, and renewed afterwards",
        needs: Needs::PreparedCard,
        run: server_gone,
    },
    Scenario {
        name: "address_change",
        about: "page and name follow to the new address; nothing answers at the old one",
        needs: Needs::PreparedCard,
        run: address_change,
    },
];

/// The name of a box whose card gives it none.
const NAME: &str = "linnet.local";
/// A box that should not be reachable is tried for so long.
const GONE: Duration = Duration::from_secs(5);

/// Short, so that a test sees the box ask again: its server after 10 s, any server after 20 s, and
/// then once a minute at most (RFC 2131, 4.4.5). dnsmasq gives none below two minutes.
fn short_lease() -> Offer {
    let seconds = Duration::from_secs;
    Offer { lease: seconds(120), renew: Some((seconds(10), seconds(20))), ..Offer::default() }
}

fn cable(lab: &Lab) -> Result<()> {
    let lan = Lan::build()?;
    let mut server = DhcpServer::start(&lab.folder, &Offer::default())?;
    let (card, owner) = lab.owned_card("card.img")?;
    let (mut station, address) = Start::on(&lan, 1, &card)?.boot()?;
    owner.say(address, "before")?;
    server.wait_for("DHCPACK", LEASE_MAX)?;
    station.pi.monitor().set_link(false)?;
    station.wait_for("The network is disconnected", ANSWER_MAX)?;
    ensure!(!owner.is_reachable(address, GONE), "a box without cable answers");
    station.pi.monitor().set_link(true)?;
    server.wait_for("DHCPACK", LEASE_MAX)?;
    owner.wait_for_answer(address, ANSWER_MAX)?;
    owner.say(address, "after")?;
    let texts = owner.texts(address)?;
    ensure!(texts.ends_with(&["before".to_owned(), "after".to_owned()]), "{texts:?}");
    ensure!(station.address == Some(address), "the address changed");
    station.power_off()
}

fn server_gone(lab: &Lab) -> Result<()> {
    let lan = Lan::build()?;
    let mut server = DhcpServer::start(&lab.folder, &short_lease())?;
    let (card, owner) = lab.owned_card("card.img")?;
    let (station, address) = Start::on(&lan, 1, &card)?.boot()?;
    server.wait_for("DHCPACK", LEASE_MAX)?;
    server.wait_for("DHCPACK", LEASE_MAX)?; // the first renewal
    owner.say(address, "with a server")?; // by now the server has sent what it logged
    server.stop();
    wait_for_unanswered_request(LEASE_MAX)?;
    wait_for_unanswered_request(LEASE_MAX)?;
    owner.say(address, "without a server")?;
    let mut server = DhcpServer::start(&lab.folder, &short_lease())?;
    let line = server.wait_for("DHCPACK", LEASE_MAX)?;
    ensure!(line.contains(&address.to_string()), "another address: {line}");
    owner.say(address, "with a server again")?;
    ensure!(station.address == Some(address), "the address changed");
    station.power_off()
}

fn address_change(lab: &Lab) -> Result<()> {
    let lan = Lan::build()?;
    let server = DhcpServer::start(&lab.folder, &short_lease())?;
    let (card, owner) = lab.owned_card("card.img")?;
    let (mut station, old) = Start::on(&lan, 1, &card)?.boot()?;
    owner.wait_for_answer(old, ANSWER_MAX)?;
    let neighbour = Neighbour::join()?;
    ensure!(neighbour.resolve(NAME, ANSWER_MAX)? == [old], "the name leads elsewhere");
    server.stop();
    let other = lab.path("other-router");
    std::fs::create_dir(&other)?;
    let _server = DhcpServer::start(&other, &Offer { host: OTHER_HOST, ..short_lease() })?;
    let new = station.wait_for_new_address()?;
    ensure!(new.octets()[..3] == OTHER_HOST.octets()[..3], "{new} is not of the new network");
    owner.wait_for_answer(new, ANSWER_MAX)?;
    owner.say(new, "at the new address")?;
    ensure!(!owner.is_reachable(old, GONE), "the old address still answers");
    neighbour.wait_until_resolved(NAME, new, ANSWER_MAX)?;
    station.power_off()
}
