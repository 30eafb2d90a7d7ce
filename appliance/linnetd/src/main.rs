//! `linnetd`, the chat server: arguments, thread map, wiring; nothing else. What a thread does
//! stands in its own file; what they tell each other stands in `link`.

#![forbid(unsafe_code)]

mod appliance;
mod args;
mod budget;
mod claim;
mod control;
mod core;
mod data;
mod disk;
mod doors;
mod exit;
mod figures;
mod format;
mod health;
mod history;
mod index;
mod limits;
mod link;
mod listen;
mod memory;
mod positions;
mod probe;
mod recover;
mod report;
mod rescue;
mod restore;
mod run;
mod site;
mod tray;
mod web_core;

use std::process::ExitCode;

use clap::Parser as _;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    memory::settle();
    let args = args::Args::parse();
    start_logging();
    exit::abort_on_panic();
    let result = match &args.restore {
        Some(backup) => restore::run(&args.data, backup),
        None if args.salvage => restore::salvage(&args.data),
        None => run::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::from(exit::REFUSED)
        }
    }
}

/// One line a message on stderr; init collects them, a terminal shows them.
fn start_logging() {
    let filter = EnvFilter::try_from_env("LINNET_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(false)
        .init();
}
