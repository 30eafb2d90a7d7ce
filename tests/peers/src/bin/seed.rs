//! Makes a data folder with accounts and rooms for measurements, and the layout file beside it
//! that the load generator reads.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser;
use linnet_peers::seed::{Amounts, seed};

/// Seeds a data folder for measurements.
#[derive(Parser)]
#[command(version, about, long_about = None)]
struct Line {
    /// Folder to make; it must not hold a log.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,

    /// Where the layout goes. Default: standard output.
    #[arg(long, value_name = "FILE")]
    layout: Option<PathBuf>,

    #[command(flatten)]
    amounts: Amounts,
}

fn main() -> ExitCode {
    match run(&Line::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("linnet-seed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(line: &Line) -> Result<()> {
    let layout = line.amounts.layout()?;
    seed(&line.data, &layout)?;
    let text = serde_json::to_string(&layout)?;
    match &line.layout {
        Some(file) => std::fs::write(file, text + "\n")
            .with_context(|| format!("{} can't be written", file.display())),
        None => {
            println!("{text}");
            Ok(())
        }
    }
}
