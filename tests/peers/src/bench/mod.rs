//! The benchmark: starts servers, loads them in turn with one generator, and puts side by side what
//! they used. Everything it starts ends with it.

mod card;
mod experiment;
mod install;
mod limits;
mod loads;
mod matrix;
mod peers;
mod plots;
mod results;
mod server;
mod spread;
mod summary;
mod target;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use experiment::{Experiment, Finding};
use limits::{QUICK_REPEATS_UNTIL, QUICK_RUN_SECONDS, RUN_SECONDS};

/// The command line of a benchmark.
#[derive(clap::Args, Clone, Debug)]
pub struct BenchOptions {
    /// Linnet and the floor, under three minutes. The default.
    #[arg(long, conflicts_with = "full")]
    pub quick: bool,

    /// The whole matrix with all peers that are installed; writes RESULTS.md and plots.
    #[arg(long)]
    pub full: bool,

    /// Only experiments whose name begins like this.
    #[arg(long, value_name = "NAME")]
    pub only: Option<String>,

    /// Installs the peers from packages first.
    #[arg(long)]
    pub install: bool,

    /// Where RESULTS.md and the plots go.
    #[arg(long, value_name = "DIR", default_value = "tests/peers")]
    pub results: PathBuf,

    /// Where data folders and logs lie during the run. Default: the system's folder for such.
    #[arg(long, value_name = "DIR")]
    pub scratch: Option<PathBuf>,
}

/// What every step of a run needs.
pub(crate) struct Bench {
    /// Folder of its own for everything that is written; it goes with the run.
    scratch: tempfile::TempDir,
    /// Folder of Linnet's and the floor's programs: this program's own.
    programs: PathBuf,
    begun: Instant,
    /// After this, experiments are not repeated.
    repeats_until: Duration,
    /// Bound of one run of the generator.
    run_seconds: u64,
    /// Set by SIGINT and SIGTERM: the run under way ends, servers and mounts are taken down.
    stopped: Arc<AtomicBool>,
}

impl Bench {
    fn new(options: &BenchOptions) -> Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("linnet-bench-");
        let scratch = match &options.scratch {
            Some(folder) => builder.tempdir_in(folder),
            None => builder.tempdir(),
        };
        let own = std::env::current_exe().context("this program can't find itself")?;
        let programs = own.parent().context("a program lies in a folder")?.to_owned();
        let (repeats_until, run_seconds) = if options.full {
            (Duration::MAX, RUN_SECONDS)
        } else {
            (QUICK_REPEATS_UNTIL, QUICK_RUN_SECONDS)
        };
        let scratch = scratch.context("no folder for the run's data")?;
        let (begun, stopped) = (Instant::now(), Arc::new(AtomicBool::new(false)));
        let stop = stopped.clone();
        ctrlc::set_handler(move || stop.store(true, Ordering::Relaxed))?;
        Ok(Self { scratch, programs, begun, repeats_until, run_seconds, stopped })
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    fn program(&self, name: &str) -> Result<PathBuf> {
        let path = self.programs.join(name);
        ensure!(path.exists(), "{} is missing: cargo build --release", path.display());
        Ok(path)
    }

    /// Says how far the run is, on standard error.
    fn say(&self, what: &str) {
        eprintln!("[{:4.0} s] {what}", self.begun.elapsed().as_secs_f64());
    }
}

/// Runs the benchmark: tables, then one line of JSON on standard output.
///
/// # Errors
/// Programs that are missing, or results that can't be written. A peer that is not installed or
/// does not start is named and left out.
pub fn run(options: &BenchOptions) -> Result<()> {
    if options.install {
        install::run()?;
    }
    let bench = Bench::new(options)?;
    let all = if options.full { matrix::full() } else { matrix::quick() };
    let wanted = |experiment: &Experiment| {
        options.only.as_ref().is_none_or(|only| experiment.name.starts_with(only.as_str()))
    };
    let chosen: Vec<Experiment> = all.into_iter().filter(wanted).collect();
    ensure!(!chosen.is_empty(), "no experiment has that name");
    let findings = measure(&bench, &chosen);
    ensure!(!bench.is_stopped(), "it was interrupted");
    println!("{}", results::tables(&findings));
    if options.full && options.only.is_none() {
        results::write(&options.results, &findings)?;
    }
    println!("{}", summary::line(&findings));
    Ok(())
}

fn measure(bench: &Bench, experiments: &[Experiment]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, experiment) in (1..).zip(experiments) {
        if bench.is_stopped() {
            break;
        }
        let title = experiment.title();
        bench.say(&format!("{number} of {}: {title}", experiments.len()));
        findings.extend(experiment::run(bench, experiment));
    }
    findings
}
