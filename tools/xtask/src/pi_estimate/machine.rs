//! Kernel, initramfs and work disk of the counting machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use image::Manifest;
use image::debian::{Debian, Wanted};
use tempfile::TempDir;

use super::plan::{self, Step};
use crate::cross::Toolchain;
use crate::setup;

/// Programs, and a log for each step: segments are prepared ahead.
const DISK_SIZE: &str = "2G";

/// e2fsprogs lies where an ordinary user's PATH does not reach.
const MKE2FS: &str = "/usr/sbin/mke2fs";

/// What the plan starts in the guest.
const PROGRAMS: [&str; 4] = ["linnetd", "linnet-seed", "linnet-floor", "linnet-bench"];
/// The guest's first program.
const GUEST: &str = "linnet-guest";

/// `kernel`, `initramfs` and `disk` in a folder that goes with this value.
pub(super) struct Built {
    pub(super) folder: TempDir,
    pub(super) kernel_name: String,
}

pub(super) fn build(tree: &Path, steps: &[Step], install: bool) -> Result<Built> {
    let packages = ["-p", "linnetd", "-p", "linnet-peers", "-p", GUEST];
    let programs = Toolchain::find(install)?.build_static(tree, &packages)?;
    let (manifest, cache) = (Manifest::load()?, setup::cache_folder()?);
    let wanted = Wanted { manifest: &manifest, kernel: &manifest.emulator.kernel, cache: &cache };
    let debian = Debian::cached(wanted, false, &|line| eprintln!("    {line}"))?;
    let parts = debian.boot_parts(&manifest, &programs.join(GUEST))?;
    let folder = tempfile::Builder::new().prefix("pi-estimate-").tempdir()?;
    for (name, part) in [("kernel", "kernel8.img"), ("initramfs", "initramfs.img")] {
        let bytes = parts.files.get(part).with_context(|| format!("no {part} among the parts"))?;
        fs::write(folder.path().join(name), bytes)?;
    }
    write_disk(folder.path(), &programs, steps)?;
    Ok(Built { folder, kernel_name: debian.kernel_name })
}

/// An ext4 file system with `bin` and `plan`, made without any privilege.
fn write_disk(folder: &Path, programs: &Path, steps: &[Step]) -> Result<()> {
    let content: PathBuf = folder.join("content");
    fs::create_dir_all(content.join("bin"))?;
    for name in PROGRAMS {
        let from = programs.join(name);
        fs::copy(&from, content.join("bin").join(name))
            .with_context(|| from.display().to_string())?;
    }
    fs::write(content.join("plan"), plan::text(steps))?;
    let mut command = Command::new(MKE2FS);
    command.args(["-q", "-t", "ext4", "-d"]).arg(&content).arg(folder.join("disk")).arg(DISK_SIZE);
    let status = command.status().with_context(|| format!("{MKE2FS} can't be started"))?;
    if !status.success() {
        bail!("{MKE2FS} made no disk; its reason stands above");
    }
    Ok(())
}
