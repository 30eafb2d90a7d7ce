//! The benchmark's command line: `cargo xtask bench` runs it.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use linnet_peers::bench::BenchOptions;
use linnet_peers::loader::LoadLine;

/// Measures Linnet, other servers and the kernel's floor with one generator.
#[derive(Parser)]
#[command(version, about, long_about = None)]
struct Line {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Measures everything that is asked for.
    Run(BenchOptions),
    /// Loads one server that runs already.
    Load(LoadLine),
}

fn main() -> ExitCode {
    match run(&Line::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("linnet-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(line: &Line) -> Result<bool> {
    match &line.verb {
        Verb::Run(options) => linnet_peers::bench::run(options).map(|()| true),
        Verb::Load(line) => linnet_peers::loader::run(line),
    }
}
