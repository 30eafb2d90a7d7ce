//! `linnet status`: what the box is and how it is.

use anyhow::Result;
use clap::Args;
use linnet::client::Http;
use linnet::profile::Profile;
use serde::{Deserialize, Serialize};
use wire::ids::{BoxId, Epoch};

use super::failure::Unwell;
use super::print;

#[derive(Args)]
pub(crate) struct Status {
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize, Serialize)]
struct Facts {
    box_id: BoxId,
    epoch: Epoch,
    version: String,
    claimed: bool,
    fingerprint_words: Vec<String>,
    ca_sha256: String,
}

#[derive(Deserialize, Serialize)]
struct Health {
    ok: bool,
    items: Vec<Item>,
}

#[derive(Deserialize, Serialize)]
struct Item {
    name: String,
    ok: bool,
    text: String,
}

#[derive(Serialize)]
struct Report {
    host: String,
    facts: Facts,
    health: Health,
}

impl Status {
    pub(crate) async fn run(self, profile: &Profile) -> Result<()> {
        let mut http = Http::connect(&profile.host, &profile.trust()?).await?;
        let facts: Facts = http.get("/api/facts", None).await?;
        let (_, health): (_, Health) = http.get_any("/api/health", Some(&profile.token)).await?;
        let ok = health.ok;
        let report = Report { host: profile.host.to_string(), facts, health };
        match self.json {
            true => print::json_line(&report)?,
            false => report.print()?,
        }
        if ok { Ok(()) } else { Err(Unwell.into()) }
    }
}

impl Report {
    fn print(&self) -> Result<()> {
        let facts = &self.facts;
        let state = if self.health.ok { "well" } else { "needs its owner" };
        print::line(&format!("{}: {state}", self.host))?;
        print::line(&format!("  version  {}", print::plain(&facts.version)))?;
        print::line(&format!("  box      {}", facts.box_id))?;
        print::line(&format!("  words    {}", print::plain(&facts.fingerprint_words.join(" "))))?;
        for item in &self.health.items {
            let mark = if item.ok { "ok" } else { "!!" };
            let (name, text) = (print::plain(&item.name), print::plain(&item.text));
            print::line(&format!("  {mark} {name}: {text}"))?;
        }
        Ok(())
    }
}
