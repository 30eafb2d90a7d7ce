//! One run of the generator, in a process of its own so that its time is not the server's.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::Bench;
use super::limits::GRACE_SECONDS;
use super::server::Server;

/// What the generator reports, as far as it is used here.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Report {
    pub(super) messages: u64,
    pub(super) deliveries: u64,
    pub(super) lost: u64,
    pub(super) duplicates: u64,
    pub(super) broken: u64,
    pub(super) reasons: Vec<String>,
    pub(super) timed_out: bool,
    pub(super) messages_per_s: f64,
    pub(super) deliveries_per_s: f64,
    pub(super) acks_per_s: f64,
    pub(super) delivery_us: Option<Figures>,
    pub(super) ack_us: Option<Figures>,
    pub(super) server: Option<ServerUse>,
    pub(super) per: Option<Per>,
}

/// A distribution in microseconds.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Figures {
    pub(super) p50: f64,
    pub(super) p99: f64,
}

/// The server's threads.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ServerUse {
    pub(super) threads: Vec<ThreadUse>,
}

/// One thread's time.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ThreadUse {
    pub(super) name: String,
    pub(super) cpu_us: f64,
}

/// The server's use, divided.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Per {
    pub(super) cpu_us_per_message: Option<f64>,
    pub(super) cpu_us_per_delivery: Option<f64>,
    pub(super) cpu_us_per_session: Option<f64>,
    /// Counted here, after everything was written: the generator does not wait for that.
    #[serde(skip)]
    pub(super) device_bytes_per_message: Option<f64>,
    pub(super) bytes_per_session: Option<f64>,
}

/// What a run can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Measure {
    CpuPerDelivery,
    CpuPerMessage,
    CpuPerSession,
    BusiestRing,
    BytesPerSession,
    MessagesPerSecond,
    DeliveriesPerSecond,
    AcksPerSecond,
    DeviceBytes,
    DeliveryP50,
    DeliveryP99,
    AckP99,
}

impl Measure {
    /// Head of its column, unit included.
    pub(super) const fn head(self) -> &'static str {
        match self {
            Self::CpuPerDelivery => "CPU µs per delivery",
            Self::CpuPerMessage => "CPU µs per message",
            Self::CpuPerSession => "CPU µs per session",
            Self::BusiestRing => "busiest ring thread, CPU µs per delivery",
            Self::BytesPerSession => "bytes per session (PSS and kernel)",
            Self::MessagesPerSecond => "messages/s",
            Self::DeliveriesPerSecond => "deliveries/s",
            Self::AcksPerSecond => "acks/s",
            Self::DeviceBytes => "device bytes per message",
            Self::DeliveryP50 => "delivery p50 µs",
            Self::DeliveryP99 => "delivery p99 µs",
            Self::AckP99 => "ack p99 µs",
        }
    }

    /// Its value in a report.
    pub(super) fn of(self, report: &Report) -> Option<f64> {
        let per = report.per?;
        match self {
            Self::CpuPerDelivery => per.cpu_us_per_delivery,
            Self::CpuPerMessage => per.cpu_us_per_message,
            Self::CpuPerSession => per.cpu_us_per_session,
            Self::BusiestRing => busiest_ring(report),
            Self::BytesPerSession => per.bytes_per_session,
            Self::MessagesPerSecond => Some(report.messages_per_s),
            Self::DeliveriesPerSecond => Some(report.deliveries_per_s),
            Self::AcksPerSecond => Some(report.acks_per_s),
            Self::DeviceBytes => per.device_bytes_per_message,
            Self::DeliveryP50 => Some(report.delivery_us?.p50),
            Self::DeliveryP99 => Some(report.delivery_us?.p99),
            Self::AckP99 => Some(report.ack_us?.p99),
        }
    }
}

impl Report {
    /// Notes what the device was given during the run.
    #[allow(clippy::cast_precision_loss, reason = "bytes of a run are far below 2^53")]
    pub(super) fn count_device_bytes(&mut self, bytes: u64) {
        if let (Some(per), true) = (&mut self.per, self.messages > 0) {
            per.device_bytes_per_message = Some(bytes as f64 / self.messages as f64);
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "deliveries of a run are far below 2^53")]
fn busiest_ring(report: &Report) -> Option<f64> {
    let threads = report.server.as_ref()?.threads.iter();
    let rings = threads.filter(|thread| thread.name.starts_with("ring-"));
    let busiest = rings.map(|thread| thread.cpu_us).reduce(f64::max)?;
    (report.deliveries > 0).then(|| busiest / report.deliveries as f64)
}

/// Loads a server and reports; a run that lost anything is no measurement.
pub(super) fn run(
    bench: &Bench,
    server: &Server,
    protocol: &str,
    scenario: &[String],
) -> Result<Report> {
    let kill_after = (bench.run_seconds + GRACE_SECONDS).to_string();
    let output = Command::new("timeout")
        .args(["--kill-after", "5", &kill_after])
        .arg(std::env::current_exe()?)
        .args(["load", "--json", "--protocol", protocol])
        .args(["--connect", &server.address.to_string()])
        .args(["--server-pid", &server.pid().to_string()])
        .args(["--seconds-max", &bench.run_seconds.to_string()])
        .args(&server.arguments)
        .args(scenario)
        .stdin(Stdio::null())
        .output()
        .context("timeout (coreutils) can't be started")?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let last = output.stdout.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty());
    let last = last.with_context(|| format!("the generator failed: {said}"))?;
    let report: Report = serde_json::from_slice(last).context("the generator's report")?;
    ensure!(
        report.lost + report.duplicates + report.broken == 0 && !report.timed_out,
        "lost {}, doubled {}, broken {}, out of time: {} ({})",
        report.lost,
        report.duplicates,
        report.broken,
        report.timed_out,
        report.reasons.join("; ")
    );
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_ring_is_told_apart_from_other_threads() {
        let text = r#"{"messages": 4, "deliveries": 1000, "lost": 0, "duplicates": 0, "broken": 0,
            "reasons": [], "timed_out": false, "messages_per_s": 1.0, "deliveries_per_s": 1.0,
            "acks_per_s": 1.0, "delivery_us": null, "ack_us": {"p50": 1.0, "p99": 7.0},
            "server": {"threads": [{"name": "core", "cpu_us": 9000.0},
            {"name": "ring-1", "cpu_us": 2000.0}, {"name": "ring-0", "cpu_us": 1000.0}]},
            "per": {"cpu_us_per_message": null, "cpu_us_per_delivery": 3.0,
            "cpu_us_per_session": null, "bytes_per_session": null}}"#;
        let mut report: Report = serde_json::from_str(text).unwrap();
        assert_eq!(Measure::DeviceBytes.of(&report), None);
        report.count_device_bytes(4_096);
        assert_eq!(Measure::DeviceBytes.of(&report), Some(1_024.0));
        assert_eq!(Measure::BusiestRing.of(&report), Some(2.0));
        assert_eq!(Measure::AckP99.of(&report), Some(7.0));
        assert_eq!(Measure::DeliveryP50.of(&report), None);
    }
}
