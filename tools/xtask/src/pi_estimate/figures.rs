//! From a generator's report to instructions, and from these to a Cortex-A72.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// The board's clock in MHz: a Pi 4 as sold first; later ones go to 1,800.
pub(super) const CLOCK_MHZ: f64 = 1_500.0;

/// Instructions per cycle, assumed and not measured: code that runs through the kernel's network
/// layers misses caches and branches, so a core that can begin three instructions in a cycle does
/// about one.
pub(super) const IPC: Assumed = Assumed { low: 0.6, middle: 0.9, high: 1.2 };

/// With `shift=0` the guest's microsecond of processor time is this many instructions.
const INSTRUCTIONS_PER_US: f64 = 1_000.0;

/// A value nobody measured, and how far it may be off.
#[derive(Debug, Clone, Copy)]
pub(super) struct Assumed {
    pub(super) low: f64,
    pub(super) middle: f64,
    pub(super) high: f64,
}

/// What the guest reported of one step.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Counted {
    pub(super) name: String,
    pub(super) messages: u64,
    pub(super) deliveries: u64,
    /// Of all the server's threads, the kernel's work for them included.
    pub(super) instructions: f64,
    /// Instructions by thread name, busiest first.
    pub(super) threads: Vec<(String, f64)>,
    /// What the device took, in bytes.
    pub(super) device_bytes: Option<u64>,
}

/// The part of the generator's report that matters here; its README documents all keys.
#[derive(Deserialize)]
struct Report {
    messages: u64,
    deliveries: u64,
    lost: u64,
    duplicates: u64,
    broken: u64,
    server: Server,
}

#[derive(Deserialize)]
struct Server {
    cpu_us: f64,
    threads: Vec<Thread>,
    device_write_bytes: Option<u64>,
}

#[derive(Deserialize)]
struct Thread {
    name: String,
    cpu_us: f64,
}

impl Counted {
    /// Reads `NAME JSON`. A run that lost something counted something else and is an error.
    pub(super) fn parse(line: &str) -> Result<Self> {
        let (name, json) = line.split_once(' ').context("a report has a name")?;
        let report: Report =
            serde_json::from_str(json).with_context(|| format!("the report of {name}"))?;
        let wrong = report.lost + report.duplicates + report.broken;
        ensure!(wrong == 0, "{name}: lost, doubled or broke {wrong}: {json}");
        let instructions = |cpu_us: f64| cpu_us * INSTRUCTIONS_PER_US;
        let threads = report.server.threads.into_iter();
        Ok(Self {
            name: name.to_owned(),
            messages: report.messages,
            deliveries: report.deliveries,
            instructions: instructions(report.server.cpu_us),
            threads: threads.map(|thread| (thread.name, instructions(thread.cpu_us))).collect(),
            device_bytes: report.server.device_write_bytes,
        })
    }
}

/// Microseconds of one core: instructions / (IPC × clock).
pub(super) fn a72_us(instructions: f64, ipc: f64) -> f64 {
    instructions / (ipc * CLOCK_MHZ)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"fanout_200 {"scenario":"fanout","messages":10,"deliveries":2000,
        "lost":0,"duplicates":0,"broken":0,"server":{"cpu_us":12000.5,"threads":
        [{"name":"ring-0","cpu_us":11000.0}],"device_write_bytes":null}}"#;

    #[test]
    fn a_microsecond_of_the_guest_is_a_thousand_instructions() {
        let counted = Counted::parse(REPORT).unwrap();
        assert_eq!((counted.messages, counted.deliveries), (10, 2_000));
        assert!((counted.instructions - 12_000_500.0).abs() < 1e-6);
        assert_eq!(counted.threads[0].0, "ring-0");
    }

    #[test]
    fn a_run_that_lost_something_is_no_figure() {
        let lossy = REPORT.replace("\"lost\":0", "\"lost\":1");
        assert!(Counted::parse(&lossy).unwrap_err().to_string().contains("fanout_200"));
    }

    #[test]
    fn the_clock_and_the_assumption_make_microseconds() {
        assert!((a72_us(9_000.0, 1.2) - 5.0).abs() < 1e-9);
        assert!((a72_us(9_000.0, 0.6) - 10.0).abs() < 1e-9);
    }
}
