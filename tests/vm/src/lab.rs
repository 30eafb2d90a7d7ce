//! What a named test works with: cards, the network, boxes, and the host's tools for looking into
//! a card. One process, one namespace, one test.

pub mod card;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use update::claim::ClaimToken;

use crate::lan::Lan;
use crate::machine::{Between, Clock, Machine, Network};
use crate::owner::Owner;
use crate::pi::{Options, Pi};
use card::{copy_sparse, fresh};

/// A boot on a busy host, with the first making of DATA; the product's own figure is 5 s.
pub const BOOT_MAX: Duration = Duration::from_secs(240);
/// An address by DHCP, on a busy host.
pub const LEASE_MAX: Duration = Duration::from_secs(120);
/// An answer of a box that has said that it works.
pub const ANSWER_MAX: Duration = Duration::from_secs(120);
pub const POWER_OFF_MAX: Duration = Duration::from_secs(120);
/// init's own word that the product works.
pub const RUNNING: &str = "linnet-init: running";
/// The network child's word for its address: `The box has the address 10.0.0.2/24 on eth0.`
const ADDRESS: &str = "The box has the address ";

/// The folder of one test, and what all tests share.
#[derive(Debug, Clone)]
pub struct Lab {
    /// Made for this test; everything in it may go afterwards.
    pub folder: PathBuf,
    /// The image that is tested, as an imager takes it.
    pub image: PathBuf,
    /// A card that was started, claimed and switched off once, and what its owner knows.
    pub prepared: PathBuf,
}

/// What belongs to the prepared card.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    owner: Owner,
    token: String,
}

/// A box on the network.
#[derive(Debug)]
pub struct Station {
    pub pi: Pi,
    /// Its address, once it has said one.
    pub address: Option<Ipv4Addr>,
    said: Vec<String>,
}

impl Lab {
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A card as the imager leaves it, with a claim token.
    pub fn new_card(&self, name: &str) -> Result<(PathBuf, ClaimToken)> {
        let path = self.path(name);
        let token = fresh(&self.image, &path)?;
        Ok((path, token))
    }

    /// A copy of the card that has an owner and a message.
    pub fn owned_card(&self, name: &str) -> Result<(PathBuf, Owner)> {
        let path = self.path(name);
        copy_sparse(&self.prepared.join("card.img"), &path)?;
        Ok((path, self.kept()?.owner))
    }

    /// The token with which the prepared card was claimed, and which is spent.
    pub fn spent_token(&self) -> Result<ClaimToken> {
        let token = self.kept()?.token;
        ClaimToken::parse(&token).context("the prepared card's token")
    }

    fn kept(&self) -> Result<Kept> {
        let text = std::fs::read(self.prepared.join("kept.json"))?;
        serde_json::from_slice(&text).context("what belongs to the prepared card")
    }

    /// Leaves the card that others copy.
    pub fn keep_as_prepared(&self, card: &Path, owner: Owner, token: &ClaimToken) -> Result<()> {
        std::fs::create_dir_all(&self.prepared)?;
        std::fs::rename(card, self.prepared.join("card.img"))?;
        let kept = serde_json::to_vec(&Kept { owner, token: token.text() })?;
        Ok(std::fs::write(self.prepared.join("kept.json"), kept)?)
    }
}

/// How a box is to be started.
#[derive(Debug, Clone)]
pub struct Start {
    options: Options,
}

impl Start {
    /// On `virt`, with box `number` of the network at its cable.
    pub fn on(lan: &Lan, number: u8, card: &Path) -> Result<Self> {
        let network = Network::Tap(lan.tap(number)?);
        let echo = Some(format!("  {number}| "));
        Ok(Self { options: Options { network, echo, ..Options::new(Machine::Virt, card) } })
    }

    /// Without a cable to anything but QEMU itself, which answers DHCP.
    pub fn alone(card: &Path) -> Self {
        let echo = Some("  | ".to_owned());
        Self { options: Options { echo, ..Options::new(Machine::Virt, card) } }
    }

