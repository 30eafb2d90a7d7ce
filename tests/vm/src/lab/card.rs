//! Looking into a card and damaging it, on the host: partitions as files of their own, e2fsprogs'
//! programs on them, and what the slot area says.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use image::card::{flash_to_file, partition};
use image::fat::read_on_card;
use image::layout::{Extent, MIB};
use image::provision::{mint, provision};
use image::{Layout, Manifest};
use update::claim::ClaimToken;
use update::limits::SLOT_AREA_BYTES;
use update::slots::{Found, SlotArea, find};

/// The first slot's boot files on the card.
const BOOT_A: u32 = 2;
/// The bootloader's text files are far below this.
const TEXT_FILE_BYTES_MAX: u64 = 64 << 10;
/// DATA on the card.
pub const DATA: u32 = 7;
/// Large enough to grow on the first start; the emulated boards want a power of two.
pub const CARD_MIB: u64 = 1024;
const FSCK: &str = "/usr/sbin/e2fsck";
const DEBUGFS: &str = "/usr/sbin/debugfs";

/// A new card from `image`, provisioned; returns its claim token.
pub fn fresh(image: &Path, card: &Path) -> Result<ClaimToken> {
    flash_to_file(image, card, CARD_MIB)?;
    let minted = mint()?;
    provision(card, &minted.provisioning)?;
    Ok(minted.token)
}

/// Whether an image is a release: its kernel has its drivers built in, where the emulator's needs
/// an initramfs for them.
pub fn is_release(image: &Path) -> Result<bool> {
    let file = File::open(image).with_context(|| image.display().to_string())?;
    let place = partition(&file, BOOT_A)?;
    let config = read_on_card(&file, place, "config.txt", TEXT_FILE_BYTES_MAX)?;
    let config = config.with_context(|| format!("{} is no card of ours", image.display()))?;
    Ok(!String::from_utf8_lossy(&config).lines().any(|line| line.starts_with("initramfs ")))
}

/// Copies a file without filling its holes.
pub fn copy_sparse(from: &Path, to: &Path) -> Result<()> {
    let mut command = Command::new("cp");
    run(command.args(["--sparse=always", "--reflink=auto"]).args([from, to]))
        .with_context(|| format!("copying {}; is the disk full?", from.display()))
}

/// Where DATA lies.
pub fn data_place(card: &Path) -> Result<Extent> {
    partition(&File::open(card)?, DATA)
}

/// DATA as a file of its own, as e2fsck loses an offset when it opens the file again.
pub fn take_data(card: &Path, target: &Path) -> Result<Extent> {
    let place = data_place(card)?;
    dd(card, target, &[&format!("skip={}", place.start / MIB), "conv=sparse"])?;
    // A hole at the end is not written by dd.
    OpenOptions::new().write(true).open(target)?.set_len(place.bytes)?;
    Ok(place)
}

/// Puts it back.
pub fn put_data(card: &Path, data: &Path) -> Result<()> {
    let place = data_place(card)?;
    dd(data, card, &[&format!("seek={}", place.start / MIB), "conv=notrunc"])
}

fn dd(from: &Path, to: &Path, more: &[&str]) -> Result<()> {
    let mut command = Command::new("dd");
    command.arg(format!("if={}", from.display())).arg(format!("of={}", to.display()));
    run(command.args(["bs=1M", "status=none"]).args(more))
}

/// What init may make of DATA: `e2fsck -f -p`; `Ok(false)` when that is beyond it.
pub fn repair(data: &Path) -> Result<bool> {
    let output = Command::new(FSCK).args(["-f", "-p"]).arg(data).output().context(FSCK)?;
    Ok(matches!(output.status.code(), Some(0 | 1)))
}

/// Runs requests of debugfs(8) on a file system, one after the other.
pub fn debugfs(data: &Path, requests: &str) -> Result<String> {
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("requests");
    std::fs::write(&script, requests)?;
    let mut command = Command::new(DEBUGFS);
    let output = command.arg("-w").arg("-f").arg(&script).arg(data).output().context(DEBUGFS)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "debugfs: {text}");
    Ok(text)
}

/// Writes over a part of DATA on the card itself.
pub fn overwrite_data(card: &Path, offset: u64, bytes: &[u8]) -> Result<()> {
    let place = data_place(card)?;
    ensure!(offset + bytes.len() as u64 <= place.bytes, "beyond the end of DATA");
    Ok(OpenOptions::new().write(true).open(card)?.write_all_at(bytes, place.start + offset)?)
}

/// The slot area's record; `None` when none can be read.
pub fn slot_area(card: &File) -> Result<Option<SlotArea>> {
    let mut bytes = vec![0; SLOT_AREA_BYTES];
    let layout = Layout::compute(&Manifest::load()?, CARD_MIB * MIB)?;
    card.read_exact_at(&mut bytes, layout.slot_area.start)?;
    match find(&bytes).context("the slot area has its length")? {
        Found::Record(area, _) => Ok(Some(area)),
        Found::Damaged => Ok(None),
    }
}

fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("{name} can't be started"))?;
    if !output.status.success() {
        bail!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
