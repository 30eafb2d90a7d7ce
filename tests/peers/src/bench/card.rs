//! A file system on a device of its own, so that the kernel counts what one server writes and
//! nothing else. Needs root and loop devices; without them there is no such count.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::limits::CARD_BYTES;

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
