//! Installing with the machine's apt. Packages from backports come through a private list of
//! sources next to the machine's, so that its own sources stay as they are.

use std::process::Command;

use anyhow::{Context, Result, bail};
use image::apt::{Apt, Scope, Suites, derive, machine_sources};

/// Installs packages of the machine's own release.
pub(super) fn install(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    run(as_root("apt-get", None).arg("update"))?;
    run(as_root("apt-get", None).args(ARGUMENTS).args(packages))
}

/// Installs packages from the backports of the machine's release, at the machine's own mirror.
pub(super) fn install_from_backports(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let codename = image::debian::codename()?;
    let archives = machine_sources(std::path::Path::new("/etc/apt"))?;
    let want = Suites { codename: &codename, components: "main", backports: true, sources: false };
    let folder = super::cache_folder()?.join("apt-machine");
    let apt = Apt::create(&folder, Scope::Machine, &derive(&archives, want)?)?;
    run(as_root("apt-get", Some(&apt)).arg("update"))?;
    let release = format!("{codename}-backports");
    run(as_root("apt-get", Some(&apt)).args(ARGUMENTS).args(["-t", &release]).args(packages))
}

const ARGUMENTS: [&str; 3] = ["install", "--yes", "--no-install-recommends"];

/// The command itself as root, else through sudo, with the environment that sudo would drop.
fn as_root(program: &str, apt: Option<&Apt>) -> Command {
    let mut environment = vec!["DEBIAN_FRONTEND=noninteractive".to_owned()];
    if let Some(apt) = apt {
        environment.push(format!("APT_CONFIG={}", apt.config().display()));
    }
    let mut command = Command::new(if crate::run::is_root() { "env" } else { "sudo" });
    command.args(environment).arg(program);
    command
}

fn run(command: &mut Command) -> Result<()> {
    eprintln!("+ {}", shown(command));
    let status = command.status().with_context(|| {
        format!("{} cannot be started; install the packages as root", shown(command))
    })?;
    if !status.success() {
        bail!("{} failed; its reason stands above", shown(command));
    }
    Ok(())
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
