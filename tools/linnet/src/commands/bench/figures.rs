//! What the box says about itself: `GET /api/figures`.

use anyhow::Result;
use linnet::client::Http;
use linnet::profile::Profile;
use serde::{Deserialize, Serialize};

/// One answer. None is what kernel or board do not tell.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(PartialEq))]
pub(super) struct Figures {
    pub(super) pss_bytes: Option<u64>,
    pub(super) write_bytes: Option<u64>,
    pub(super) device_write_bytes: Option<u64>,
    pub(super) temperature_millidegrees: Option<i64>,
    #[serde(flatten)]
    pub(super) board: Board,
}

/// What stays the same during a run.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub(super) struct Board {
    #[serde(rename(serialize = "model"))]
    pub(super) board: Option<String>,
    pub(super) kernel: Option<String>,
    pub(super) cores: Option<u32>,
    pub(super) memory_bytes: Option<u64>,
    pub(super) card: Option<Card>,
}

/// What carries the data.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub(super) struct Card {
    pub(super) name: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) date: Option<String>,
    pub(super) bytes: Option<u64>,
}

impl Figures {
    /// The higher of what may rise and fall.
    pub(super) fn take_peak(&mut self, other: &Self) {
        self.pss_bytes = self.pss_bytes.max(other.pss_bytes);
        self.temperature_millidegrees =
            self.temperature_millidegrees.max(other.temperature_millidegrees);
    }
}

/// Asks over one connection.
pub(super) struct Probe<'a> {
    profile: &'a Profile,
    http: Http,
}

impl<'a> Probe<'a> {
    /// Connects, and asks once: only owners and admins are answered.
    pub(super) async fn open(profile: &'a Profile) -> Result<Self> {
        let http = Http::connect(&profile.host, &profile.trust()?).await?;
        let mut probe = Self { profile, http };
        probe.look().await?;
        Ok(probe)
    }

    /// Looks now. An idle connection is closed by the box, so one that broke is made anew.
    pub(super) async fn look(&mut self) -> Result<Figures> {
        let token = Some(&self.profile.token);
        if let Ok(figures) = self.http.get("/api/figures", token).await {
            return Ok(figures);
        }
        self.http = Http::connect(&self.profile.host, &self.profile.trust()?).await?;
        Ok(self.http.get("/api/figures", token).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_answer_is_read() {
        let text = r#"{"sessions": 3, "pss_bytes": 9000, "write_bytes": 4096,
            "device_write_bytes": null, "temperature_millidegrees": 48312,
            "board": "Raspberry Pi 4", "kernel": "6.18", "uptime_seconds": 7, "cores": 4,
            "memory_bytes": 4000, "card": {"name": "SC64G", "kind": "SD", "date": null,
            "bytes": 64000}}"#;
        let figures: Figures = serde_json::from_str(text).unwrap();
        assert_eq!((figures.pss_bytes, figures.device_write_bytes), (Some(9_000), None));
        assert_eq!(figures.board.card.unwrap().name.as_deref(), Some("SC64G"));
    }

    #[test]
    fn a_peak_only_rises() {
        let at = |pss, heat| Figures {
            pss_bytes: Some(pss),
            temperature_millidegrees: heat,
            ..Figures::default()
        };
        let mut peak = at(5, None);
        peak.take_peak(&at(9, Some(40)));
        peak.take_peak(&at(7, Some(30)));
        assert_eq!(peak, at(9, Some(40)));
    }
}
