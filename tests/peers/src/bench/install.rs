//! Installs peers from packages: Debian's, a newer NATS of the next Debian (unpacked, not
//! installed), and Bun from npm. What is not a system package goes to the user's cache folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

const PACKAGES: [&str; 4] = ["mosquitto", "nats-server", "prosody", "ejabberd"];

/// The Debian whose NATS knows `sync_interval: always`.
const NEXT_DEBIAN: &str = "trixie";

/// Where the newer NATS is, if it was installed.
pub(super) fn newer_nats() -> PathBuf {
    cache().join("nats/usr/sbin/nats-server")
}

/// Where Bun is, if it was installed.
pub(super) fn bun() -> PathBuf {
    cache().join("node_modules/bun/bin/bun.exe")
}

fn cache() -> PathBuf {
    let own = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    own.unwrap_or_else(home).join("linnet-bench")
}

/// Installs whatever is missing. What fails is named and left out.
///
/// # Errors
/// A cache folder that can't be made.
pub(super) fn run() -> Result<()> {
    let cache = cache();
    std::fs::create_dir_all(&cache).with_context(|| format!("{}", cache.display()))?;
    for (what, done) in
        [("packages", packages()), ("Bun", install_bun(&cache)), ("newer NATS", nats(&cache))]
    {
        if let Err(error) = done {
            eprintln!("{what}: not installed: {error:#}");
        }
    }
    Ok(())
}

fn packages() -> Result<()> {
    let mut install = Command::new("apt-get");
    install.env("DEBIAN_FRONTEND", "noninteractive");
    install.args(["install", "-y", "-q", "--no-install-recommends"]).args(PACKAGES);
    succeed(&mut install)?;
    for package in PACKAGES {
        // The services are not wanted; only their programs are. A machine without systemd has none.
        let mut stop = Command::new("systemctl");
        let _ = succeed(stop.args(["disable", "--now", package]));
    }
    Ok(())
}

fn install_bun(cache: &Path) -> Result<()> {
    if bun().exists() {
        return Ok(());
    }
    succeed(
        Command::new("npm")
            .args(["install", "--no-fund", "--no-audit", "--prefix"])
            .arg(cache)
            .arg("bun"),
    )
}

/// The machine's own package source, asked for the next Debian's file.
fn nats(cache: &Path) -> Result<()> {
    if newer_nats().exists() {
        return Ok(());
    }
    let apt = cache.join("apt");
    for folder in ["lists/partial", "cache/archives/partial"] {
        std::fs::create_dir_all(apt.join(folder))?;
    }
    let source = format!("deb {} {NEXT_DEBIAN} main\n", own_source()?);
    std::fs::write(apt.join("sources.list"), source)?;
    let options = [
        ("Dir::Etc::sourcelist", "sources.list"),
        ("Dir::Etc::sourceparts", "none"),
        ("Dir::State::lists", "lists"),
        ("Dir::Cache", "cache"),
    ];
    let options: Vec<String> = options
        .iter()
        .map(|(name, value)| format!("-o{name}={}", apt.join(value).display()))
        .chain(["-oAPT::Sandbox::User=root".to_owned()])
        .collect();
    let apt_get = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        succeed(command.current_dir(&apt).args(&options).arg("-q").args(arguments))
    };
    apt_get(&["update"])?;
    apt_get(&["download", "nats-server"])?;
    let files = std::fs::read_dir(&apt)?.flatten().map(|entry| entry.path());
    let mut packages = files.filter(|path| path.extension().is_some_and(|end| end == "deb"));
    let package = packages.next().context("no package was downloaded")?;
    succeed(Command::new("dpkg-deb").arg("-x").arg(package).arg(cache.join("nats")))
}

/// Where this machine gets Debian's main packages from.
fn own_source() -> Result<String> {
    let mut command = Command::new("apt-get");
    command.args(["indextargets", "--format", "$(SITE) $(COMPONENT)", "Created-By: Packages"]);
    let output = command.output().context("apt-get can't be started")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find(|line| line.ends_with(" main")).context("no package source")?;
    Ok(line.split(' ').next().unwrap_or_default().to_owned())
}

fn succeed(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("{name} can't be started"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let said: Vec<&str> = said.lines().rev().take(3).collect();
    ensure!(output.status.success(), "{name}: {}", said.join(" / "));
    Ok(())
}
