//! `linnet flash`: a published image becomes a card that belongs to somebody. Everything that can
//! be known is checked before the first byte is written; the result appears under its name only
//! when it was read back and provisioned.

mod source;
mod sums;

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use update::provision::Provisioning;

use crate::layout::MIB;
use crate::provision::provision;
use source::Source;

pub use sums::Checked;

/// Bytes that are read, hashed and written at once; a run of zeros of this length stays a hole.
const PIECE_BYTES: usize = 256 << 10;

/// What to make of what.
#[derive(Debug)]
pub struct Plan<'a> {
    /// `.img`, `.img.zst` or `.img.xz`, told apart by content.
    pub image: &'a Path,
    /// The card file.
    pub file: &'a Path,
    /// Its size in bytes.
    pub card_bytes: u64,
    /// Replace a file that is there.
    pub force: bool,
    pub provisioning: &'a Provisioning,
}

/// How far it is, for a progress bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub step: Step,
    pub done: u64,
    pub total: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The image's checksum, in bytes of the file as it was downloaded.
    Checking,
    /// In bytes of the unpacked image.
    Writing,
    /// The same once more.
    ReadingBack,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flashed {
    pub checked: Checked,
    /// Length of the unpacked image.
    pub image_bytes: u64,
}

/// Makes the card file.
///
/// # Errors
/// With nothing written when the image is damaged or none of ours, the card is too small or the
/// target is there or a device; with nothing left behind when writing failed.
pub fn flash(plan: &Plan<'_>, progress: &mut dyn FnMut(Progress)) -> Result<Flashed> {
    check_target(plan.file, plan.force)?;
    let checked = sums::check(plan.image, progress)?;
    let mut source = Source::open(plan.image)?;
    let needed = source.image_bytes();
    if plan.card_bytes < needed {
        bail!(
            "the card is too small: this image needs at least {} MiB, {} were asked for",
            needed.div_ceil(MIB),
            plan.card_bytes / MIB
        );
    }
    let part = part_of(plan.file);
    let result = fill(&part, plan, &mut source, progress)
        .and_then(|()| Ok(fs::rename(&part, plan.file)?))
        .with_context(|| format!("writing {}", plan.file.display()));
    if result.is_err() {
        fs::remove_file(&part).ok();
    }
    result.map(|()| Flashed { checked, image_bytes: needed })
}

/// Refuses what must not be written to.
pub(crate) fn refuse_device(path: &Path) -> Result<()> {
    let kind = fs::metadata(path).map(|facts| facts.file_type());
    if kind.is_ok_and(|kind| kind.is_block_device() || kind.is_char_device()) {
        bail!(
            "{} is a device, and this version writes to files only; make a file and write it to \
             the card with the program you trust for that",
            path.display()
        );
    }
    Ok(())
}

fn check_target(file: &Path, force: bool) -> Result<()> {
    refuse_device(file)?;
    if file.is_dir() {
        bail!("{} is a folder; name a file in it", file.display());
    }
    if !force && file.try_exists()? {
        bail!("{} is there already; pass --force to replace it", file.display());
    }
    Ok(())
}

fn part_of(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    file.with_file_name(name)
}

fn fill(
    part: &Path,
    plan: &Plan<'_>,
    source: &mut Source,
    progress: &mut dyn FnMut(Progress),
) -> Result<()> {
    fs::remove_file(part).ok();
    let mut options = OpenOptions::new();
    // The card holds the Wi-Fi passphrase: not for other users of this computer.
    let card = options.read(true).write(true).create_new(true).mode(0o600).open(part)?;
    card.set_len(plan.card_bytes)?;
    let written = write_image(source, &card, progress)?;
    card.sync_all()?;
    if read_back(&card, source.image_bytes(), progress)? != written {
        bail!("the file does not read back as it was written; is the disk well?");
    }
    provision(part, plan.provisioning)
}

/// Copies the image and returns its digest. Zeros stay holes.
fn write_image(
    source: &mut Source,
    card: &File,
    progress: &mut dyn FnMut(Progress),
) -> Result<[u8; 32]> {
    let total = source.image_bytes();
    let (mut hash, mut done) = (Sha256::new(), 0);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let bytes = read_full(source, &mut piece)?;
        if bytes == 0 {
            break;
        }
        let piece = &piece[..bytes];
        if piece.iter().any(|byte| *byte != 0) {
            card.write_all_at(piece, done)?;
        }
        hash.update(piece);
        done += bytes as u64;
        progress(Progress { step: Step::Writing, done, total });
    }
    Ok(hash.finalize().into())
}

fn read_back(card: &File, total: u64, progress: &mut dyn FnMut(Progress)) -> Result<[u8; 32]> {
    let (mut hash, mut done) = (Sha256::new(), 0);
    let mut piece = vec![0; PIECE_BYTES];
    while done < total {
        let bytes = piece.len().min(usize::try_from(total - done).unwrap_or(usize::MAX));
        card.read_exact_at(&mut piece[..bytes], done)?;
        hash.update(&piece[..bytes]);
        done += bytes as u64;
        progress(Progress { step: Step::ReadingBack, done, total });
    }
    Ok(hash.finalize().into())
}

/// Fills `piece` unless the stream ends before.
fn read_full(from: &mut impl Read, piece: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < piece.len() {
        match from.read(&mut piece[filled..]) {
            Ok(0) => break,
            Ok(bytes) => filled += bytes,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests;
