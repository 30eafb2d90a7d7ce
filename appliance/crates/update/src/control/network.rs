//! What init and its `net` child say to each other, and what of it travels on to `linnetd`. The
//! settings go down as one file; reports come up as frames on the child's standard output.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::provision::{FixedAddress, Wifi};

/// What the `net` child shall do, from the provisioning file and the owner's settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetSettings {
    /// Host name to announce; on the cable a number may be added.
    pub host_name: String,
    /// Country code for the radio's rules.
    pub country: Option<String>,
    /// Wi-Fi network to join.
    pub wifi: Option<Wifi>,
    /// An address instead of the router's choice.
    pub fixed_address: Option<FixedAddress>,
    /// Time servers of the owner's choice.
    pub time_servers: Vec<String>,
    /// When this release was built, in seconds since 1970: no answer before it is true. 0 if
    /// unknown, and then no time is taken from the network.
    pub build_s: u64,
}

/// A report of the `net` child.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromNet {
    /// The network, whenever something about it changed.
    Network(Network),
    /// The clock was set, or checked and right.
    Clock(ClockReport),
}

/// The network as the `net` child reported it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Name of the interface in use.
    pub interface: Option<String>,
    /// What it is.
    pub kind: Option<LinkKind>,
    /// Whether a cable or access point is there.
    pub link: bool,
    /// Address and prefix length.
    pub address: Option<(Ipv4Addr, u8)>,
    /// Addresses of the newer protocol, the global ones first; at most a few.
    pub addresses_v6: Vec<Ipv6Addr>,
    /// The name that was announced and is nobody else's, without `.local`.
    pub announced: Option<String>,
    /// What became of the Wi-Fi network, where one is set.
    pub wifi: Option<WifiState>,
    /// Sentences about what the owner has to correct.
    pub complaints: Vec<String>,
}

/// What an interface is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LinkKind {
    /// A cable.
    Ethernet,
    /// A radio.
    Wifi,
}

/// How far joining a Wi-Fi network came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WifiState {
    /// This box has no radio, or its program cannot run.
    Unavailable,
    /// Looking for the network.
    Searching,
    /// It is not in reach, or not on the channels of the country.
    NotFound,
    /// The access point did not accept the passphrase.
    WrongPassphrase,
    /// The access point was found and does not let the box in for another reason.
    Refused,
    /// Joined.
    Joined,
}

/// The clock after a look at a better one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockReport {
    /// Where the time came from.
    pub source: ClockSource,
    /// What the clock said before, in seconds since 1970.
    pub old_s: u64,
    /// What it says now.
    pub new_s: u64,
}

/// Where a time came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClockSource {
    /// The clock with a battery.
    Battery,
    /// A time server, by the name that was asked.
    Server(String),
    /// The owner's browser or command line.
    Owner,
}

impl ClockReport {
    /// How far the clock moved, in seconds.
    pub fn jump_s(&self) -> u64 {
        self.new_s.abs_diff(self.old_s)
    }
}

impl fmt::Display for ClockSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Battery => f.write_str("the battery-backed clock"),
            Self::Server(name) => write!(f, "the time server {name}"),
            Self::Owner => f.write_str("the owner's device"),
        }
    }
}
