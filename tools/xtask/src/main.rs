//! Developer verbs: one command for everything, the same in CI as on a desk.
#![forbid(unsafe_code)]

mod bench;
mod boot_chart;
mod cross;
mod emulate;
mod pi_estimate;
mod release;
mod run;
mod screenshots;
mod setup;
mod sim;
mod smoke;
mod test;
mod tidy;
mod update_key;
mod vm_tests;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Developer verbs of Linnet")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Every check there is; ends with `N passed, N failed`.
    Test(test::Options),
    /// The rules of the tree: dependency direction, lengths, unsafe, wire types.
    Tidy,
    /// The seeded simulator: drops, kills and power cuts against the real core and log.
    Sim(sim::Options),
    /// Pictures of every page, in both languages and both themes.
    Screenshots(screenshots::Options),
    /// Linnet, other servers and the kernel's floor, side by side; ends with one line of JSON.
    Bench(bench::Options),
    /// Builds the card and boots it on an emulated Pi.
    Emulate(emulate::Options),
    /// Builds the release image from source with Buildroot; `--check` needs none.
    Image(release::Options),
    /// When a booting box reaches which stage: a table and a picture.
    BootChart(boot_chart::Options),
    /// Named tests of a box in an emulated network.
    Vm(vm_tests::Options),
    /// Counts instructions of the aarch64 build and says what they'd be on a Pi: an estimate.
    PiEstimate(pi_estimate::Options),
    /// Makes or shows a key that signs releases.
    UpdateKey(update_key::Options),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().verb {
        Verb::Test(options) => test::run(&options),
        Verb::Tidy => tidy::run(),
        Verb::Sim(options) => sim::run(&options),
        Verb::Bench(options) => bench::run(&options),
        Verb::Screenshots(options) => screenshots::run(&options),
        Verb::Emulate(options) => emulate::run(&options),
        Verb::Image(options) => release::run(&options),
        Verb::BootChart(options) => boot_chart::run(&options),
        Verb::Vm(options) => vm_tests::run(&options),
        Verb::PiEstimate(options) => pi_estimate::run(&options),
        Verb::UpdateKey(options) => update_key::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
