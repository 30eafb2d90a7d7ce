//! The provisioning file `linnet.toml` on p1, written by whoever flashes it (crate `image`),
//! read by `linnet-init` at every boot. Anyone can edit it on a PC, so it is hostile input:
//! bounded, and a wrong optional value or an unknown key is a complaint that the box shows while it
//! comes up with the rest.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::claim::{ProvisioningId, TokenHash};
use crate::limits::{
    HOST_NAME_BYTES_MAX, PASSPHRASE_CHARS, PROVISION_BYTES_MAX, SSID_BYTES_MAX, TIME_SERVERS_MAX,
    TIME_ZONE_BYTES_MAX,
};

mod network;
mod reader;

pub use network::{FixedAddress, is_host_address, is_server, is_server_and_port};
use reader::Reader;

/// Name of the file in the root folder of p1.
pub const FILE_NAME: &str = "linnet.toml";

/// The only version of the file so far.
pub const VERSION: i64 = 1;

/// Content of the provisioning file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provisioning {
    /// Names this provisioning; a claimed one is spent for ever.
    pub id: ProvisioningId,
    /// Hash of the claim token. The token itself is never on the card.
    pub claim_token_hash: TokenHash,
    /// Host name to announce instead of `linnet`.
    pub host_name: Option<String>,
    /// ISO 3166 country code for the radio's rules.
    pub country: Option<String>,
    /// Name in the tz database.
    pub time_zone: Option<String>,
    /// Wi-Fi network to join.
    pub wifi: Option<Wifi>,
    /// An address instead of the router's choice.
    pub fixed_address: Option<FixedAddress>,
    /// Whom to ask for the time first, at most `TIME_SERVERS_MAX`: names or addresses.
    pub time_servers: Vec<String>,
    /// Where a copy of the log goes, as `host:port`.
    pub syslog: Option<String>,
    /// Wish for a factory reset; carried out once per id.
    pub factory_reset: Option<ProvisioningId>,
}

/// One Wi-Fi network.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wifi {
    /// Network name.
    pub ssid: String,
    /// WPA passphrase; `None` for an open network.
    pub passphrase: Option<String>,
}

impl fmt::Debug for Wifi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wifi").field("ssid", &self.ssid).finish_non_exhaustive()
    }
}

/// A file that was understood, with what had to be left out of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// The usable part.
    pub provisioning: Provisioning,
    /// Sentences for the console and the setup page.
    pub complaints: Vec<ProvisionError>,
}

/// Why the file, or one key of it, was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProvisionError {
    /// More than [`PROVISION_BYTES_MAX`].
    #[error("{FILE_NAME} has {bytes} bytes, at most {PROVISION_BYTES_MAX} are read; flash it anew")]
    TooLong {
        /// Size of the file.
        bytes: usize,
    },
    /// Not UTF-8 text.
    #[error("{FILE_NAME} is not UTF-8 text; save it as plain text or flash it anew")]
    NotText,
    /// Not TOML.
    #[error("{FILE_NAME} is not valid TOML in line {line}: {reason}")]
    NotToml {
        /// Line that the parser stopped at, from 1.
        line: usize,
        /// The parser's words.
        reason: String,
    },
    /// A later format.
    #[error("{FILE_NAME} has version {found}, this release reads version {VERSION}")]
    Version {
        /// What the file says.
        found: i64,
    },
    /// A key that must be there is not.
    #[error("{FILE_NAME} lacks the key `{key}`; flash it anew")]
    Missing {
        /// Name of the key.
        key: &'static str,
    },
    /// A key has a value that cannot be used.
    #[error("{FILE_NAME}: the value of `{key}` is not usable, it must be {expected}")]
    Value {
        /// Name of the key.
        key: &'static str,
        /// What would be right.
        expected: &'static str,
    },
    /// A key that this release does not know; the others are used.
    #[error("{FILE_NAME}: the key `{key}` is unknown and was ignored; check its spelling")]
    UnknownKey {
        /// The key as it stands in the file.
        key: String,
    },
}

impl Provisioning {
    /// The text of the file.
    pub fn render(&self) -> String {
        let file = File {
            version: VERSION,
            provisioning_id: self.id.to_string(),
            claim_token_sha256: self.claim_token_hash.to_string(),
            hostname: self.host_name.as_deref(),
            country: self.country.as_deref(),
            timezone: self.time_zone.as_deref(),
            ntp_servers: &self.time_servers,
            syslog: self.syslog.as_deref(),
            factory_reset: self.factory_reset.map(|id| id.to_string()),
            wifi: self.wifi.as_ref().map(WifiTable::from),
            network: self.fixed_address.as_ref().map(network::Table::from),
        };
        let body = toml::to_string(&file).expect("strings, an integer, lists and tables are TOML");
        format!(
            "# Linnet reads this file at every boot. It holds no secret of the claim link.\n{body}"
        )
    }
}

/// Reads the file's bytes.
///
/// # Errors
/// [`ProvisionError`] when the file as a whole, its version, id or token hash cannot be used.
pub fn parse(bytes: &[u8]) -> Result<Parsed, ProvisionError> {
    if bytes.len() > PROVISION_BYTES_MAX {
        return Err(ProvisionError::TooLong { bytes: bytes.len() });
    }
    let text = core::str::from_utf8(bytes).map_err(|_| ProvisionError::NotText)?;
    // Editors on Windows put a byte order mark in front; TOML has no place for it.
    let text = text.trim_start_matches('\u{feff}');
    let table = text.parse().map_err(|error| not_toml(text, &error))?;
    Reader::new(table).read()
}

#[derive(Serialize)]
struct File<'a> {
    version: i64,
    provisioning_id: String,
    claim_token_sha256: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hostname: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    country: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timezone: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    ntp_servers: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    syslog: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    factory_reset: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wifi: Option<WifiTable<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<network::Table>,
}

/// Absent keys are left out here only: the control protocol has a place for every value.
#[derive(Serialize)]
struct WifiTable<'a> {
    ssid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    passphrase: Option<&'a str>,
}

impl<'a> From<&'a Wifi> for WifiTable<'a> {
    fn from(wifi: &'a Wifi) -> Self {
        Self { ssid: &wifi.ssid, passphrase: wifi.passphrase.as_deref() }
    }
}

fn not_toml(text: &str, error: &toml::de::Error) -> ProvisionError {
    let at = error.span().map_or(0, |span| span.start);
    let line = text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
    ProvisionError::NotToml { line, reason: error.message().to_owned() }
}

/// Whether `text` is one DNS label in lower case.
pub fn is_host_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=HOST_NAME_BYTES_MAX).contains(&text.len())
        && text.bytes().all(fits)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Whether `text` is a country code: two capital letters.
pub fn is_country(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// Whether `text` may be a time zone: only what can name a file below /usr/share/zoneinfo.
pub fn is_time_zone(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-/".contains(&byte);
    (1..=TIME_ZONE_BYTES_MAX).contains(&text.len())
        && text.bytes().all(fits)
        && text.split('/').all(|part| !part.is_empty())
}

/// Whether `text` may name a Wi-Fi network.
pub fn is_ssid(text: &str) -> bool {
    (1..=SSID_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// Whether `text` may be a WPA passphrase.
pub fn is_passphrase(text: &str) -> bool {
    PASSPHRASE_CHARS.contains(&text.len()) && text.bytes().all(|b| (b' '..=b'~').contains(&b))
}

#[cfg(test)]
mod tests;
