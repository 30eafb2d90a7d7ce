//! One thing to find out: the same load for several servers, run after run in turn, so that what
//! else the machine does hits all of them alike.

use std::time::{Duration, Instant};

use super::Bench;
use super::limits::{SETTLE, SLOW_RUN};
use super::loads::{self, Measure, Report};
use super::server::Server;
use super::spread::Spread;
use super::target::{Setup, Target};

/// One point of the matrix.
pub(super) struct Experiment {
    /// Name of its table, and for `--only`.
    pub(super) name: &'static str,
    /// What is varied over several points of one table, and its value here.
    pub(super) x: Option<(&'static str, u32)>,
    pub(super) targets: Vec<Target>,
    /// The generator's scenario and its options.
    pub(super) scenario: Vec<String>,
    pub(super) setup: Setup,
    pub(super) repeats: u32,
    /// Whether every run needs a server that did nothing yet.
    pub(super) fresh: bool,
    pub(super) measures: &'static [Measure],
}

/// What one server gave.
pub(super) struct Finding {
    pub(super) name: &'static str,
    pub(super) x: Option<(&'static str, u32)>,
    pub(super) target: Target,
    pub(super) measures: &'static [Measure],
    pub(super) reports: Vec<Report>,
    /// Why there are no reports, or fewer.
    pub(super) trouble: Option<String>,
    /// How long its last run took, its start included.
    pub(super) took: Duration,
}

impl Experiment {
    pub(super) fn title(&self) -> String {
        match self.x {
            Some((what, value)) => format!("{}, {value} {what}", self.name),
            None => self.name.to_owned(),
        }
    }
}

impl Finding {
    pub(super) fn spread(&self, measure: Measure) -> Option<Spread> {
        Spread::of(self.reports.iter().filter_map(|report| measure.of(report)).collect())
    }
}

/// Runs an experiment. A server that does not start or loses messages is reported as such.
pub(super) fn run(bench: &Bench, experiment: &Experiment) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        experiment.targets.iter().map(|target| finding(experiment, *target)).collect();
    let mut servers: Vec<Option<Server>> = findings.iter().map(|_| None).collect();
    for repeat in 0..experiment.repeats {
        if repeat > 0 && bench.begun.elapsed() > bench.repeats_until {
            break;
        }
        for (finding, server) in findings.iter_mut().zip(&mut servers) {
            let is_wanted = finding.trouble.is_none() && finding.took < SLOW_RUN;
            if is_wanted && !bench.is_stopped() {
                let begun = Instant::now();
                let done = once(bench, experiment, finding, server);
                finding.note(bench, done);
                finding.took = begun.elapsed();
            }
            if experiment.fresh {
                *server = None;
            }
        }
    }
    findings
}

fn finding(experiment: &Experiment, target: Target) -> Finding {
    let Experiment { name, x, measures, .. } = *experiment;
    Finding { name, x, target, measures, reports: Vec::new(), trouble: None, took: Duration::ZERO }
}

fn once(
    bench: &Bench,
    experiment: &Experiment,
    finding: &Finding,
    server: &mut Option<Server>,
) -> anyhow::Result<Report> {
    let target = finding.target;
    if server.is_none() {
        *server = Some(target.start(bench, &experiment.setup)?);
        std::thread::sleep(SETTLE);
    }
    let server = server.as_ref().expect("it was started above");
    let before = server.device_bytes()?;
    let mut report = loads::run(bench, server, target.protocol(), &experiment.scenario)?;
    if let (Some(before), Some(after)) = (before, server.device_bytes()?) {
        report.count_device_bytes(after - before);
    }
    Ok(report)
}

impl Finding {
    fn note(&mut self, bench: &Bench, done: anyhow::Result<Report>) {
        let label = self.target.label();
        match done {
            Ok(report) => {
                let value = |measure: &Measure| {
                    let value = measure.of(&report);
                    value.map(|value| format!("{value:.2} {}", measure.head()))
                };
                let values: Vec<String> = self.measures.iter().filter_map(value).collect();
                bench.say(&format!("  {label}: {}", values.join(", ")));
                self.reports.push(report);
            }
            Err(error) => {
                bench.say(&format!("  {label} is left out: {error:#}"));
                self.trouble = Some(format!("{error:#}"));
            }
        }
    }
}
