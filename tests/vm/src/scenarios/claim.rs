//! How a box gets its owner.

use anyhow::{Context, Result, ensure};
use image::card::partition;
use image::fat::{FatFile, replace_on_card};
use update::claim::ClaimToken;
use update::provision::FILE_NAME;

use super::{Needs, Scenario};
use crate::lab::card::{CARD_MIB, fresh};
use crate::lab::{ANSWER_MAX, BOOT_MAX, Lab, Start, Station};
use crate::lan::Lan;
use crate::lan::dhcp::{DhcpServer, Offer};
use crate::owner::{Owner, page, wait_for_stranger};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "claim_after_another_tool_flashed",
        about: "without a provisioning file the console shows a token, and it claims the box",
        needs: Needs::Image,
        run: other_tool,
    },
    Scenario {
        name: "factory_reset_and_claimed_again",
        about: "everything is erased, the old link is dead, the console's new token claims the box",
        needs: Needs::PreparedCard,
        run: factory_reset,
    },
    Scenario {
        name: "provisioning_file_is_nonsense",
        about: "what can't be used is said on the console, and the box comes up all the same",
        needs: Needs::Image,
        run: nonsense,
    },
];

/// What stands before the token on the console.
const TOKEN: &str = "claim token of this boot: ";

/// Makes the card that other tests copy: started for the first time, claimed, switched off.
pub fn prepare(lab: &Lab) -> Result<()> {
    let lan = Lan::build()?;
    let _server = DhcpServer::start(&lab.folder, &Offer::default())?;
    let (card, token) = lab.new_card("card.img")?;
    let (station, address) = Start::on(&lan, 1, &card)?.boot()?;
    wait_for_stranger(address, ANSWER_MAX)?;
    let owner = Owner::claim(address, &token)?;
    owner.say(address, "the first message")?;
    station.power_off()?;
    lab.keep_as_prepared(&card, owner, &token)
}

fn other_tool(lab: &Lab) -> Result<()> {
    let lan = Lan::build()?;
    let _server = DhcpServer::start(&lab.folder, &Offer::default())?;
    let card = lab.path("card.img");
    image::card::flash_to_file(&lab.image, &card, CARD_MIB)?;
    let mut station = Start::on(&lan, 1, &card)?.power_on()?;
    let token = token_on_console(&mut station)?;
    let address = station.wait_for_address()?;
    let facts = wait_for_stranger(address, ANSWER_MAX)?;
    ensure!(facts["claimed"] == false && facts["claimable"] == true, "{facts}");
    let owner = Owner::claim(address, &token)?;
    owner.say(address, "mine")?;
    let facts = owner.wait_for_answer(address, ANSWER_MAX)?;
    ensure!(facts["claimed"] == true, "{facts}");
    station.power_off()
}

/// The token for whoever stands in front of the box.
fn token_on_console(station: &mut Station) -> Result<ClaimToken> {
    let line = station.wait_for(TOKEN, BOOT_MAX)?;
    let text = line.split(TOKEN).nth(1).unwrap_or_default();
    ClaimToken::parse(text.trim()).with_context(|| format!("no token: {line}"))
}

fn factory_reset(lab: &Lab) -> Result<()> {
    let lan = Lan::build()?;
    let _server = DhcpServer::start(&lab.folder, &Offer::default())?;
    let (card, owner) = lab.owned_card("card.img")?;
    let (mut station, address) = Start::on(&lan, 1, &card)?.boot()?;
    owner.wait_for_answer(address, ANSWER_MAX)?;
    owner.factory_reset(address)?;
    station.wait_for("Factory reset: the data partition is being made anew", BOOT_MAX)?;
    let token = token_on_console(&mut station)?;
    ensure!(station.pi.starts() == 2, "it took {} starts", station.pi.starts());
    let address = station.wait_for_address()?;
    wait_for_stranger(address, ANSWER_MAX)?;
    ensure!(!owner.is_reachable(address, ANSWER_MAX), "the old certificate is still in use");
    ensure!(Owner::claim(address, &lab.spent_token()?).is_err(), "the old link still claims");
    let heir = Owner::claim(address, &token)?;
    heir.say(address, "a new beginning")?;
    ensure!(heir.texts(address)? == ["a new beginning"], "messages outlived the reset");
    station.power_off()
}

fn nonsense(lab: &Lab) -> Result<()> {
    let lan = Lan::build()?;
    let _server = DhcpServer::start(&lab.folder, &Offer::default())?;
    let card = lab.path("card.img");
    let token = fresh(&lab.image, &card)?;
    add_nonsense(&card)?;
    let mut station = Start::on(&lan, 1, &card)?.power_on()?;
    let wrong = ["`favourite_colour`", "`country`", "`timezone`", "`hostname`"];
    station.wait_for_each(&wrong, BOOT_MAX)?;
    let address = station.wait_for_address()?;
    wait_for_stranger(address, ANSWER_MAX)?;
    page(address)?;
    let owner = Owner::claim(address, &token)?;
    owner.say(address, "all the same")?;
    station.power_off()
}

/// Unknown keys and values of a wrong type after what makes the card claimable.
fn add_nonsense(card: &std::path::Path) -> Result<()> {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(card)?;
    let place = partition(&file, 1)?;
    let bytes = image::fat::read_on_card(&file, place, FILE_NAME, 64 << 10)?;
    let bytes = bytes.context("the card was just provisioned")?;
    let mut text = String::from_utf8(bytes)?;
    text += "favourite_colour = \"blue\"\ncountry = \"Atlantis\"\ntimezone = 7\n";
    text += "hostname = \"-not a name-\"\n";
    text += "[wifi]\nssid = \"nowhere\"\npassphrase = \"no radio hears this\"\n";
    replace_on_card(&file, place, &FatFile::new(FILE_NAME, text))
}
