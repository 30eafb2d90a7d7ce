//! The verdict of the independent client: `tests/data/verify_history.py`, Python with the package
//! `websockets` and nothing of this workspace.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::chatter::{Acked, Crowd};
use crate::setup;

/// The script was tried with this one, warnings being errors.
const WEBSOCKETS: &str = "16.1.1";

#[derive(Debug, Default, Deserialize)]
pub(super) struct Verdict {
    pub(super) acked: usize,
    pub(super) lost: usize,
    pub(super) duplicated: usize,
    pub(super) reordered: usize,
}

impl Verdict {
    pub(super) fn add(&mut self, other: &Self) {
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
    }

    pub(super) fn clean(&self) -> bool {
        self.lost == 0 && self.duplicated == 0 && self.reordered == 0
    }
}

pub(super) struct Verifier {
    python: PathBuf,
    script: PathBuf,
    folder: PathBuf,
}

impl Verifier {
    /// Makes a Python environment in the cache, once.
    pub(super) fn prepare(tree: &Path, folder: &Path) -> Result<Self> {
        let environment = setup::cache_folder()?.join("python");
        let python = environment.join("bin/python");
        if !has_websockets(&python) {
            run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))
                .context("the packages python3 and python3-venv are needed")?;
            let package = format!("websockets=={WEBSOCKETS}");
            let arguments = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
            run(Command::new(&python).args(arguments).arg(package))?;
        }
        let script = tree.join("tests/data/verify_history.py");
        Ok(Self { python, script, folder: folder.to_owned() })
    }

    /// Pages the whole history of the box on this port and compares it with `acked`.
    pub(super) fn ask(&self, port: u16, crowd: &Crowd, acked: Vec<Acked>) -> Result<Verdict> {
        let file = |name: &str, text: String| -> Result<PathBuf> {
            let path = self.folder.join(name);
            fs::write(&path, text).with_context(|| path.display().to_string())?;
            Ok(path)
        };
        let lines: Result<Vec<String>, _> = acked.iter().map(serde_json::to_string).collect();
        let tokens: Vec<String> = crowd.tokens().iter().map(ToString::to_string).collect();
        let output = Command::new(&self.python)
            .args(["-W", "error"])
            .arg(&self.script)
            .args(["--url", &format!("wss://127.0.0.1:{port}/ws")])
            .arg("--ca")
            .arg(file("ca.pem", pem(&crowd.ca_der))?)
            .arg("--tokens")
            .arg(file("tokens", tokens.join("\n"))?)
            .arg("--acked")
            .arg(file("acked.jsonl", lines?.join("\n"))?)
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let last = text.lines().last().unwrap_or_default();
        let verdict: Verdict = serde_json::from_str(last).with_context(|| {
            format!("the independent client: {}", String::from_utf8_lossy(&output.stderr).trim())
        })?;
        if verdict.acked != acked.len() {
            bail!("the independent client compared {} of {}", verdict.acked, acked.len());
        }
        Ok(verdict)
    }
}

fn has_websockets(python: &Path) -> bool {
    let check = "import websockets.asyncio.client, websockets.version as v; print(v.version)";
    let output = Command::new(python).args(["-c", check]).output();
    output.is_ok_and(|output| output.stdout.trim_ascii() == WEBSOCKETS.as_bytes())
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).expect("base64 is ASCII"))
        .collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem_lines_have_64_characters() {
        let text = pem(&[0; 100]);
        assert!(text.lines().all(|line| line.len() <= 64));
        assert!(text.starts_with("-----BEGIN CERTIFICATE-----\nAAAA"));
    }
}
