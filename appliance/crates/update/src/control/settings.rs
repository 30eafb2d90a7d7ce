//! Settings that an owner may change on a box in use. init checks each, stores it in a file of its
//! own on DATA, where it goes before the provisioning file, and lets it take effect.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A setting, and what it shall be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Setting {
    /// Host name to announce: one DNS label in lower case.
    HostName(String),
    /// Name in the tz database.
    TimeZone(String),
    /// The Wi-Fi network to join; none forgets the one that is set.
    Wifi(Option<WifiChoice>),
}

/// A Wi-Fi network to join.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WifiChoice {
    /// Name of the network.
    pub ssid: String,
    /// WPA passphrase; none for an open network.
    pub passphrase: Option<String>,
    /// ISO 3166 country code for the radio's rules; none keeps the one that is set.
    pub country: Option<String>,
}

impl fmt::Debug for WifiChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WifiChoice").field("ssid", &self.ssid).finish_non_exhaustive()
    }
}
