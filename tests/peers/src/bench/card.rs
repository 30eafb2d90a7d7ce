//! A file system on a device of its own, so that the kernel counts what one server writes and
//! nothing else. Needs root and loop devices; without them there is no such count.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use rustix::fs::{major, minor};

use super::limits::{CARD_BYTES, QUIET, QUIET_WITHIN, START_STEP};

/// Place of the count in a block device's `stat`, and its unit (kernel documentation, `iostats`).
const SECTORS_WRITTEN: usize = 6;
const SECTOR_BYTES: u64 = 512;

/// A mounted file system; it is unmounted with this value.
pub(super) struct Card {
    folder: PathBuf,
}

impl Card {
    /// Makes and mounts one under a folder.
    pub(super) fn mount(under: &Path) -> Result<Self> {
        let (image, folder) = (under.join("card.img"), under.join("card"));
        File::create(&image)?.set_len(CARD_BYTES)?;
        std::fs::create_dir_all(&folder)?;
        // Lazy initialisation would write beside the run.
        let lazy = "lazy_itable_init=0,lazy_journal_init=0";
        succeed(Command::new("mkfs.ext4").args(["-q", "-E", lazy]).arg(&image))?;
        succeed(Command::new("mount").args(["-o", "loop,noatime"]).arg(&image).arg(&folder))?;
        Ok(Self { folder })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Card {
    /// Waits until a server has prepared its files, and these are on the device.
    pub(super) fn settle(&self) -> Result<()> {
        let (begun, mut changed) = (Instant::now(), Instant::now());
        let mut last = files(&self.folder);
        while changed.elapsed() < QUIET {
            ensure!(begun.elapsed() < QUIET_WITHIN, "the server goes on preparing its files");
            std::thread::sleep(START_STEP);
            let now = files(&self.folder);
            if now != last {
                (last, changed) = (now, Instant::now());
            }
        }
        succeed(Command::new("sync").arg("-f").arg(&self.folder))
    }
}

impl Card {
    /// Bytes that the device was given to write so far.
    pub(super) fn bytes_written(&self) -> Result<u64> {
        let device = std::fs::metadata(&self.folder)?.dev();
        let name = format!("/sys/dev/block/{}:{}/stat", major(device), minor(device));
        let text = std::fs::read_to_string(&name).with_context(|| name.clone())?;
        let sectors = text.split_whitespace().nth(SECTORS_WRITTEN).and_then(|it| it.parse().ok());
        let sectors: u64 = sectors.with_context(|| format!("{name} has another form"))?;
        Ok(sectors * SECTOR_BYTES)
    }
}

/// Every file under a folder, with its size.
fn files(folder: &Path) -> Vec<(PathBuf, u64)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.metadata() {
            Ok(facts) if facts.is_dir() => all.extend(files(&entry.path())),
            Ok(facts) => all.push((entry.path(), facts.len())),
            Err(_) => {} // renamed or removed meanwhile: the next look shows it
        }
    }
    all.sort();
    all
}

impl Drop for Card {
    fn drop(&mut self) {
        if let Err(error) = succeed(Command::new("umount").arg(&self.folder)) {
            eprintln!("{} stays mounted: {error:#}", self.folder.display());
        }
    }
}

fn succeed(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("{name} can't be started"))?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    ensure!(output.status.success(), "{name}: {said}");
    Ok(())
}
