//! The DATA partition: made once, checked and grown at every boot, made again only for a
//! factory reset.
//! The slot area decides: while its record says, as shipped, that DATA was not made, a first boot
//! may have been cut in the middle of mkfs; with the mark, or without a readable record, whatever
//! lies on the partition belongs to the owner.

use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use update::slots::DataMark;

use crate::disk::BootDisk;
use crate::helper;
use crate::limits::GROW_BYTES_MIN;
use crate::logs::Logs;
use crate::partitions::{self, Plan, SECTOR_BYTES};
use crate::rawdisk::RawDisk;
use crate::resize;
use crate::slotarea::SlotStore;

/// Number of the partition.
pub(crate) const PARTITION: u32 = 7;

const MKFS: &str = "/usr/sbin/mkfs.ext4";
const FSCK: &str = "/usr/sbin/e2fsck";
const RESIZE: &str = "/usr/sbin/resize2fs";

/// One percent stays reserved, so that a full card can still be repaired and updated. No discard:
/// erasing a whole card takes minutes on some, and a fresh one gains nothing. The journal is
/// written in full at once (no lazy_journal_init): a power cut may come with the next second.
const MKFS_OPTIONS: &[&str] =
    &["-q", "-F", "-m", "1", "-J", "size=16", "-E", "nodiscard", "-L", "linnet-data"];

/// Where mkfs puts the first spare superblock of a file system with blocks of 4 KiB.
const SPARE_SUPERBLOCK: &[&str] = &["-p", "-b", "32768", "-B", "4096"];

/// Said once per boot in which e2fsck changed more than the journal.
const REPAIRED: &str = "The file system of the card had errors and was repaired. Look whether \
    anything is missing, make a backup, and replace the card if this comes again.";

/// What is known about the partition before anything is done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// The slot area says that DATA was made.
    Made,
    /// The slot area says that it was not.
    NotMade,
    /// The slot area says that the owner ordered it to be made anew.
    Reset,
    /// There is no slot area, or no record in it can be read: a blank one is no word either.
    Unknown,
}

/// What to do with the partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Make a file system, then set the mark.
    Make,
    /// Check it, and grow it when the partition is larger.
    Check {
        /// Whether the file system is smaller than its partition.
        grow: bool,
    },
    /// Its main superblock is lost: check it by the spare one, which writes the main one anew.
    CheckBySpare,
    /// Leave it alone and serve the rescue page.
    Rescue(&'static str),
}

/// The decision. `file_system_bytes` is the size that an ext4 superblock claims, if there is one.
pub(crate) fn decide(mark: Mark, file_system_bytes: Option<u64>, partition_bytes: u64) -> Decision {
    match (mark, file_system_bytes) {
        (Mark::NotMade | Mark::Reset, _) => Decision::Make,
        (Mark::Made, None) => Decision::CheckBySpare,
        (Mark::Made | Mark::Unknown, Some(bytes)) => {
            Decision::Check { grow: bytes.saturating_add(GROW_BYTES_MIN) <= partition_bytes }
        }
        (Mark::Unknown, None) => Decision::Rescue(
            "The slot area cannot be read and the data partition holds no file system, \
             so nothing was made anew. Restore a backup on a new card.",
        ),
    }
}

/// Size in bytes that an ext4 superblock (the 1024 bytes from offset 1024 of a partition) claims.
pub(crate) fn ext4_bytes(superblock: &[u8]) -> Option<u64> {
    // Kernel documentation, filesystems/ext4/super: offsets of the fields.
    let number = |at: usize| superblock.get(at..at + 4).map(|b| [b[0], b[1], b[2], b[3]]);
    let magic = superblock.get(0x38..0x3a)?;
    let blocks_low = u64::from(u32::from_le_bytes(number(0x4)?));
    let log_size = u32::from_le_bytes(number(0x18)?);
    let incompatible = u32::from_le_bytes(number(0x60)?);
    let is_64_bit = incompatible & 0x80 != 0;
    let blocks_high = if is_64_bit { u32::from_le_bytes(number(0x150)?) } else { 0 };
    let blocks = blocks_low | u64::from(blocks_high) << 32;
    (magic == [0x53, 0xef] && log_size <= 6).then(|| blocks.saturating_mul(1024 << log_size))
}

