//! `cargo xtask sim`: builds the simulator optimised and runs it.

use anyhow::Result;

use crate::run;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many seeds to run.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// First seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Switch deliberate faults on, one by one; each must be caught.
    #[arg(long)]
    mutants: bool,
    /// Run one seed and print its trace.
    #[arg(long)]
    trace: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let mut command = run::cargo(&["run", "--quiet", "--release", "--package", "linnet-sim"]);
    if options.mutants {
        command.args(["--features", "mutants"]);
    }
    command.arg("--").args(["--seeds", &options.seeds.to_string()]);
    command.args(["--from", &options.from.to_string()]);
    command.args(options.mutants.then_some("--mutants"));
    command.args(options.trace.then_some("--trace"));
    run::succeed(&mut command)
}
