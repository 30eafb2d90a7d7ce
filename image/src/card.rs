//! Writes a whole card: partition table, boot partitions, both slots filled, slot records that say
//! that DATA was not made. DATA stays blank; the first boot makes it. Holes stay holes, so a card
//! file is small on the host.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use update::slots::{Slot, SlotArea};

use crate::boot::{BootParts, autoboot_files, slot_files};
use crate::fat;
use crate::layout::{Extent, Layout, MIB};
use crate::manifest::Manifest;
use crate::mbr;

/// Runs of zeros of this length are left as holes.
const HOLE_BYTES: usize = 64 << 10;

/// Writes the image file anew; on an error nothing is left behind.
pub fn write(path: &Path, manifest: &Manifest, parts: &BootParts, root: &[u8]) -> Result<Layout> {
    let layout = Layout::compute(manifest, manifest.card.image_mib * MIB)?;
    let half_built = path.with_extension("part");
    let result = fill(&half_built, manifest, &layout, parts, root);
    if result.is_ok() {
        fs::rename(&half_built, path)?;
    } else {
        fs::remove_file(&half_built).ok();
    }
    result.map(|()| layout)
}

fn fill(
    path: &Path,
    manifest: &Manifest,
    layout: &Layout,
    parts: &BootParts,
    root: &[u8],
) -> Result<()> {
    let card = File::create(path).with_context(|| format!("creating {}", path.display()))?;
    card.set_len(layout.card_bytes)?;
    for (offset, sector) in mbr::encode(layout) {
        card.write_all_at(&sector, offset)?;
    }
    let files = autoboot_files(manifest, parts)?;
    let autoboot = fat::make("AUTOBOOT", layout.disk_id, layout.autoboot.bytes, &files)?;
    put(&card, layout.autoboot, &autoboot)?;
    for copy in SlotArea::shipped() {
        card.write_all_at(&copy.bytes, layout.slot_area.start + copy.offset as u64)?;
    }
    for slot in Slot::ALL {
        let boot = layout.boot[slot.index()];
        put(&card, boot, &boot_image(manifest, layout, parts, slot)?)?;
        put(&card, layout.root[slot.index()], root).context("the root file system")?;
    }
    Ok(())
}

/// The whole content of a slot's BOOT partition.
pub fn boot_image(
    manifest: &Manifest,
    layout: &Layout,
    parts: &BootParts,
    slot: Slot,
) -> Result<Vec<u8>> {
    let files = slot_files(manifest, layout, parts, slot)?;
    let extent = layout.boot[slot.index()];
    fat::make(&format!("BOOT-{slot}"), layout.disk_id, extent.bytes, &files)
}

fn put(card: &File, extent: Extent, bytes: &[u8]) -> Result<()> {
    if bytes.len() as u64 > extent.bytes {
        bail!("{} bytes do not fit into a partition of {}", bytes.len(), extent.bytes);
    }
    for (index, chunk) in bytes.chunks(HOLE_BYTES).enumerate() {
        if chunk.iter().any(|byte| *byte != 0) {
            card.write_all_at(chunk, extent.start + (index * HOLE_BYTES) as u64)?;
        }
    }
    Ok(())
}

/// A card file of `card_mib` MiB that starts with the image, as flashing a larger card gives.
pub fn flash_to_file(image: &Path, card: &Path, card_mib: u64) -> Result<()> {
    let half_written = card.with_extension("part");
    let result = copy_sparse(image, &half_written)
        .and_then(|file| Ok(file.set_len(card_mib * MIB)?))
        .and_then(|()| Ok(fs::rename(&half_written, card)?))
        .with_context(|| format!("writing {}", card.display()));
    if result.is_err() {
        fs::remove_file(&half_written).ok();
    }
    result
}

fn copy_sparse(from: &Path, to: &Path) -> Result<File> {
    let source = File::open(from)?;
    let target = OpenOptions::new().write(true).create(true).truncate(true).open(to)?;
    let mut buffer = vec![0; HOLE_BYTES];
    let mut offset = 0;
    loop {
        let read = source.read_at(&mut buffer, offset)?;
        if read == 0 {
            target.set_len(offset)?;
            return Ok(target);
        }
        if buffer[..read].iter().any(|byte| *byte != 0) {
            target.write_all_at(&buffer[..read], offset)?;
        }
        offset += read as u64;
    }
}

/// Copies one partition from a card to the same place of another.
pub fn copy_partition(from: &File, to: &File, place: Extent) -> Result<()> {
    let mut buffer = vec![0; HOLE_BYTES];
    let mut offset = place.start;
    while offset < place.end() {
        let bytes = buffer.len().min((place.end() - offset) as usize);
        from.read_exact_at(&mut buffer[..bytes], offset)?;
        to.write_all_at(&buffer[..bytes], offset)?;
        offset += bytes as u64;
    }
    Ok(())
}

/// The partition with this number on an existing card or image.
pub fn partition(card: &File, number: u32) -> Result<Extent> {
    let parts = mbr::decode(|offset| {
        let mut sector = [0; mbr::SECTOR];
        card.read_exact_at(&mut sector, offset)?;
        Ok(sector)
    })?;
    let found = parts.into_iter().find(|part| part.number == number);
    found.map(|part| part.extent).with_context(|| format!("the card has no partition {number}"))
}

#[cfg(test)]
mod tests {
    use update::slots::{Found, find, find_older};

    use super::*;

    fn parts() -> BootParts {
        let names = ["start4.elf", "fixup4.dat", "bcm2711-rpi-4-b.dtb", "kernel8.img"];
        let files = names.iter().map(|name| ((*name).to_owned(), name.as_bytes().to_vec()));
        BootParts { files: files.collect(), cmdline: String::new() }
    }

    #[test]
    fn both_slots_are_filled_and_both_slot_records_allow_the_first_boot_to_make_data() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("card.img");
        let root = vec![9; 100_000];
        let layout = write(&path, &Manifest::load().unwrap(), &parts(), &root).unwrap();
        let card = File::open(&path).unwrap();
        for slot in Slot::ALL {
            let extent = partition(&card, slot.root_partition()).unwrap();
            let mut read = vec![0; root.len()];
            card.read_exact_at(&mut read, extent.start).unwrap();
            assert_eq!(read, root);
            let boot = partition(&card, slot.boot_partition()).unwrap();
            let kernel = fat::read_on_card(&card, boot, "kernel8.img", 100).unwrap();
            assert_eq!(kernel.as_deref(), Some(b"kernel8.img".as_slice()));
        }
        let mut area = vec![1; usize::try_from(layout.slot_area.bytes).unwrap()];
        card.read_exact_at(&mut area, layout.slot_area.start).unwrap();
        let shipped = SlotArea::fresh();
        assert!(shipped.data.is_to_be_made());
        assert_eq!(find(&area), Ok(Found::Record(shipped.clone(), 2)));
        assert_eq!(find_older(&area), Ok(Some(shipped)));
    }

    #[test]
    fn a_card_file_that_cannot_be_written_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let (image, card) = (folder.path().join("a.img"), folder.path().join("card.img"));
        fs::write(&image, [1; 4096]).unwrap();
        fs::create_dir(&card).unwrap();
        assert!(flash_to_file(&image, &card, 1).is_err());
        assert!(!card.with_extension("part").exists());
    }

    #[test]
    fn a_root_that_is_too_large_leaves_no_file_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("card.img");
        let root = vec![1; 121 << 20];
        assert!(write(&path, &Manifest::load().unwrap(), &parts(), &root).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
