//! A network of our own for named tests: a bridge inside a network namespace that holds nothing
//! else, with one tap for each box and real peers on the host's side. So a test decides what the
//! box meets: which DHCP server, which time, which neighbours.

pub mod dhcp;
pub mod mdns;
pub mod sntp;

use std::net::Ipv4Addr;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::machine::Tap;

pub(crate) const BRIDGE: &str = "lan0";
/// The host's own address: DHCP server, router and time server of the boxes.
pub const HOST: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// A second network on the same cable, for a change of addresses.
pub const OTHER_HOST: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 1);
const PREFIX: u8 = 24;

/// The bridge. It goes with the namespace, which goes with its last process.
#[derive(Debug)]
pub struct Lan(());

impl Lan {
    /// Builds the bridge. Refuses to touch a namespace that is not fresh: the machine's own
    /// network is none of a test's business.
    pub fn build() -> Result<Self> {
        let devices = std::fs::read_to_string("/proc/self/net/dev")?;
        ensure!(
            is_fresh(&devices),
            "the tests of the emulated network need a namespace of their own"
        );
        ip(&["link", "set", "lo", "up"])?;
        // Frames pass at once, and multicast is not filtered: nobody here asks for groups.
        let bridge = ["forward_delay", "0", "stp_state", "0", "mcast_snooping", "0"];
        ip(&[&["link", "add", BRIDGE, "type", "bridge"][..], &bridge].concat())?;
        for host in [HOST, OTHER_HOST] {
            ip(&["address", "add", &format!("{host}/{PREFIX}"), "dev", BRIDGE])?;
        }
        ip(&["link", "set", BRIDGE, "up"])?;
        ip(&["route", "add", "224.0.0.0/4", "dev", BRIDGE])?;
        Ok(Self(()))
    }

    /// A free socket of the bridge for box `number`, whose hardware address follows from it.
    pub fn tap(&self, number: u8) -> Result<Tap> {
        let name = format!("box{number}");
        ip(&["tuntap", "add", &name, "mode", "tap"])?;
        ip(&["link", "set", &name, "master", BRIDGE, "up"])?;
        Ok(Tap { name, hardware: [0x52, 0x54, 0, 0x77, 0, number] })
    }
}

/// Only loopback: `/proc/net/dev` has two lines of heading and then one for each interface.
fn is_fresh(devices: &str) -> bool {
    let mut names = devices.lines().skip(2).filter_map(|line| line.split(':').next());
    names.all(|name| name.trim() == "lo")
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("/sbin/ip")
        .args(arguments)
        .output()
        .context("ip is missing; install the package iproute2")?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        bail!("ip {}: {}", arguments.join(" "), reason.trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_namespace_with_nothing_but_loopback_is_touched() {
        let head = "Inter-|   Receive\n face |bytes    packets\n";
        assert!(is_fresh(&format!("{head}    lo:       0       0\n")));
        assert!(!is_fresh(&format!("{head}    lo: 0 0\n  eth0: 12 3\n")));
    }
}