/// A partition that can be mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ready {
    /// Where it is.
    pub(crate) device: PathBuf,
    /// What the owner should know about the way there.
    pub(crate) note: Option<&'static str>,
}

/// Makes DATA ready to be mounted. An error is the reason for the rescue page.
pub(crate) fn prepare(
    disk: &BootDisk,
    slots: Option<&mut SlotStore>,
    logs: &Logs,
    moving: &mut dyn FnMut(),
) -> Result<Ready, String> {
    let found = disk.wait_for(PARTITION, &mut *moving);
    let found = found.ok_or("The card has no data partition; flash the card anew.")?;
    if let Err(why) = grow_partition(disk, logs) {
        // The smaller partition works as well.
        logs.say(&format!("The data partition was not grown: {why}."));
    }
    let partition = disk.partition(PARTITION).unwrap_or(found);
    let bytes = partition.sectors * SECTOR_BYTES as u64;
    let mark = match &slots {
        Some(slots) if slots.is_damaged() => Mark::Unknown,
        Some(slots) => match slots.area().data {
            DataMark::Made => Mark::Made,
            DataMark::NotMade => Mark::NotMade,
            DataMark::ResetOrdered => Mark::Reset,
        },
        None => Mark::Unknown,
    };
    let decision = decide(mark, read_ext4_bytes(&partition.device), bytes);
    match mark {
        Mark::NotMade => {
            logs.say("This is the first start of the card: the data partition is being made.")
        }
        Mark::Reset => logs.say("Factory reset: the data partition is being made anew."),
        Mark::Made | Mark::Unknown => {}
    }
    let repaired = match decision {
        Decision::Make => make(&partition.device, logs, moving).map(|()| false)?,
        // resize2fs insists on a full check before it.
        Decision::Check { grow: true } => {
            let repaired = check(&partition.device, &["-f", "-p"], logs, moving)?;
            grow(&partition.device, logs, moving)?;
            repaired
        }
        Decision::Check { grow: false } => check(&partition.device, &["-p"], logs, moving)?,
        Decision::CheckBySpare => check(&partition.device, SPARE_SUPERBLOCK, logs, moving)?,
        Decision::Rescue(why) => return Err(why.to_owned()),
    };
    if let Some(slots) = slots {
        let mut area = slots.area().clone();
        area.data = DataMark::Made;
        match (slots.store_for_ever(area), &decision) {
            (Ok(()), _) => {}
            (Err(error), Decision::Make) => {
                return Err(format!(
                    "The mark of the data partition was not stored: {error}. Replace the card."
                ));
            }
            // The data is sound; a bad block in the slot area is no reason to withhold it.
            (Err(error), _) => logs.say(&format!("The slot area could not be written: {error}.")),
        }
    }
    let note = repaired.then_some(REPAIRED);
    note.iter().for_each(|note| logs.say(note));
    Ok(Ready { device: partition.device, note })
}

fn read_ext4_bytes(device: &Path) -> Option<u64> {
    let mut superblock = [0; 1024];
    std::fs::File::open(device).ok()?.read_exact_at(&mut superblock, 1024).ok()?;
    ext4_bytes(&superblock)
}

fn make(device: &Path, logs: &Logs, moving: &mut dyn FnMut()) -> Result<(), String> {
    let device = device.to_string_lossy();
    let arguments = [MKFS_OPTIONS, &[&*device]].concat();
    let status = helper::run(MKFS, &arguments, logs, moving).map_err(|e| e.to_string())?;
    if !status.success() {
        return Err(format!("The data partition could not be made ({status}). Replace the card."));
    }
    // The mark must not reach the card before the file system does.
    rustix::fs::sync();
    Ok(())
}

/// Tells whether something had to be repaired; a journal that is merely played back is no damage.
fn check(
    device: &Path,
    how: &[&str],
    logs: &Logs,
    moving: &mut dyn FnMut(),
) -> Result<bool, String> {
    let device = device.to_string_lossy();
    // Progress goes to stderr: it is not buffered there, so that lines stay whole.
    let arguments = [how, &["-C", "2", &*device]].concat();
    let status = helper::run(FSCK, &arguments, logs, moving).map_err(|e| e.to_string())?;
    // e2fsck(8): 1 and 2 mean corrected, 4 and above mean not corrected.
    match status.code() {
        Some(code @ 0..4) => Ok(code != 0),
        _ => Err(format!(
            "The data partition is damaged beyond automatic repair ({status}). \
             Take a copy of the card before anything else."
        )),
    }
}

