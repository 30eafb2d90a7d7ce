//! `linnet box …`: the system below the chat: how it is, clock, settings, restart, factory reset.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use linnet::client::Http;
use linnet::profile::Profile;
use serde::{Deserialize, Serialize};
use serde_json::json;
use wire::ids::TimeMs;

use super::{ask, print};

#[derive(Args)]
pub(crate) struct System {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Say how board and system are.
    Show {
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Give the box this computer's time.
    SetTime,
    /// Change how the box is called and which Wi-Fi it joins.
    Set(Settings),
    /// Restart the box in order.
    Restart,
    /// Switch the box off in order; unplug it when its LED is dark.
    PowerOff,
    /// Erase everything that people made on the box; its claim link comes anew on its screen.
    FactoryReset(FactoryReset),
}

#[derive(Args)]
struct Settings {
    /// Name in the network: 1 to 63 of a-z, 0-9, `-`.
    #[arg(long)]
    host_name: Option<String>,
    /// Such as Europe/Berlin.
    #[arg(long = "timezone", value_name = "ZONE")]
    time_zone: Option<String>,
    /// Wi-Fi network to join; the passphrase is asked for.
    #[arg(long = "wifi-ssid", value_name = "NAME")]
    wifi: Option<String>,
    /// Country whose radio rules hold, such as DE.
    #[arg(long, requires = "wifi")]
    country: Option<String>,
    /// The network has no passphrase.
    #[arg(long = "wifi-open", requires = "wifi")]
    open: bool,
    /// Read the passphrase from stdin instead of asking.
    #[arg(long, requires = "wifi")]
    passphrase_stdin: bool,
    /// Leave the Wi-Fi network.
    #[arg(long, conflicts_with = "wifi")]
    forget_wifi: bool,
}

#[derive(Args)]
struct FactoryReset {
    /// Do not ask whether this is meant.
    #[arg(long)]
    yes: bool,
    /// Read the owner's password from stdin instead of asking.
    #[arg(long)]
    password_stdin: bool,
}

#[derive(Serialize)]
struct SettingsBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    host_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_zone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wifi: Option<WifiBody>,
    forget_wifi: bool,
}

#[derive(Serialize)]
struct WifiBody {
    ssid: String,
    passphrase: Option<String>,
    country: Option<String>,
}

#[derive(Deserialize, Serialize)]
struct Report {
    host_name: String,
    interface: Option<String>,
    addresses: Vec<String>,
    uptime_ms: u64,
    starts: u32,
    board: String,
    kernel: String,
    release: String,
    slot: Option<String>,
    clock: Clock,
    notes: Vec<String>,
}

#[derive(Deserialize, Serialize)]
struct Clock {
    set: bool,
    time_ms: u64,
    source: Option<String>,
}

#[derive(Deserialize)]
struct Done {}

impl System {
    pub(crate) async fn run(self, profile: &Profile) -> Result<()> {
        match self.verb {
            Verb::Show { json } => show(profile, json).await,
            Verb::SetTime => set_time(profile).await,
            Verb::Set(settings) => {
                post(profile, "settings", &settings.body()?).await?;
                print::line("stored; a new name or network takes some seconds to be in use")
            }
            Verb::Restart => {
                post(profile, "restart", &json!({})).await?;
                print::line("the box restarts")
            }
            Verb::PowerOff => {
                post(profile, "power-off", &json!({})).await?;
                print::line("the box switches itself off; unplug it when its LED is dark")
            }
            Verb::FactoryReset(reset) => reset.run(profile).await,
        }
    }
}

impl Settings {
    fn body(self) -> Result<SettingsBody> {
        let passphrase = match &self.wifi {
            Some(_) if self.passphrase_stdin => Some(ask::line_of_stdin("passphrase")?),
            Some(_) if !self.open => Some(ask::hidden("Passphrase of the Wi-Fi network: ")?),
            _ => None,
        };
        let country = self.country;
        let wifi = self.wifi.map(|ssid| WifiBody { ssid, passphrase, country });
        let Self { host_name, time_zone, forget_wifi, .. } = self;
        if host_name.is_none() && time_zone.is_none() && wifi.is_none() && !forget_wifi {
            bail!("name at least one setting; see linnet box set --help");
        }
        Ok(SettingsBody { host_name, time_zone, wifi, forget_wifi })
    }
}