    /// On QEMU's Pi 4B, without a cable to anything but QEMU itself.
    pub fn on_pi(card: &Path) -> Self {
        let mut start = Self::alone(card);
        start.options.machine = Machine::Raspi4b;
        start
    }

    /// With a list of what QEMU's models were asked for and lack.
    #[must_use]
    pub fn listing_unimplemented(mut self, log: &Path) -> Self {
        self.options.unimplemented_log = Some(log.to_owned());
        self
    }

    #[must_use]
    pub fn between(mut self, between: Between) -> Self {
        self.options.between = between;
        self
    }

    /// Without a clock that outlives the plug, as on the Pi.
    #[must_use]
    pub fn without_clock(mut self) -> Self {
        self.options.clock = Clock::Unset;
        self
    }

    /// With more words for the kernel.
    #[must_use]
    pub fn words(mut self, words: &str) -> Self {
        self.options.cmdline = words.to_owned();
        self
    }

    /// Plugs the power in.
    pub fn power_on(&self) -> Result<Station> {
        Ok(Station { pi: Pi::power_on(self.options.clone())?, address: None, said: Vec::new() })
    }

    /// The same, and waits until the product works and has an address.
    pub fn boot(&self) -> Result<(Station, Ipv4Addr)> {
        let mut station = self.power_on()?;
        station.wait_for(RUNNING, BOOT_MAX)?;
        let address = station.wait_for_address()?;
        Ok((station, address))
    }
}

impl Station {
    /// Waits for words on the console; everything read until then is shown.
    pub fn wait_for(&mut self, words: &str, at_most: Duration) -> Result<String> {
        let deadline = Instant::now() + at_most;
        loop {
            let line = self.pi.next_line(deadline);
            match line.with_context(|| format!("waiting for \"{words}\""))? {
                Some(line) => {
                    self.note(&line.text);
                    if line.text.contains(words) {
                        return Ok(line.text);
                    }
                }
                None => bail!("the box switched itself off before \"{words}\""),
            }
        }
    }

    /// Waits until each of these words was in some line, in any order.
    pub fn wait_for_each(&mut self, words: &[&str], at_most: Duration) -> Result<()> {
        let deadline = Instant::now() + at_most;
        let mut left = words.to_vec();
        while !left.is_empty() {
            let line = self.pi.next_line(deadline).with_context(|| format!("waiting for {left:?}"));
            let line = line?.with_context(|| format!("the box ended before {left:?}"))?;
            self.note(&line.text);
            left.retain(|words| !line.text.contains(words));
        }
        Ok(())
    }

    /// The address that the box has said last, or the next one.
    pub fn wait_for_address(&mut self) -> Result<Ipv4Addr> {
        match self.address {
            Some(address) => Ok(address),
            None => self.wait_for_new_address(),
        }
    }

    /// The next address that the box says.
    pub fn wait_for_new_address(&mut self) -> Result<Ipv4Addr> {
        self.wait_for(ADDRESS, LEASE_MAX)?;
        self.address.context("the box says an address that is none")
    }

    pub fn power_off(self) -> Result<()> {
        self.pi.power_off(POWER_OFF_MAX)
    }

    /// Whether a line read so far has these words.
    pub fn has_said(&self, words: &str) -> bool {
        self.said.iter().any(|line| line.contains(words))
    }

    fn note(&mut self, line: &str) {
        self.said.push(line.to_owned());
        if let Some(address) = address_in(line) {
            self.address = Some(address);
        }
    }
}

fn address_in(line: &str) -> Option<Ipv4Addr> {
    let rest = line.split(ADDRESS).nth(1)?;
    rest.split('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_read_from_the_network_childs_sentence() {
        let line = "net: The box has the address 10.77.0.51/24 on eth0.";
        assert_eq!(address_in(line), Some(Ipv4Addr::new(10, 77, 0, 51)));
        assert_eq!(address_in("net: The box has the address of its house."), None);
        assert_eq!(address_in("running"), None);
    }
}
