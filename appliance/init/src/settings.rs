//! What the owner set on the box in use: `/data/settings.toml`, written by init alone, and what
//! follows from it and the provisioning file together. The file on DATA goes first, key by key; a
//! factory reset takes it along. Format: FILE below; the values are checked as the provisioning
//! file's are, because a card can be edited on a PC.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use update::control::{Setting, WifiChoice};
use update::provision::{
    Provisioning, Wifi, is_country, is_host_name, is_passphrase, is_ssid, is_time_zone,
};

use crate::limits::SETTINGS_BYTES_MAX;
use crate::smallfile;

/// Name of the file in the root folder of DATA.
const FILE: &str = "/data/settings.toml";

/// Where the names of time zones come from, where the image has them.
const ZONES: &str = "/usr/share/zoneinfo";

/// The content of the file. What is absent was not set here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Stored {
    hostname: Option<String>,
    timezone: Option<String>,
    country: Option<String>,
    /// The provisioning file's Wi-Fi network is not to be joined any more.
    wifi_forgotten: bool,
    wifi: Option<StoredWifi>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct StoredWifi {
    ssid: String,
    passphrase: Option<String>,
}

impl std::fmt::Debug for StoredWifi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredWifi").field("ssid", &self.ssid).finish_non_exhaustive()
    }
}

/// What holds: the owner's word on the box before the provisioning file's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Effective {
    /// Host name to announce, if one was chosen.
    pub(crate) host_name: Option<String>,
    /// Name in the tz database.
    pub(crate) time_zone: Option<String>,
    /// Country code for the radio's rules.
    pub(crate) country: Option<String>,
    /// Wi-Fi network to join.
    pub(crate) wifi: Option<Wifi>,
}

/// The owner's settings and where they are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    path: PathBuf,
    stored: Stored,
}

impl Settings {
    /// Reads the file of DATA. One that cannot be used is said and counts as empty.
    pub(crate) fn load() -> (Self, Option<String>) {
        Self::load_from(Path::new(FILE))
    }

    fn load_from(path: &Path) -> (Self, Option<String>) {
        let read = smallfile::read_bytes(path, SETTINGS_BYTES_MAX);
        let (stored, complaint) = match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => (Stored::default(), None),
            Err(error) => (Stored::default(), Some(error.to_string())),
            Ok(bytes) => parse(&bytes),
        };
        let complaint = complaint.map(|why| {
            format!("The settings of this box cannot be read ({why}); make them again.")
        });
        (Self { path: path.to_owned(), stored }, complaint)
    }

    /// What holds together with the provisioning file.
    pub(crate) fn over(&self, file: Option<&Provisioning>) -> Effective {
        let own = &self.stored;
        let wifi = own
            .wifi
            .as_ref()
            .map(|wifi| Wifi { ssid: wifi.ssid.clone(), passphrase: wifi.passphrase.clone() });
        let files = file.filter(|_| !own.wifi_forgotten).and_then(|file| file.wifi.clone());
        let either = |own: &Option<String>, theirs: fn(&Provisioning) -> &Option<String>| {
            own.clone().or_else(|| file.and_then(|file| theirs(file).clone()))
        };
        Effective {
            host_name: either(&own.hostname, |file| &file.host_name),
            time_zone: either(&own.timezone, |file| &file.time_zone),
            country: either(&own.country, |file| &file.country),
            wifi: wifi.or(files),
        }
    }

    /// Checks a setting and stores it. An error is a sentence for the owner, and nothing changed.
    pub(crate) fn set(&mut self, setting: Setting) -> Result<(), String> {
        let mut stored = self.stored.clone();
        match setting {
            Setting::HostName(name) if is_host_name(&name) => stored.hostname = Some(name),
            Setting::HostName(_) => {
                return Err("A name for the box has 1 to 63 of a-z, 0-9 and '-', \
                            and does not start or end with '-'."
                    .to_owned());
            }
            Setting::TimeZone(zone) => stored.timezone = Some(known_zone(zone)?),
            Setting::Wifi(None) => {
                stored.wifi = None;
                stored.wifi_forgotten = true;
            }
            Setting::Wifi(Some(choice)) => take_wifi(&mut stored, choice)?,
        }
        let text = toml::to_string(&stored).expect("strings and a flag are TOML");
        smallfile::replace_private(&self.path, text.as_bytes()).map_err(|error| {
            format!("The setting could not be stored: {error}. Look at the card's free space.")
        })?;
        self.stored = stored;
        Ok(())
    }
}

fn take_wifi(stored: &mut Stored, choice: WifiChoice) -> Result<(), String> {
    if !is_ssid(&choice.ssid) {
        return Err("The name of a Wi-Fi network has 1 to 32 bytes.".to_owned());
    }
    if choice.passphrase.as_deref().is_some_and(|text| !is_passphrase(text)) {
        return Err("A Wi-Fi passphrase has 8 to 63 plain characters.".to_owned());
    }
    if choice.country.as_deref().is_some_and(|code| !is_country(code)) {
        return Err("A country is two capital letters like DE.".to_owned());
    }
    stored.wifi = Some(StoredWifi { ssid: choice.ssid, passphrase: choice.passphrase });
    stored.wifi_forgotten = false;
    stored.country = choice.country.or(stored.country.take());
    Ok(())
}

/// A zone that can be one, and that the image knows where it has a list.
fn known_zone(zone: String) -> Result<String, String> {
    let has_list = Path::new(ZONES).is_dir();
    if is_time_zone(&zone) && (!has_list || Path::new(ZONES).join(&zone).is_file()) {
        return Ok(zone);
    }
    Err("This time zone is unknown; it is named like Europe/Berlin.".to_owned())
}

/// The usable part; a sentence says that there was more.
fn parse(bytes: &[u8]) -> (Stored, Option<String>) {
    let read = std::str::from_utf8(bytes).map_err(|_| "it is not text".to_owned());
    let read = read.and_then(|text| {
        toml::from_str::<Stored>(text).map_err(|error| error.message().to_owned())
    });
    let mut stored = match read {
        Ok(stored) => stored,
        Err(why) => return (Stored::default(), Some(why)),
    };
    let whole = stored.clone();
    stored.hostname = stored.hostname.filter(|name| is_host_name(name));
    stored.timezone = stored.timezone.filter(|zone| is_time_zone(zone));
    stored.country = stored.country.filter(|code| is_country(code));
    let joins = |wifi: &StoredWifi| {
        is_ssid(&wifi.ssid) && wifi.passphrase.as_deref().is_none_or(is_passphrase)
    };
    stored.wifi = stored.wifi.filter(joins);
    let complaint = (stored != whole).then(|| "a value is not usable".to_owned());
    (stored, complaint)
}

#[cfg(test)]
mod tests;
