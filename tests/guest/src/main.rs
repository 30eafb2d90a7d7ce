//! First program of the emulated machine that counts instructions: loads the kernel's modules,
//! mounts the work disk, does what the plan on it says (one server and one load after another),
//! prints each report on the console between words that the host knows, and powers off. It is
//! started by `cargo xtask pi-estimate` only; a failure is a line of its own and powers off too.

#![forbid(unsafe_code)]

mod loopback;
mod machine;
mod plan;
mod server;

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use plan::Step;

/// Where the disk with programs, plan and data is mounted.
const DISK: &str = "/disk";

fn main() {
    if let Err(error) = run() {
        println!("linnet-guest: failed {error:#}");
    }
    machine::power_off();
}

fn run() -> Result<()> {
    machine::prepare(Path::new(DISK))?;
    let text = std::fs::read_to_string(Path::new(DISK).join("plan")).context("no plan")?;
    for step in plan::parse(&text)? {
        let report = measure(&step).with_context(|| format!("step {}", step.name))?;
        println!("linnet-guest: report {} {report}", step.name);
    }
    println!("linnet-guest: done");
    Ok(())
}

/// Starts the step's server, loads it, and returns the generator's line of JSON.
fn measure(step: &Step) -> Result<String> {
    let folder = Path::new(DISK).join(&step.name);
    std::fs::create_dir_all(&folder)?;
    println!("linnet-guest: begins {}", step.name);
    let server = server::start(step, &folder)?;
    let mut load = Command::new(Path::new(DISK).join("bin/linnet-bench"));
    load.args(["load", "--json", "--connect", server::ADDRESS, "--protocol", &step.protocol])
        .args(["--server-pid", &server.pid().to_string(), "--data", DISK, "--layout"])
        .arg(folder.join(server::LAYOUT))
        .args(&step.load)
        .stdin(Stdio::null());
    let output = load.output().context("the generator can't be started")?;
    if !output.status.success() {
        let words = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
        bail!("the generator ended with {}: {}", output.status, words.join(" ").trim());
    }
    Ok(String::from_utf8(output.stdout).context("a report is text")?.trim().to_owned())
}
