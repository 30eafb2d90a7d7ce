//! The kernel's floor as a server: see `linnet_peers::floor`.

use std::process::ExitCode;

use clap::Parser;
use linnet_peers::floor::{FloorOptions, serve};

/// Passes fixed-size frames on, on loopback, as cheaply as the kernel allows.
#[derive(Parser)]
#[command(version, about, long_about = None)]
struct Line {
    #[command(flatten)]
    options: FloorOptions,
}

fn main() -> ExitCode {
    match serve(&Line::parse().options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("linnet-floor: {error:#}");
            ExitCode::FAILURE
        }
    }
}
