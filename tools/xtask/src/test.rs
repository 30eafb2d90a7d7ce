//! `cargo xtask test`: every check, in the order in which failures are cheapest.
//!
//! A failed step does not stop the others. The last line is `N passed, N failed`: the tests that
//! runners counted, and one for every step that counts none.

mod steps;
mod tally;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::setup;
use steps::{STEPS, Step};
use tally::Tally;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Run only the steps with these names.
    #[arg(long, value_name = "STEP")]
    only: Vec<String>,
    /// Leave out the steps with these names; the last line then says so.
    #[arg(long, value_name = "STEP")]
    skip: Vec<String>,
    /// List the steps and what each checks.
    #[arg(long)]
    list: bool,
    /// Only list what is missing on this machine; install nothing.
    #[arg(long)]
    no_install: bool,
}

struct Outcome {
    name: &'static str,
    tally: Tally,
    took: Duration,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    if options.list {
        STEPS.iter().for_each(|step| println!("{:<12} {}", step.name, step.about));
        return Ok(());
    }
    let chosen = choose(options)?;
    setup::ensure(setup::Verb::Test, !options.no_install)?;
    let outcomes: Vec<Outcome> = chosen.iter().map(|step| run_step(step)).collect();
    let total = report(&outcomes, STEPS.len() - chosen.len());
    ensure!(total.failed == 0, "{} checks failed", total.failed);
    Ok(())
}

fn choose(options: &Options) -> Result<Vec<&'static Step>> {
    for name in options.only.iter().chain(&options.skip) {
        ensure!(STEPS.iter().any(|step| step.name == name), "no step is called {name}; see --list");
    }
    let wanted = |step: &&Step| {
        (options.only.is_empty() || options.only.iter().any(|name| name == step.name))
            && !options.skip.iter().any(|name| name == step.name)
    };
    Ok(STEPS.iter().filter(wanted).collect())
}

fn run_step(step: &Step) -> Outcome {
    println!("\n== {}: {}", step.name, step.about);
    let started = Instant::now();
    let mut tally = Tally::default();
    for command in (step.commands)() {
        match run_command(command, &mut tally) {
            Ok(()) => {}
            Err(error) => {
                println!("{}: {error:#}", step.name);
                tally.failed = tally.failed.max(1);
                break;
            }
        }
    }
    if tally == Tally::default() {
        tally.passed = 1;
    }
    Outcome { name: step.name, tally, took: started.elapsed() }
}

/// Runs a command, shows what it prints and counts the tests its closing lines tell of.
fn run_command(mut command: Command, tally: &mut Tally) -> Result<()> {
    let name = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{name} can't be started"))?;
    let stdout = child.stdout.take().expect("stdout was asked to be a pipe");
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        tally.read(&line);
    }
    let status = child.wait()?;
    ensure!(status.success(), "{name} ended with {status}");
    Ok(())
}

fn report(outcomes: &[Outcome], left_out: usize) -> Tally {
    let mut total = Tally::default();
    println!("\n{:<12} {:>7} {:>7} {:>8}", "step", "passed", "failed", "seconds");
    for Outcome { name, tally, took } in outcomes {
        println!("{name:<12} {:>7} {:>7} {:>8.1}", tally.passed, tally.failed, took.as_secs_f64());
        total.add(*tally);
    }
    if left_out > 0 {
        println!("{left_out} steps were left out");
    }
    println!("\n{} passed, {} failed", total.passed, total.failed);
    total
}
