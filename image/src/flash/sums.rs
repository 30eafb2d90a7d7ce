//! `SHA256SUMS` beside an image, as `sha256sum` writes and reads it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use update::hex;

use super::{PIECE_BYTES, Progress, Step};

const FILE_NAME: &str = "SHA256SUMS";
/// A release has a handful of lines.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What the checksum said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// It fits.
    Right,
    /// There is no such file beside the image.
    NoSums,
    /// There is one, and it does not name the image.
    NotListed,
}

/// Compares the image with the list beside it, if there is one.
pub(super) fn check(image: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Checked> {
    let list = image.with_file_name(FILE_NAME);
    if !list.is_file() {
        return Ok(Checked::NoSums);
    }
    let mut text = String::new();
    let file = File::open(&list).with_context(|| list.display().to_string())?;
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).context("SHA256SUMS is not a text")?;
    let name = image.file_name().unwrap_or_default().to_string_lossy();
    let Some(expected) = find(&text, &name)? else { return Ok(Checked::NotListed) };
    if digest(image, progress)? != expected {
        bail!("{} does not fit its checksum in SHA256SUMS; get it again", image.display());
    }
    Ok(Checked::Right)
}

fn find(text: &str, name: &str) -> Result<Option<[u8; 32]>> {
    for line in text.lines() {
        // A star marks binary mode; it means nothing here.
        let fields = line.split_once(' ');
        let Some((digits, rest)) = fields else { continue };
        if rest.strip_prefix([' ', '*']) == Some(name) {
            let digest = hex::decode(digits);
            return digest.map(Some).with_context(|| format!("SHA256SUMS is damaged at {name}"));
        }
    }
    Ok(None)
}

fn digest(image: &Path, progress: &mut dyn FnMut(Progress)) -> Result<[u8; 32]> {
    let mut file = File::open(image).with_context(|| image.display().to_string())?;
    let total = file.metadata()?.len();
    let (mut hash, mut done) = (Sha256::new(), 0);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let bytes = super::read_full(&mut file, &mut piece)?;
        if bytes == 0 {
            return Ok(hash.finalize().into());
        }
        hash.update(&piece[..bytes]);
        done += bytes as u64;
        progress(Progress { step: Step::Checking, done, total });
    }
}
