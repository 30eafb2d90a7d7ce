//! The seeded simulator: the real core, log and store under simulated clients, networks and cards.
//!
//! One u64 decides a run. `--seeds N [--from SEED]` runs many; `--seed N --trace` tells one run's
//! story; `--mutants` (with the feature of that name) checks that deliberate faults are caught.
#![forbid(unsafe_code)]

mod act;
mod backend;
mod check;
mod client;
mod copy;
mod machine;
mod mutants;
mod net;
mod plan;
mod random;
mod record;
mod trace;
mod truth;
mod violation;
mod world;

#[cfg(test)]
mod tests;

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

use crate::mutants::Faults;
use crate::violation::Violation;
use crate::world::Tally;

/// Seeds between two lines of progress.
const PROGRESS_SEEDS: u64 = 25;

/// Proves the promises of chat, log and store under drops, kills and power cuts.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many seeds to run.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Run this seed only, twice, and compare.
    #[arg(long)]
    seed: Option<u64>,
    /// Print every event.
    #[arg(long)]
    trace: bool,
    /// Switch deliberate faults on, one by one; each must be caught.
    #[arg(long)]
    mutants: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let good = match arguments.seed {
        Some(seed) => run_seeds(seed, 1, arguments.trace),
        None if arguments.mutants => run_mutants(arguments.from, arguments.seeds),
        None => run_seeds(arguments.from, arguments.seeds, arguments.trace),
    };
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run_seeds(from: u64, seeds: u64, trace: bool) -> bool {
    let began = Instant::now();
    let mut sum = Tally::default();
    for seed in from..from.saturating_add(seeds) {
        let ended = world::run(seed, Faults::None, trace);
        if let Some(violation) = &ended.violation {
            report(seed, violation);
            return false;
        }
        // Some seeds run twice: the same seed must tell the same story.
        let twice = (seed - from).is_multiple_of(PROGRESS_SEEDS);
        if twice && world::run(seed, Faults::None, false).hash != ended.hash {
            println!("seed {seed}: two runs differ; something is left to chance");
            return false;
        }
        sum.add(&ended.tally);
        if (seed + 1 - from).is_multiple_of(PROGRESS_SEEDS) {
            println!(
                "{} seeds, {} commands, {:.1?}",
                seed + 1 - from,
                sum.commands,
                began.elapsed()
            );
        }
    }
    let met: Vec<String> = sum.met.iter().map(|(what, count)| format!("{what} {count}")).collect();
    println!("clients met: {}", met.join(", "));
    println!(
        "{seeds} seeds passed: {} commands, {} messages, {} kills, {} power cuts, {} failed syncs, \
         {} restores, {} overflows, {} checkpoints, {} times full, {:.1?}",
        sum.commands,
        sum.messages,
        sum.kills,
        sum.cuts,
        sum.failed_syncs,
        sum.restores,
        sum.overflows,
        sum.checkpoints,
        sum.full,
        began.elapsed()
    );
    true
}

fn report(seed: u64, violation: &Violation) {
    println!("seed {seed} broke \"{}\": {}", violation.check, violation.text);
    println!("again: cargo run -p linnet-sim --release -- --seed {seed} --trace");
}

#[cfg(feature = "mutants")]
fn run_mutants(from: u64, seeds: u64) -> bool {
    let mut caught = 0;
    for faults in mutants::ALL {
        let found = (from..from.saturating_add(seeds)).find_map(|seed| {
            world::run(seed, *faults, false).violation.map(|violation| (seed, violation))
        });
        match found {
            Some((seed, violation)) => {
                caught += 1;
                println!("{faults:?}: seed {seed}, \"{}\": {}", violation.check, violation.brief());
            }
            None => println!("{faults:?}: NOT CAUGHT in {seeds} seeds"),
        }
    }
    println!("{{\"mutants\":{},\"caught\":{caught}}}", mutants::ALL.len());
    caught == mutants::ALL.len()
}

#[cfg(not(feature = "mutants"))]
fn run_mutants(_from: u64, _seeds: u64) -> bool {
    println!("deliberate faults are not built in: add --features mutants");
    false
}
