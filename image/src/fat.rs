//! FAT file systems: made in memory with fixed ids and times, so that equal files give equal bytes;
//! read and written in place on an existing card.

use std::fs::File;
use std::io::{Cursor, ErrorKind, Read, Seek, SeekFrom, Write};

use anyhow::{Context, Result, bail};
use fatfs::{Dir, FileSystem, FormatVolumeOptions, FsOptions};

use crate::layout::{Extent, SECTOR_BYTES};
use crate::window::Window;

/// A file for the root folder of a FAT partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FatFile {
    pub name: String,
    pub bytes: Vec<u8>,
}

impl FatFile {
    pub fn new(name: &str, bytes: impl Into<Vec<u8>>) -> Self {
        Self { name: name.to_owned(), bytes: bytes.into() }
    }
}

/// A whole file system of `bytes` bytes with these files in its root folder, in this order.
pub fn make(label: &str, volume_id: u32, bytes: u64, files: &[FatFile]) -> Result<Vec<u8>> {
    let mut disk = Cursor::new(vec![0; usize::try_from(bytes)?]);
    let options = FormatVolumeOptions::new()
        .total_sectors(u32::try_from(bytes / SECTOR_BYTES)?)
        .volume_id(volume_id)
        .volume_label(padded_label(label)?);
    fatfs::format_volume(&mut disk, options).context("formatting a boot partition")?;
    {
        let system = FileSystem::new(&mut disk, FsOptions::new())?;
        for file in files {
            write_file(&system.root_dir(), file).with_context(|| {
                format!("{} ({} bytes) into {label}", file.name, file.bytes.len())
            })?;
        }
        system.unmount()?;
    }
    Ok(disk.into_inner())
}

/// Replaces one file of a FAT partition on a card, leaving all else as it is. The new content lies
/// on the card, read back, before the old one goes; cut short, the card has one of the two, perhaps
/// under the name with `.new` behind it, which the next attempt clears away.
pub fn replace_on_card(card: &File, partition: Extent, file: &FatFile) -> Result<()> {
    let new = FatFile::new(&format!("{}.new", file.name), file.bytes.clone());
    with_root(card, partition, |root| write_file(root, &new))?;
    verify(card, partition, &new)?;
    with_root(card, partition, |root| {
        match root.remove(&file.name) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        Ok(root.rename(&new.name, root, &file.name)?)
    })?;
    verify(card, partition, file)
}

/// Does something to the root folder of a partition and waits until the card has it.
fn with_root(
    card: &File,
    partition: Extent,
    work: impl FnOnce(&Dir<'_, Window<'_>>) -> Result<()>,
) -> Result<()> {
    let system = FileSystem::new(Window::new(card, partition), FsOptions::new())
        .context("its first partition holds no FAT file system")?;
    work(&system.root_dir())?;
    system.unmount()?;
    card.sync_all()?;
    Ok(())
}

fn verify(card: &File, partition: Extent, file: &FatFile) -> Result<()> {
    let read = read_on_card(card, partition, &file.name, file.bytes.len() as u64)?;
    if read.as_deref() != Some(&file.bytes) {
        bail!("{} does not read back as it was written; is the card well?", file.name);
    }
    Ok(())
}

/// Reads one file of a FAT partition on a card; `None` when it is not there.
pub fn read_on_card(
    card: &File,
    partition: Extent,
    name: &str,
    bytes_max: u64,
) -> Result<Option<Vec<u8>>> {
    let system = FileSystem::new(Window::new(card, partition), FsOptions::new())
        .context("the partition holds no FAT file system")?;
    let file = match system.root_dir().open_file(name) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("opening {name}")),
    };
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        bail!("{name} is larger than {bytes_max} bytes");
    }
    Ok(Some(bytes))
}

fn write_file<T: Read + Write + Seek>(root: &Dir<'_, T>, file: &FatFile) -> Result<()> {
    let mut target = root.create_file(&file.name)?;
    target.seek(SeekFrom::Start(0))?;
    target.truncate()?;
    target.write_all(&file.bytes)?;
    target.flush()?;
    Ok(())
}

fn padded_label(label: &str) -> Result<[u8; 11]> {
    let mut padded = [b' '; 11];
    let Some(room) = padded.get_mut(..label.len()) else {
        bail!("the label {label} has more than 11 characters");
    };
    room.copy_from_slice(label.as_bytes());
    Ok(padded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::MIB;
    use std::os::unix::fs::FileExt;

    fn card(files: &[FatFile]) -> (File, Extent) {
        let bytes = make("TEST", 1, 16 * MIB, files).unwrap();
        let card = tempfile::tempfile().unwrap();
        card.write_all_at(&bytes, MIB).unwrap();
        (card, Extent { start: MIB, bytes: 16 * MIB })
    }

    #[test]
    fn equal_files_give_equal_bytes() {
        let files = [FatFile::new("cmdline.txt", "quiet"), FatFile::new("kernel8.img", [7; 5000])];
        assert_eq!(
            make("A", 1, 16 * MIB, &files).unwrap(),
            make("A", 1, 16 * MIB, &files).unwrap()
        );
    }

    #[test]
    fn a_replaced_file_reads_back_and_its_neighbours_stay() {
        let (card, extent) = card(&[FatFile::new("a", "one"), FatFile::new("linnet.toml", "long")]);
        replace_on_card(&card, extent, &FatFile::new("linnet.toml", "new")).unwrap();
        let read = |name| read_on_card(&card, extent, name, 100).unwrap();
        assert_eq!(read("linnet.toml").as_deref(), Some(b"new".as_slice()));
        assert_eq!(read("a").as_deref(), Some(b"one".as_slice()));
        assert_eq!(read("absent"), None);
    }

    #[test]
    fn what_an_attempt_left_that_was_cut_short_is_cleared_away_by_the_next() {
        let left = [
            vec![FatFile::new("linnet.toml", "old"), FatFile::new("linnet.toml.new", [7; 9000])],
            vec![FatFile::new("linnet.toml.new", "whole, and the old one is gone")],
            vec![],
        ];
        for files in left {
            let (card, extent) = card(&files);
            replace_on_card(&card, extent, &FatFile::new("linnet.toml", "new")).unwrap();
            let read = |name| read_on_card(&card, extent, name, 10_000).unwrap();
            assert_eq!(read("linnet.toml").as_deref(), Some(b"new".as_slice()));
            assert_eq!(read("linnet.toml.new"), None);
        }
    }

    #[test]
    fn a_file_over_the_readers_limit_and_files_over_the_partition_are_errors() {
        let (card, extent) = card(&[FatFile::new("a", vec![0; 200])]);
        assert!(read_on_card(&card, extent, "a", 100).is_err());
        let large = [FatFile::new("kernel8.img", vec![1; 20 << 20])];
        let error = make("A", 1, 16 * MIB, &large).unwrap_err();
        assert!(error.to_string().contains("kernel8.img"));
    }
}
