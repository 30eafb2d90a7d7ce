//! The load generator's command line: Linnet's protocol over any of its transports.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use linnet_load::{Layout, Linnet, Options, Scenario, Transport, run};

/// Loads a Linnet server whose data folder was seeded for it, and measures.
#[derive(Parser)]
#[command(version, about, long_about = None)]
struct Line {
    #[command(flatten)]
    options: Options,

    /// How frames travel.
    #[arg(long, value_enum, default_value = "plain", global = true)]
    transport: Transport,

    /// What the data folder was seeded with.
    #[arg(long, value_name = "FILE", global = true, default_value = "layout.json")]
    layout: PathBuf,

    #[command(subcommand)]
    scenario: Scenario,
}

fn main() -> ExitCode {
    match load(&Line::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("linnet-load: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs and prints; whether all went well.
fn load(line: &Line) -> Result<bool> {
    let Line { options, scenario, .. } = line;
    let layout = Layout::read(&line.layout)?;
    let payload = options.payload_bytes.unwrap_or(scenario.payload_bytes());
    let host = options.connect.to_string();
    let dialect = Linnet::new(line.transport, payload, host, scenario.syncs_afresh());
    let report = run(scenario, &dialect, &layout, options)?;
    if options.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{}", report.table());
    }
    Ok(report.is_sound())
}
