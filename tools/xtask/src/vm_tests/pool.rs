//! Runs tests as processes, a few at a time. Each is the first process of its own namespaces: when
//! it ends, or this program does, all that it started ends with it.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::run;

/// Lines of a failed test that are shown.
const TAIL_LINES: usize = 60;

#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) name: &'static str,
    /// This very program.
    pub(super) program: PathBuf,
    pub(super) folder: PathBuf,
    pub(super) image: PathBuf,
}

#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) name: &'static str,
    pub(super) passed: bool,
    pub(super) took: Duration,
    /// The last lines of what it said.
    pub(super) tail: String,
}

impl Job {
    /// Runs it to its end; its cards go when it passed, what it said stays.
    pub(super) fn run(&self) -> Result<Outcome> {
        if self.folder.is_dir() {
            fs::remove_dir_all(&self.folder)?; // of a run that failed
        }
        fs::create_dir_all(&self.folder)?;
        let log = self.folder.with_extension("log");
        let started = Instant::now();
        let output = File::create(&log).with_context(|| log.display().to_string())?;
        let status = self
            .command()
            .stdin(Stdio::null())
            .stderr(output.try_clone()?)
            .stdout(output)
            .status()
            .context("setpriv is missing; install the package util-linux")?;
        if status.success() {
            fs::remove_dir_all(&self.folder)?;
        }
        let (took, tail) = (started.elapsed(), run::tail(&log, TAIL_LINES)?);
        Ok(Outcome { name: self.name, passed: status.success(), took, tail })
    }

    fn command(&self) -> Command {
        // The namespaces end with unshare, and unshare with this program, however that ends.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "unshare"]);
        command.args(["--net", "--pid", "--fork", "--kill-child", "--mount-proc"]);
        if !run::is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command.arg(&self.program).arg("vm").arg(self.name);
        command.arg("--inside").arg(&self.folder).arg("--image").arg(&self.image);
        command
    }
}

/// Runs all of them, `at_once` at a time, and tells of each as it ends.
pub(super) fn run(
    jobs: Vec<Job>,
    at_once: usize,
    mut tell: impl FnMut(&Outcome),
) -> Result<Vec<Outcome>> {
    let queue = Mutex::new(VecDeque::from(jobs));
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            let (queue, sender) = (&queue, sender.clone());
            scope.spawn(move || {
                while let Some(job) = next(queue) {
                    if sender.send(job.run()).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        receiver.iter().map(|outcome| outcome.inspect(&mut tell)).collect()
    })
}

fn next(queue: &Mutex<VecDeque<Job>>) -> Option<Job> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_lines_are_shown() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let lines: Vec<String> = (0..200).map(|number| number.to_string()).collect();
        fs::write(&log, lines.join("\n")).unwrap();
        let tail = run::tail(&log, TAIL_LINES).unwrap();
        assert!(tail.starts_with("140\n") && tail.ends_with("\n199"), "{tail}");
    }
}
