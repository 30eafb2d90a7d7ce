//! Rules about files whatever their language: where they lie, how long they and their lines are.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

const TOP_LEVEL: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "appliance",
    "image",
    "buildroot-external",
    "overlay",
    "tools",
    "tests",
    "README.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "CHANGELOG.md",
    "SECURITY.md",
    "clippy.toml",
    "rustfmt.toml",
];

const FILE_LINES_MAX: usize = 600;
const LINE_COLUMNS_MAX: usize = 100;
/// A sentence of the message catalogue stays on one line, so that translations can be compared.
const CATALOGUE: &str = "/i18n/";
const CODE: &[&str] = &["rs", "ts", "tsx", "css", "py"];

/// Files that git tracks or would track, relative to the root, that exist.
pub(super) fn tracked_files(root: &Path) -> Result<Vec<String>> {
    let output = Command::new("git")
        .current_dir(root)
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .output()
        .context("git can't be started")?;
    let names = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
    Ok(names.lines().filter(|name| root.join(name).is_file()).map(str::to_owned).collect())
}

pub(super) fn check(root: &Path, files: &[String]) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for path in files {
        let top = path.split('/').next().expect("split yields at least one part");
        if !TOP_LEVEL.contains(&top) && !top.starts_with('.') {
            findings.push(format!("{path}: top-level entries are fixed"));
        }
        if CODE.iter().any(|ending| path.ends_with(&format!(".{ending}"))) {
            let text = std::fs::read_to_string(root.join(path))
                .with_context(|| format!("{path} is not UTF-8 text"))?;
            findings.extend(check_lines(path, &text));
        }
    }
    Ok(findings)
}

fn check_lines(path: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let count = text.lines().count();
    if count > FILE_LINES_MAX {
        findings.push(format!("{path}: {count} lines, the limit is {FILE_LINES_MAX}"));
    }
    for (number, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line)) {
        let may_be_long = line.contains("://") || path.contains(CATALOGUE);
        if line.chars().count() > LINE_COLUMNS_MAX && !may_be_long {
            findings.push(format!("{path}:{number}: longer than {LINE_COLUMNS_MAX} columns"));
        }
        if line.ends_with([' ', '\t', '\r']) {
            findings.push(format!("{path}:{number}: ends in white space"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_files_long_lines_and_trailing_space_are_found() {
        assert_eq!(check_lines("a.rs", &"x\n".repeat(600)), Vec::<String>::new());
        assert_eq!(check_lines("a.rs", &"x\n".repeat(601)).len(), 1);
        assert_eq!(check_lines("a.rs", &"x".repeat(101)).len(), 1);
        assert_eq!(check_lines("a.rs", "x \n").len(), 1);
    }
}
