//! The shell on the serial line, in the image for development only: a release has no program of
//! that name, which the image's audit proves.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::logs::Logs;

const SHELL: &str = "/usr/bin/sh";
const CONSOLE: &str = "/dev/console";

/// Pause before a shell that was left is started again.
const AGAIN: Duration = Duration::from_secs(1);

/// Starts it on a thread of its own, if it is there.
pub(crate) fn start(logs: &Logs) {
    if !Path::new(SHELL).exists() {
        return;
    }
    logs.say("This is an image for development: whoever has the serial line has the box.");
    std::thread::spawn(|| {
        loop {
            // pid 1 reaps every child, so what this says about the end is of no use.
            let _ = run();
            std::thread::sleep(AGAIN);
        }
    });
}

fn run() -> std::io::Result<()> {
    let console = OpenOptions::new().read(true).write(true).open(CONSOLE)?;
    let (stdout, stderr) = (console.try_clone()?, console.try_clone()?);
    let mut shell = Command::new(SHELL);
    shell.arg("-i").stdin(console).stdout(stdout).stderr(stderr).status().map(drop)
}
