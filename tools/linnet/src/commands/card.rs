//! What an owner can say about a card before it boots: options of `flash` and `provision`, and the
//! claim link that both end with. Secrets come from a file, the environment or the keyboard, never
//! from the arguments, which every user of this computer can read.

use std::fs;
use std::io::IsTerminal;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;
use update::claim::ClaimToken;
use update::limits::PASSPHRASE_CHARS;
use update::provision::{FixedAddress, Provisioning, Wifi};

use super::{ask, print};

/// Where a script puts the passphrase.
const PASSPHRASE_VARIABLE: &str = "LINNET_WIFI_PASSPHRASE";
/// Name of a box that was given none.
const HOST_NAME: &str = "linnet";

#[derive(Args)]
pub(crate) struct Settings {
    /// Name of the box in its network; it answers as NAME.local.
    #[arg(long, value_name = "NAME")]
    host_name: Option<String>,
    /// Wi-Fi network to join when there is no cable. Its passphrase comes from
    /// --wifi-passphrase-file, from LINNET_WIFI_PASSPHRASE or from the keyboard.
    #[arg(long, value_name = "NAME")]
    wifi_ssid: Option<String>,
    /// File whose first line is the passphrase.
    #[arg(long, value_name = "FILE", requires = "wifi_ssid", conflicts_with = "wifi_open")]
    wifi_passphrase_file: Option<PathBuf>,
    /// The network has no passphrase.
    #[arg(long, requires = "wifi_ssid")]
    wifi_open: bool,
    /// Country for the radio's rules, like KE.
    #[arg(long, value_name = "CODE")]
    country: Option<String>,
    /// Time zone, like Africa/Nairobi.
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    /// Fixed address with the length of its network's prefix, like 192.168.1.20/24.
    #[arg(long, value_name = "ADDRESS/PREFIX")]
    address: Option<String>,
    /// The way to other networks, with --address.
    #[arg(long, value_name = "ADDRESS", requires = "address")]
    router: Option<Ipv4Addr>,
    /// Who resolves names, with --address; may be given several times.
    #[arg(long = "name-server", value_name = "ADDRESS", requires = "address")]
    name_servers: Vec<Ipv4Addr>,
    /// Whom to ask for the time first; may be given several times.
    #[arg(long = "ntp-server", value_name = "NAME")]
    ntp_servers: Vec<String>,
    /// Where a copy of the log goes.
    #[arg(long = "syslog", value_name = "HOST:PORT")]
    syslog: Option<String>,
}

impl Settings {
    /// Puts what was given in the place of what was there.
    pub(crate) fn apply(self, to: Provisioning) -> Result<Provisioning> {
        let fixed_address = self.fixed_address()?.or(to.fixed_address);
        let wifi = self.wifi()?.or(to.wifi);
        let time_servers =
            if self.ntp_servers.is_empty() { to.time_servers } else { self.ntp_servers };
        Ok(Provisioning {
            host_name: self.host_name.or(to.host_name),
            country: self.country.or(to.country),
            time_zone: self.timezone.or(to.time_zone),
            syslog: self.syslog.or(to.syslog),
            wifi,
            fixed_address,
            time_servers,
            ..to
        })
    }

    fn fixed_address(&self) -> Result<Option<FixedAddress>> {
        let Some(text) = &self.address else { return Ok(None) };
        let parts = text
            .split_once('/')
            .and_then(|(address, prefix)| Some((address.parse().ok()?, prefix.parse().ok()?)));
        let Some((address, prefix)) = parts else {
            bail!("--address looks like 192.168.1.20/24");
        };
        let (router, name_servers) = (self.router, self.name_servers.clone());
        Ok(Some(FixedAddress { address, prefix, router, name_servers }))
    }

    fn wifi(&self) -> Result<Option<Wifi>> {
        let Some(ssid) = self.wifi_ssid.clone() else { return Ok(None) };
        let passphrase = match (&self.wifi_passphrase_file, self.wifi_open) {
            (_, true) => None,
            (Some(file), _) => Some(first_line(file)?),
            (None, _) => Some(passphrase_of_person(&ssid)?),
        };
        Ok(Some(Wifi { ssid, passphrase }))
    }
}

fn first_line(file: &Path) -> Result<String> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let line = text.lines().next().unwrap_or_default();
    if !PASSPHRASE_CHARS.contains(&line.len()) {
        bail!("the first line of {} is no passphrase of 8 to 63 characters", file.display());
    }
    Ok(line.to_owned())
}

