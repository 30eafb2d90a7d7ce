//! linnet: the command-line tool for owners. Arguments in, one sentence and an exit code out.

#![forbid(unsafe_code)]

mod commands;

use std::process::ExitCode;

use clap::Parser;
use commands::{Arguments, failure};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("linnet: the runtime does not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(async {
        let result = arguments.run().await;
        // Tasks of QUIC connections that were dropped say goodbye before the runtime ends.
        tokio::task::yield_now().await;
        result
    });
    // A thread may still wait for a line of stdin; nothing is lost by leaving it.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the output has seen enough, as `head` does.
        Err(error) if failure::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("linnet: {error:#}");
            failure::exit_code(&error)
        }
    }
}