fn grow(device: &Path, logs: &Logs, moving: &mut dyn FnMut()) -> Result<(), String> {
    let name = device.to_string_lossy();
    let status = helper::run(RESIZE, &[&name], logs, moving).map_err(|e| e.to_string())?;
    if status.success() {
        logs.say("The data file system was grown to its partition.");
        return Ok(());
    }
    // It may have stopped half-way; what is mounted must be sound.
    logs.say("The data file system could not be grown and is checked again.");
    check(device, &["-f", "-p"], logs, moving).map(drop)
}

/// Grows p7 to the end of the card, in the table and in the kernel.
fn grow_partition(disk: &BootDisk, logs: &Logs) -> io::Result<()> {
    let raw = RawDisk::open(&disk.device())?;
    let sectors = disk.sectors().ok_or_else(|| io::Error::other("the card's size is unknown"))?;
    let plan: Plan = partitions::plan(sectors, |number| {
        let mut sector = [0; SECTOR_BYTES];
        let at = number * SECTOR_BYTES as u64;
        raw.read(at, &mut sector).map(|()| sector).map_err(|error| error.to_string())
    })
    .map_err(io::Error::other)?;
    for (number, sector) in &plan.writes {
        raw.write_verified(number * SECTOR_BYTES as u64, sector)?;
    }
    let known = disk.partition(PARTITION).map(|partition| partition.sectors);
    if known.is_some_and(|known| known < plan.sectors) {
        resize::resize_partition(raw.file(), PARTITION, plan.start, plan.sectors)?;
        logs.say(&format!("The data partition has {} MiB now.", plan.sectors / 2048));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn file_system_is_made_only_without_the_mark_whatever_lies_there() {
        let sizes = [None, Some(0), Some(GIB), Some(u64::MAX)];
        for mark in [Mark::Made, Mark::NotMade, Mark::Reset, Mark::Unknown] {
            for size in sizes {
                let makes = decide(mark, size, GIB) == Decision::Make;
                let may = matches!(mark, Mark::NotMade | Mark::Reset);
                assert_eq!(makes, may, "{mark:?} {size:?}");
            }
        }
    }

    #[test]
    fn file_system_grows_with_its_partition() {
        for mark in [Mark::Made, Mark::Unknown] {
            let decide = |bytes| decide(mark, Some(bytes), GIB);
            assert_eq!(decide(GIB), Decision::Check { grow: false });
            assert_eq!(decide(GIB - GROW_BYTES_MIN + 1), Decision::Check { grow: false });
            assert_eq!(decide(GIB - GROW_BYTES_MIN), Decision::Check { grow: true });
        }
    }

    #[test]
    fn lost_superblock_goes_to_its_spare_with_the_mark_and_to_rescue_without_knowledge() {
        assert_eq!(decide(Mark::Made, None, GIB), Decision::CheckBySpare);
        assert!(matches!(decide(Mark::Unknown, None, GIB), Decision::Rescue(_)));
    }

    #[test]
    fn superblock_of_real_mkfs_is_understood_and_others_are_not() {
        let mut superblock = [0u8; 1024];
        assert_eq!(ext4_bytes(&superblock), None);
        superblock[0x38..0x3a].copy_from_slice(&[0x53, 0xef]);
        superblock[0x4..0x8].copy_from_slice(&262_144u32.to_le_bytes());
        superblock[0x18] = 2;
        assert_eq!(ext4_bytes(&superblock), Some(GIB));
        superblock[0x150] = 1;
        assert_eq!(ext4_bytes(&superblock), Some(GIB), "high half counts only with 64bit");
        superblock[0x60] = 0x80;
        assert_eq!(ext4_bytes(&superblock), Some(GIB + (4096 << 32)));
        superblock[0x18] = 200;
        assert_eq!(ext4_bytes(&superblock), None);
        assert_eq!(ext4_bytes(&superblock[..100]), None);
    }
}