impl FactoryReset {
    async fn run(self, profile: &Profile) -> Result<()> {
        if !self.yes {
            eprintln!("Every account, room, message and setting on {} is erased.", profile.host);
            eprintln!("There is no way back but a backup (linnet backup FILE).");
            if !ask::confirmed("Erase everything (yes/no)")? {
                bail!("nothing was changed; answer yes, or pass --yes in a script");
            }
        }
        let password = ask::password(self.password_stdin)?;
        post(profile, "factory-reset", &json!({ "password": password })).await?;
        print::line("the box erases its data and restarts; its screen shows a new claim link")
    }
}

async fn post(profile: &Profile, what: &str, body: &impl Serialize) -> Result<()> {
    let mut http = Http::connect(&profile.host, &profile.trust()?).await?;
    let Done {} = http.post(&format!("/api/box/{what}"), Some(&profile.token), body).await?;
    Ok(())
}

async fn set_time(profile: &Profile) -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.context("this computer's own clock stands before 1970; set it first")?;
    let time_ms = u64::try_from(now.as_millis()).context("this computer's clock is far off")?;
    post(profile, "time", &json!({ "time_ms": time_ms })).await?;
    print::line("the box took this computer's time")
}

async fn show(profile: &Profile, json: bool) -> Result<()> {
    let mut http = Http::connect(&profile.host, &profile.trust()?).await?;
    let report: Report = http.get("/api/box", Some(&profile.token)).await?;
    if json {
        return print::json_line(&report);
    }
    report.lines().iter().try_for_each(|line| print::line(&print::plain(line)))
}

impl Report {
    fn lines(&self) -> Vec<String> {
        let unknown = || "unknown".to_owned();
        let network = match (&self.interface, self.addresses.as_slice()) {
            (None, _) => "none".to_owned(),
            (Some(interface), []) => format!("{interface}, no address yet"),
            (Some(interface), addresses) => format!("{interface}, {}", addresses.join(", ")),
        };
        let hours = self.uptime_ms as f64 / 3_600_000.0;
        let mut lines = vec![
            format!("name     {}.local", self.host_name),
            format!("network  {network}"),
            format!("board    {}", self.board),
            format!(
                "system   {} (slot {})",
                self.release,
                self.slot.clone().unwrap_or_else(unknown)
            ),
            format!("kernel   {}", self.kernel),
            format!("up       {hours:.1} h, server started {} times", self.starts),
            format!("clock    {}", self.clock.line()),
        ];
        lines.extend(self.notes.iter().map(|note| format!("!! {note}")));
        lines
    }
}

impl Clock {
    fn line(&self) -> String {
        let time = print::local_time(TimeMs(self.time_ms));
        match (self.set, &self.source) {
            (true, Some(source)) => format!("{time}, from {source}"),
            (true, None) => time,
            (false, _) => format!("not set ({time}); linnet box set-time gives this computer's"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report {
            host_name: "linnet-2".into(),
            interface: Some("eth0".into()),
            addresses: vec!["192.168.1.5".into(), "fe80::1".into()],
            uptime_ms: 5_400_000,
            starts: 1,
            board: "Raspberry Pi 4 Model B".into(),
            kernel: "6.12.117".into(),
            release: "0.1.0".into(),
            slot: None,
            clock: Clock { set: false, time_ms: 0, source: None },
            notes: vec!["The power supply is weak.".into()],
        }
    }

    #[test]
    fn what_needs_the_owner_is_marked_and_an_unset_clock_says_what_to_do() {
        let lines = report().lines().join("\n");
        for wanted in
            ["linnet-2.local", "eth0, 192.168.1.5, fe80::1", "1.5 h", "set-time", "!! The power"]
        {
            assert!(lines.contains(wanted), "{wanted}: {lines}");
        }
    }

    #[test]
    fn a_set_clock_names_its_source() {
        let clock = Clock { set: true, time_ms: 0, source: Some("SNTP".into()) };
        assert!(clock.line().ends_with("from SNTP"));
    }

    #[test]
    fn a_setting_that_is_not_named_is_not_sent() {
        let settings = Settings {
            host_name: Some("attic".into()),
            time_zone: None,
            wifi: None,
            country: None,
            open: false,
            passphrase_stdin: false,
            forget_wifi: false,
        };
        let text = serde_json::to_string(&settings.body().unwrap()).unwrap();
        assert_eq!(text, r#"{"host_name":"attic","forget_wifi":false}"#);
    }
}
