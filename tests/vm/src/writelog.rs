//! Power cuts from QEMU's write log (`blklogwrites`, the format of Linux' dm-log-writes): the log
//! replayed onto the card as it was before, up to a flush; of what came after it, a sample is
//! kept, torn or lost, in any order, as a card without power may do.
//!
//! QEMU logs a request when it is done. So what stands before a flush in the log is durable, and
//! what stands after it is not, unless it was written with "force unit access".

mod plan;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use image::layout::Extent;

pub use plan::{Cut, Step, plan};

const MAGIC: u64 = 0x006a_7366_7773_6872;
const VERSION: u64 = 1;
const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;
/// QEMU's sectors in the log are 512 bytes unless told otherwise; the kernel knows up to 64 KiB.
const SECTOR_BYTES_MAX: u64 = 64 << 10;
/// One request of a guest is far below this; more is a damaged log.
const REQUEST_BYTES_MAX: u64 = 256 << 20;

/// One request that the guest's disk finished. Places are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    pub offset: u64,
    pub bytes: u64,
    pub kind: Kind,
    /// The disk finished a flush before it finished this request's data.
    pub flush: bool,
    /// Durable by itself once finished.
    pub force_unit_access: bool,
    /// Where the data lies in the log; meaningless without data.
    data: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Write,
    /// The content becomes undefined; replayed as zeros, as the emulated disk gives.
    Discard,
    /// Only a flush, or a mark.
    Nothing,
}

#[derive(Debug)]
pub struct WriteLog {
    file: File,
    sector_bytes: u64,
    pub entries: Vec<Entry>,
}

impl WriteLog {
    /// Reads the log's index. A log cut short, as a killed QEMU leaves it, ends at its last whole
    /// entry.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| path.display().to_string())?;
        let mut head = [0; 28];
        file.read_exact_at(&mut head, 0).context("the write log has no header")?;
        if word(&head, 0) != MAGIC || word(&head, 8) != VERSION {
            bail!("{} is not a write log of version {VERSION}", path.display());
        }
        let sector_bytes = u64::from(u32::from_le_bytes(
            *head[24..].first_chunk().expect("the header has 28 bytes"),
        ));
        if !sector_bytes.is_power_of_two() || !(512..=SECTOR_BYTES_MAX).contains(&sector_bytes) {
            bail!("{}: sectors of {sector_bytes} bytes", path.display());
        }
        let mut log = Self { file, sector_bytes, entries: Vec::new() };
        log.read_index()?;
        Ok(log)
    }

    /// How many flushes the log holds: cut points are numbered from 0 up to this, included.
    pub fn flushes(&self) -> usize {
        self.entries.iter().filter(|entry| entry.flush).count()
    }

    /// Bytes of a sector: no write is torn within one.
    pub fn sector_bytes(&self) -> u64 {
        self.sector_bytes
    }

    /// What a request wrote; a discard gives zeros, as on the emulated disk.
    pub fn data(&self, entry: &Entry) -> Result<Vec<u8>> {
        let mut data = vec![0; usize::try_from(entry.bytes)?];
        if entry.kind == Kind::Write {
            self.file.read_exact_at(&mut data, entry.data)?;
        }
        Ok(data)
    }

    /// How many flushes were done when the log had this many bytes.
    pub fn flushes_within(&self, log_bytes: u64) -> usize {
        let whole = self.entries.iter().take_while(|entry| {
            let data = if entry.kind == Kind::Write { entry.bytes } else { 0 };
            entry.data + data <= log_bytes
        });
        whole.filter(|entry| entry.flush).count()
    }

    /// Brings `card`, a copy from before the logged run, to its state after the cut.
    pub fn replay(&self, card: &File, cut: Cut) -> Result<()> {
        self.replay_part(card, Extent { start: 0, bytes: u64::MAX }, cut)
    }

    /// The same for a copy of one part of the card. No request crosses a partition's border.
    pub fn replay_part(&self, copy: &File, part: Extent, cut: Cut) -> Result<()> {
        for step in plan(&self.entries, cut, self.sector_bytes) {
            let entry = &self.entries[step.entry];
            if !(part.start..part.start.saturating_add(part.bytes)).contains(&entry.offset) {
                continue;
            }
            for extent in &step.pieces {
                let mut data = vec![0; usize::try_from(extent.bytes)?];
                if entry.kind == Kind::Write {
                    self.file.read_exact_at(&mut data, entry.data + extent.start)?;
                }
                copy.write_all_at(&data, entry.offset + extent.start - part.start)?;
            }
        }
        Ok(())
    }

    fn read_index(&mut self) -> Result<()> {
        let end = self.file.metadata()?.len();
        let mut at = self.sector_bytes;
        let mut head = [0; 32];
        while at + self.sector_bytes <= end {
            self.file.read_exact_at(&mut head, at)?;
            let entry = self.entry(&head, at + self.sector_bytes)?;
            // Room that was never written: the end of a log whose header was not updated.
            if entry.kind == Kind::Nothing && !entry.flush && word(&head, 16) == 0 {
                return Ok(());
            }
            let data = if entry.kind == Kind::Write { entry.bytes } else { 0 };
            at = entry.data + data.next_multiple_of(self.sector_bytes);
            if at > end {
                return Ok(());
            }
            self.entries.push(entry);
        }
        Ok(())
    }

    fn entry(&self, head: &[u8; 32], data: u64) -> Result<Entry> {
        let [sector, sectors, flags] = [0, 8, 16].map(|at| word(head, at));
        let bytes = sectors.checked_mul(self.sector_bytes).filter(|n| *n <= REQUEST_BYTES_MAX);
        let offset = sector.checked_mul(self.sector_bytes);
        let (Some(offset), Some(bytes)) = (offset, bytes) else {
            bail!("the write log is damaged: a request for {sectors} sectors at {sector}");
        };
        let kind = match bytes {
            0 => Kind::Nothing,
            _ if flags & DISCARD != 0 => Kind::Discard,
            _ => Kind::Write,
        };
        Ok(Entry {
            offset,
            bytes,
            kind,
            flush: flags & FLUSH != 0,
            force_unit_access: flags & FUA != 0,
            data,
        })
    }
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("callers pass whole headers"))
}

#[cfg(test)]
mod tests;
