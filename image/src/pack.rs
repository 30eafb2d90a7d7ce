//! Packs the root folder into squashfs and the card into `.img.zst`, and holds both to their
//! budgets. Equal input gives equal bytes: fixed times, one owner, sorted input.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use liblzma::stream::{Check, Filters, LzmaOptions, Stream};
use liblzma::write::XzEncoder;

use crate::layout::MIB;

/// The distance at which the second slot's copy is found: 2^27 bytes.
const WINDOW_LOG: u32 = 27;
/// Level 9 packs the emulator's card in seconds; a release can spend more.
pub const LEVEL_EMULATOR: i32 = 9;
pub const LEVEL_RELEASE: i32 = 19;
/// xz finds the second slot's copy when its dictionary reaches that far: slot starts lie less than
/// 128 MiB apart, and the boot partitions between them count.
const XZ_DICTIONARY_BYTES: u32 = 192 << 20;
const XZ_PRESET: u32 = 6;
/// The kernel accepts squashfs blocks up to 1 MiB; large ones compress better.
const SQUASHFS_BLOCK: &str = "256K";

/// Packs `folder` with every file owned by root and dated 1970.
pub fn squashfs(folder: &Path, target: &Path) -> Result<Vec<u8>> {
    fs::remove_file(target).ok();
    let output = Command::new("mksquashfs")
        .args([folder, target])
        .args(["-comp", "zstd", "-b", SQUASHFS_BLOCK, "-all-root", "-no-xattrs", "-noappend"])
        .args(["-mkfs-time", "0", "-all-time", "0", "-no-progress", "-quiet"])
        .env_remove("SOURCE_DATE_EPOCH") // it contradicts the explicit times
        .output()
        .context("mksquashfs is missing; install the package squashfs-tools")?;
    if !output.status.success() {
        bail!("mksquashfs: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(fs::read(target)?)
}

/// Compresses a card image and refuses one over its budget; returns the compressed size.
pub fn compress(image: &Path, target: &Path, level: i32, budget_mib: u64) -> Result<u64> {
    whole_or_nothing(target, |half_written| {
        let bytes = zstd_file(image, half_written, level)
            .with_context(|| format!("compressing {}", image.display()))?;
        within_budget(bytes, budget_mib)
    })
}

/// The same card for imagers that do not know zstd. One block, so that equal input gives equal
/// bytes whatever the number of processors.
pub fn compress_xz(image: &Path, target: &Path) -> Result<u64> {
    whole_or_nothing(target, |half_written| {
        xz_file(image, half_written).with_context(|| format!("compressing {}", image.display()))
    })
}

/// Lets `target` appear under its name only when `write` succeeded, and leaves nothing else.
fn whole_or_nothing(target: &Path, write: impl FnOnce(&Path) -> Result<u64>) -> Result<u64> {
    let half_written = target.with_extension("part");
    match write(&half_written) {
        Ok(bytes) => {
            fs::rename(&half_written, target)?;
            Ok(bytes)
        }
        Err(error) => {
            fs::remove_file(&half_written).ok();
            Err(error)
        }
    }
}

fn xz_file(image: &Path, target: &Path) -> Result<u64> {
    let mut options = LzmaOptions::new_preset(XZ_PRESET)?;
    options.dict_size(XZ_DICTIONARY_BYTES);
    let mut filters = Filters::new();
    filters.lzma2(&options);
    let stream = Stream::new_stream_encoder(&filters, Check::Crc64)?;
    let mut encoder = XzEncoder::new_stream(BufWriter::new(File::create(target)?), stream);
    std::io::copy(&mut BufReader::new(File::open(image)?), &mut encoder)?;
    encoder.finish()?.flush()?;
    Ok(fs::metadata(target)?.len())
}

fn within_budget(bytes: u64, budget_mib: u64) -> Result<u64> {
    if bytes > budget_mib * MIB {
        bail!(
            "the compressed image has {:.1} MiB, its budget in image.toml is {budget_mib} MiB",
            bytes as f64 / MIB as f64
        );
    }
    Ok(bytes)
}

fn zstd_file(image: &Path, target: &Path, level: i32) -> Result<u64> {
    let mut source = BufReader::new(File::open(image)?);
    let mut encoder = zstd::Encoder::new(BufWriter::new(File::create(target)?), level)?;
    encoder.long_distance_matching(true)?;
    encoder.window_log(WINDOW_LOG)?;
    encoder.include_checksum(true)?;
    encoder.set_pledged_src_size(Some(source.get_ref().metadata()?.len()))?;
    std::io::copy(&mut source, &mut encoder)?;
    encoder.finish()?.flush()?;
    Ok(fs::metadata(target)?.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_slots_copy_costs_almost_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (image, packed) = (folder.path().join("a.img"), folder.path().join("a.img.zst"));
        let mut noise = 1u32;
        let slot: Vec<u8> = std::iter::repeat_with(|| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (noise >> 24) as u8
        })
        .take(2 << 20)
        .collect();
        let gap = vec![0; 100 << 20];
        fs::write(&image, [&slot[..], &gap, &slot].concat()).unwrap();
        let bytes = compress(&image, &packed, 3, 60).unwrap();
        assert!(bytes < 2 * MIB + MIB / 4, "{bytes}");
    }

    #[test]
    fn an_image_over_its_budget_fails_and_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let (image, packed) = (folder.path().join("a.img"), folder.path().join("a.img.zst"));
        fs::write(&image, b"one byte is too much").unwrap();
        let error = compress(&image, &packed, 3, 0).unwrap_err();
        assert!(error.to_string().contains("budget"));
        assert!(!packed.exists() && !packed.with_extension("part").exists());
    }
}