fn passphrase_of_person(ssid: &str) -> Result<String> {
    match std::env::var(PASSPHRASE_VARIABLE) {
        Ok(passphrase) => Ok(passphrase),
        Err(_) => ask::hidden(&format!("Passphrase of the Wi-Fi network {}: ", print::plain(ssid)))
            .context("or use --wifi-passphrase-file, --wifi-open or LINNET_WIFI_PASSPHRASE"),
    }
}

/// What both verbs end with. The token is shown here and stored nowhere.
#[derive(Serialize)]
pub(crate) struct Outcome {
    pub(crate) file: PathBuf,
    pub(crate) card_bytes: u64,
    claim_link: String,
    /// The same by its fixed address, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    claim_link_by_address: Option<String>,
}

impl Outcome {
    pub(crate) fn new(
        file: &Path,
        card_bytes: u64,
        provisioning: &Provisioning,
        token: &ClaimToken,
    ) -> Self {
        let name = provisioning.host_name.as_deref().unwrap_or(HOST_NAME);
        let fixed = provisioning.fixed_address.as_ref();
        Self {
            file: file.to_owned(),
            card_bytes,
            claim_link: token.link(&format!("{name}.local")),
            claim_link_by_address: fixed.map(|fixed| token.link(&fixed.address.to_string())),
        }
    }

    /// For a person, with a code for the telephone's camera when this is a screen.
    pub(crate) fn show(&self) -> Result<()> {
        print::line("Whoever opens this link first owns the box. It is shown only now:\n")?;
        print::line(&format!("  {}", self.claim_link))?;
        if let Some(link) = &self.claim_link_by_address {
            print::line(&format!("  {link}"))?;
        }
        print::line("")?;
        let best = self.claim_link_by_address.as_ref().unwrap_or(&self.claim_link);
        if std::io::stdout().is_terminal() {
            update::qr::lines(best)
                .unwrap_or_default()
                .iter()
                .try_for_each(|it| print::line(it))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Words {
        #[command(flatten)]
        settings: Settings,
    }

    fn apply(words: &str, to: Provisioning) -> Result<Provisioning> {
        let words = ["x"].into_iter().chain(words.split_whitespace());
        Words::try_parse_from(words)?.settings.apply(to)
    }

    fn blank() -> Provisioning {
        image::provision::mint().unwrap().provisioning
    }

    #[test]
    fn every_option_arrives_and_what_was_not_given_stays() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "eight or more\n").unwrap();
        let words = format!(
            "--host-name cellar --country KE --timezone Africa/Nairobi --ntp-server a.example \
             --ntp-server 10.0.0.9 --syslog logs:514 --address 10.0.0.5/24 --router 10.0.0.1 \
             --name-server 10.0.0.2 --name-server 10.0.0.3 --wifi-ssid net \
             --wifi-passphrase-file {}",
            file.path().display()
        );
        let full = apply(&words, blank()).unwrap();
        image::provision::check(&full).unwrap();
        assert_eq!(full.wifi.as_ref().unwrap().passphrase.as_deref(), Some("eight or more"));
        assert_eq!(full.fixed_address.as_ref().unwrap().name_servers.len(), 2);
        assert_eq!(apply("", full.clone()).unwrap(), full);
        let moved = apply("--address 10.0.1.5/16 --wifi-ssid open --wifi-open", full.clone());
        let moved = moved.unwrap();
        assert_eq!(moved.fixed_address.unwrap().router, None, "an address replaces all of it");
        assert_eq!(moved.wifi.unwrap().passphrase, None);
        assert_eq!((moved.host_name, moved.syslog), (full.host_name, full.syslog));
    }

    #[test]
    fn what_can_not_be_meant_is_refused() {
        for words in [
            "--address 10.0.0.1",
            "--address x/24",
            "--router 10.0.0.1",
            "--wifi-open",
            "--wifi-ssid a --wifi-open --wifi-passphrase-file x",
            "--wifi-ssid a --wifi-passphrase-file /nonexistent",
        ] {
            assert!(apply(words, blank()).is_err(), "{words}");
        }
    }

    #[test]
    fn the_link_names_the_box_and_its_fixed_address() {
        let token = ClaimToken::from_random([1; 16]);
        let plain = Outcome::new(Path::new("c"), 1, &blank(), &token);
        assert!(plain.claim_link.starts_with("https://linnet.local/#claim="));
        assert_eq!(plain.claim_link_by_address, None);
        let fixed = apply("--host-name b --address 10.0.0.5/24", blank()).unwrap();
        let fixed = Outcome::new(Path::new("c"), 1, &fixed, &token);
        assert!(fixed.claim_link.starts_with("https://b.local/#claim="));
        let link = fixed.claim_link_by_address.unwrap();
        assert!(link.starts_with("https://10.0.0.5/#claim="));
    }
}
