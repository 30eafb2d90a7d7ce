//! The system below the server, as its owner sees it: what init reports and what may be asked of
//! it. A closed list: what is not named here can't be asked from the network.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How board and system are. None is what nobody could tell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ApplianceReport {
    /// Name that is announced in the network, without `.local`.
    pub host_name: String,
    /// Interface in use.
    pub interface: Option<String>,
    /// Addresses of the box, as text.
    pub addresses: Vec<String>,
    /// Milliseconds since the kernel started.
    pub uptime_ms: u64,
    /// How often the server was started since then.
    pub starts: u32,
    /// Board, kernel and release.
    pub board: String,
    /// Release of the kernel.
    pub kernel: String,
    /// Release of the image.
    pub release: String,
    /// `A` or `B`.
    pub slot: Option<String>,
    /// The clock.
    pub clock: ClockReport,
    /// Sentences for the owner: about the provisioning file, the last end, power, heat, card.
    pub notes: Vec<String>,
}

/// The clock of a board that may have none of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClockReport {
    /// False while the time is only a floor.
    pub set: bool,
    /// The box's time, in milliseconds since 1970.
    pub time_ms: u64,
    /// Who set it, for example `SNTP` with the server's name.
    pub source: Option<String>,
}

/// What an owner may have done to the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Milliseconds since 1970, from the owner's own clock.
    SetTime(u64),
    /// 1 to 63 of `a-z`, `0-9`, `-`; checked by init.
    SetHostName(String),
    /// Name in the tz database; checked by init.
    SetTimeZone(String),
    /// None forgets the network.
    SetWifi(Option<Wifi>),
    /// Orderly.
    Restart,
    /// Orderly.
    PowerOff,
    /// Everything that people made is erased; only after a fresh proof of the owner's.
    FactoryReset,
}

/// A Wi-Fi network to join.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wifi {
    /// Name of the network.
    pub ssid: String,
    /// None for an open network.
    pub passphrase: Option<String>,
    /// ISO 3166 code of the country whose radio rules hold; none keeps the one that is set.
    pub country: Option<String>,
}

impl fmt::Debug for Wifi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wifi").field("ssid", &self.ssid).finish_non_exhaustive()
    }
}
