//! An apt of our own beside the machine's: own lists, cache and package status in a cache folder,
//! sources derived from the machine's own, so that its mirrors, proxies and keys are used and its
//! package configuration is not touched. No mirror's host is ever written here.

mod sources;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

pub use sources::{Archive, Suites, derive, machine_sources};

/// Which packages this apt resolves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// arm64 packages, only downloaded, resolved as if nothing were installed.
    Arm64,
    /// The machine's own packages, for what only backports carries.
    Machine,
}

/// A private apt; every call names its configuration in the environment.
#[derive(Debug, Clone)]
pub struct Apt {
    config: PathBuf,
    folder: PathBuf,
}

impl Apt {
    /// Sets the folder up; existing lists are kept.
    pub fn create(folder: &Path, scope: Scope, sources: &str) -> Result<Self> {
        for name in ["state", "lists/partial", "cache/archives/partial", "empty"] {
            fs::create_dir_all(folder.join(name))?;
        }
        fs::write(folder.join("linnet.sources"), sources)?;
        let config = folder.join("apt.conf");
        fs::write(&config, configuration(folder, scope))?;
        if scope == Scope::Arm64 {
            fs::write(folder.join("status"), "")?;
        }
        Ok(Self { config, folder: folder.to_owned() })
    }

    /// Refreshes the package lists.
    pub fn update(&self) -> Result<()> {
        self.run(self.command("apt-get").arg("update")).map(drop)
    }

    /// What `package` depends on directly, first alternatives only.
    pub fn depends(&self, package: &str) -> Result<Vec<String>> {
        let output = self.run(self.command("apt-cache").args(["depends", package]))?;
        let names = output.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
        Ok(names.map(str::to_owned).collect())
    }

    /// Downloads one package (a file of the right name in the cache is reused) and unpacks it.
    pub fn unpacked(&self, package: &str) -> Result<PathBuf> {
        let wanted =
            self.run(self.command("apt-get").args(["download", "--print-uris", package]))?;
        let name = wanted.split_whitespace().nth(1).with_context(|| {
            format!("apt knows no file for {package}; is its archive among the sources?")
        })?;
        let debs = self.folder.join("debs");
        let target = self.folder.join("unpacked").join(name.trim_end_matches(".deb"));
        if !target.is_dir() {
            fs::create_dir_all(&debs)?;
            self.run(self.command("apt-get").args(["download", package]).current_dir(&debs))?;
            unpack(&debs.join(name), &target)?;
        }
        Ok(target)
    }

    /// The configuration file, for `APT_CONFIG`.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// A command that uses this configuration.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", &self.config).env("LC_ALL", "C.UTF-8");
        command
    }

    fn run(&self, command: &mut Command) -> Result<String> {
        let name = format!("{command:?}");
        let output = command.output().context("apt is missing: this needs Debian or Ubuntu")?;
        if !output.status.success() {
            let reason = String::from_utf8_lossy(&output.stderr);
            let errors = reason.lines().filter(|line| line.starts_with("E:"));
            bail!("{name} failed: {}", errors.collect::<Vec<_>>().join(" "));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Unpacks next to the target and renames, so that a half-unpacked package is never used.
pub fn unpack(deb: &Path, target: &Path) -> Result<()> {
    let half = target.with_extension("part");
    fs::remove_dir_all(&half).ok();
    fs::create_dir_all(&half)?;
    let status = Command::new("dpkg-deb").arg("-x").args([deb, &half]).status();
    if !status.context("dpkg-deb is missing: this needs Debian or Ubuntu")?.success() {
        bail!("unpacking {} failed; delete it and try again", deb.display());
    }
    fs::rename(&half, target)?;
    Ok(())
}

fn configuration(folder: &Path, scope: Scope) -> String {
    let at = |name: &str| folder.join(name).display().to_string();
    let mut lines = vec![
        format!("Dir::State::lists \"{}\";", at("lists")),
        format!("Dir::Cache \"{}\";", at("cache")),
        format!("Dir::Etc::sourcelist \"{}\";", at("linnet.sources")),
        format!("Dir::Etc::sourceparts \"{}\";", at("empty")),
    ];
    if scope == Scope::Arm64 {
        lines.extend([
            "APT::Architecture \"arm64\";".to_owned(),
            "APT::Architectures { \"arm64\"; };".to_owned(),
            format!("Dir::State \"{}\";", at("state")),
            format!("Dir::State::status \"{}\";", at("status")),
            format!("Dir::Etc::preferencesparts \"{}\";", at("empty")),
        ]);
    }
    lines.join("\n") + "\n"
}
