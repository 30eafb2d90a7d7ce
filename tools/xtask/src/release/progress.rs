//! How far a build is: Buildroot's step lines, a bar with the time that is left, and the log.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::mpsc::{Sender, channel};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};

use crate::run;

/// Starts a step's line, between codes for bold text.
const STEP: &str = ">>> ";

/// Seconds that a package takes on 2 cores; measured with Debian's toolchain. Others count little.
const WEIGHTS: &[(&str, u64)] = &[
    ("linux", 480),
    ("linnet", 240),
    ("e2fsprogs", 70),
    ("util-linux", 60),
    ("wpa_supplicant", 20),
    ("libnl", 30),
    ("toolchain-external-custom", 15),
    // Not measured: the compiler, built from source.
    ("toolchain-buildroot", 3_000),
];
const WEIGHT_OTHER: u64 = 3;

/// Follows one build.
pub(super) struct Progress {
    log: PathBuf,
    file: File,
    bar: ProgressBar,
    targets: Vec<String>,
    done: BTreeSet<String>,
    step: String,
}

impl Progress {
    /// Begins a log anew; `targets` are the packages that will be built.
    pub(super) fn begin(log: &Path, targets: &[String]) -> Result<Self> {
        let total = targets.iter().map(|target| weight(target)).sum();
        let style = "{bar:30} {percent:>3} %  {msg}  {elapsed}, about {eta} left";
        let style = ProgressStyle::with_template(style).context("the bar's own template")?;
        let bar = ProgressBar::new(total).with_style(style);
        let file = File::create(log).with_context(|| log.display().to_string())?;
        Ok(Self {
            log: log.to_owned(),
            file,
            bar,
            targets: targets.to_vec(),
            done: BTreeSet::new(),
            step: "the beginning".to_owned(),
        })
    }

    /// Reads both outputs of the build to their ends.
    pub(super) fn follow(&mut self, child: &mut Child) -> Result<()> {
        let (sender, lines) = channel();
        let outputs: [Option<Box<dyn Read + Send>>; 2] = [
            child.stdout.take().map(|out| Box::new(out) as _),
            child.stderr.take().map(|err| Box::new(err) as _),
        ];
        for output in outputs.into_iter().flatten() {
            let sender = sender.clone();
            std::thread::spawn(move || read_lines(output, &sender));
        }
        drop(sender);
        for line in lines {
            self.file.write_all(&line)?;
            self.see(&String::from_utf8_lossy(&line));
        }
        Ok(())
    }

    fn see(&mut self, line: &str) {
        let Some((package, step)) = step_of(line) else { return };
        // Off a terminal the bar draws nothing; the steps still say where the build is.
        if self.bar.is_hidden() {
            eprintln!("  {package}: {step}");
        }
        if step.starts_with("Installing") || step.starts_with("Finalizing") {
            let is_new = self.done.insert(package.clone());
            let counts = is_new && self.targets.contains(&package);
            self.bar.inc(if counts { weight(&package) } else { 0 });
        }
        self.step = format!("{package}: {step}");
        self.bar.set_message(self.step.clone());
    }

    /// The package and step that were under way last.
    pub(super) fn last_step(&self) -> &str {
        &self.step
    }

    /// The end of the log.
    pub(super) fn tail(&self, lines: usize) -> Result<String> {
        run::tail(&self.log, lines)
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn read_lines(output: Box<dyn Read + Send>, sender: &Sender<Vec<u8>>) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    while matches!(output.read_until(b'\n', &mut line), Ok(bytes) if bytes > 0) {
        if sender.send(std::mem::take(&mut line)).is_err() {
            return;
        }
    }
}

/// `>>> linux 6.12.92 Building` as package and step.
fn step_of(line: &str) -> Option<(String, String)> {
    let (_, rest) = line.split_once(STEP)?;
    let text = rest.split('\u{1b}').next()?.trim_end();
    // Steps of no package have spaces where its name and version would stand.
    if text.starts_with(' ') {
        return Some(("all".to_owned(), text.trim().to_owned()));
    }
    let mut words = text.splitn(3, ' ');
    let (package, version) = (words.next()?, words.next()?);
    Some((package.to_owned(), words.next().unwrap_or(version).to_owned()))
}

fn weight(package: &str) -> u64 {
    let found = WEIGHTS.iter().find(|(name, _)| *name == package);
    found.map_or(WEIGHT_OTHER, |(_, seconds)| *seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read_with_and_without_codes_for_bold_text() {
        let step = |line: &str| step_of(line).unwrap();
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            step("\u{1b}[7m>>> linux 6.12.92 Building\u{1b}[27m"),
            pair("linux", "Building")
        );
        assert_eq!(
            step(">>> e2fsprogs 1.47 Installing to target"),
            pair("e2fsprogs", "Installing to target")
        );
        assert_eq!(step(">>>   Finalizing target directory").0, "all");
        assert_eq!(step_of("  CC      mm/slab.o"), None);
    }

    #[test]
    fn the_end_of_the_log_is_shown_with_the_step_that_failed() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("build.log");
        let mut progress = Progress::begin(&log, &["linux".to_owned()]).unwrap();
        let mut child = std::process::Command::new("sh")
            .args(["-c", "echo '>>> linux 6 Building'; echo one; echo two >&2"])
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        progress.follow(&mut child).unwrap();
        child.wait().unwrap();
        assert_eq!(progress.last_step(), "linux: Building");
        let tail = progress.tail(2).unwrap();
        assert_eq!(tail.lines().count(), 2, "{tail}");
    }
}
