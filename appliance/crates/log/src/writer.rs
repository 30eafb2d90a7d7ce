//! The writer: one append is one `pwrite` and one `fdatasync` on bytes that were written before,
//! so that the file system has nothing to journal. After a failed write it refuses everything.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::batch::Batch;
use crate::disk::{Disk, DiskError};
use crate::error::LogError;
use crate::format::{self, Hash, Identity};
use crate::limits::SECTOR_BYTES;
use crate::names::SegmentName;
use crate::options::Options;
use crate::reader::{LogReader, Shared, position};
use crate::record::Position;
use crate::shelf::{Shelf, TakeError};

/// The only writer of a log. Not cloneable; lives on the disk thread.
pub struct Log<D: Disk> {
    disk: D,
    options: Options,
    shelf: Shelf,
    reader: LogReader<D>,
    shared: Arc<Shared>,
    tail: TailSegment<D>,
    next_offset: u64,
    previous: Hash,
    poisoned: bool,
    buffer: Vec<u8>,
}

/// The segment being written.
pub(crate) struct TailSegment<D: Disk> {
    pub(crate) name: SegmentName,
    pub(crate) file: Arc<D::File>,
    pub(crate) at: u64,
    pub(crate) capacity: u64,
}

/// A batch that is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    pub first_offset: u64,
    pub last_offset: u64,
    pub segment: u32,
    pub byte: u64,
}

impl Appended {
    /// Where the record with this index in the batch lies.
    #[must_use]
    pub fn position(&self, index: usize) -> Position {
        position(self.segment, self.byte, index)
    }
}

/// What recovery hands to the writer.
pub(crate) struct Recovered<D: Disk> {
    pub(crate) tail: TailSegment<D>,
    pub(crate) next_offset: u64,
    pub(crate) previous: Hash,
    pub(crate) segments: Vec<SegmentName>,
}

impl<D: Disk> Log<D> {
    pub(crate) fn start(disk: D, options: Options, shelf: Shelf, found: Recovered<D>) -> Self {
        let verify = !options.keeps_torn_record();
        let shared = Arc::new(Shared::new(found.segments, found.next_offset - 1, verify));
        let reader = LogReader::new(disk.clone(), shared.clone());
        Self {
            disk,
            options,
            shelf,
            reader,
            shared,
            tail: found.tail,
            next_offset: found.next_offset,
            previous: found.previous,
            poisoned: false,
            buffer: Vec::new(),
        }
    }

    /// An empty batch with this log's limits.
    #[must_use]
    pub fn new_batch(&self) -> Batch {
        Batch::new(self.options.segment_bytes)
    }

    /// Offset that the next record gets.
    #[must_use]
    pub const fn next_offset(&self) -> u64 {
        self.next_offset
    }

    /// Reads what is durable; clone it for other threads.
    #[must_use]
    pub const fn reader(&self) -> &LogReader<D> {
        &self.reader
    }

    /// Prepares spares; clone it for the index thread.
    #[must_use]
    pub const fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// Bytes that can be appended without new space on the card: the rest of the tail segment and
    /// the ready spares. A batch that does not fit the rest of the tail leaves it unused.
    #[must_use]
    pub fn room_bytes(&self) -> u64 {
        let spares = self.shelf.spares_ready() as u64;
        self.tail.capacity - self.tail.at + spares * self.options.segment_bytes
    }

    /// True when an append of this many encoded bytes would find room now.
    #[must_use]
    pub fn has_room_for(&self, batch: &Batch) -> bool {
        self.fits_tail(batch) || self.shelf.spares_ready() > 0
    }

    /// Writes and syncs the batch; when it returns `Ok`, the records are durable and readable.
    /// `Full` and `NoSpare` write nothing and the log stays usable. `SyncFailed` means that the
    /// batch may or may not survive: from then on every append is `Poisoned`.
    pub fn append(&mut self, batch: &Batch) -> Result<Appended, LogError> {
        if self.poisoned {
            return Err(LogError::Poisoned);
        }
        if batch.is_empty() {
            return Err(LogError::EmptyBatch);
        }
        self.make_room(batch)?;
        let hash = self.encode(batch);
        self.write_and_sync().map_err(|error| self.poison(error))?;
        Ok(self.publish(batch, hash))
    }

    fn fits_tail(&self, batch: &Batch) -> bool {
        self.tail.at + batch.encoded_bytes() as u64 <= self.tail.capacity
    }

    fn make_room(&mut self, batch: &Batch) -> Result<(), LogError> {
        let (bytes, max) = (batch.encoded_bytes(), self.options.segment_bytes);
        if bytes as u64 > max {
            let max = usize::try_from(max).unwrap_or(usize::MAX);
            return Err(LogError::BatchTooLong { bytes, max });
        }
        if self.fits_tail(batch) { Ok(()) } else { self.next_segment() }
    }

    /// The name is durable before the first batch is written, so that a segment's first batch
    /// can never be acknowledged and then be found under a spare's name.
    fn next_segment(&mut self) -> Result<(), LogError> {
        let name = SegmentName {
            id: self.tail.name.id + 1,
            first_offset: self.next_offset,
            log_id: self.tail.name.log_id,
        };
        match self.shelf.take(&self.disk, &name.file()) {
            Ok(()) => {}
            Err(TakeError::Full) => return Err(LogError::Full),
            Err(TakeError::NoSpare) => return Err(LogError::NoSpare),
            Err(TakeError::Disk(error)) => return Err(self.poison(error)),
        }
        self.tail = TailSegment::open(&self.disk, name, 0).map_err(|error| self.poison(error))?;
        self.shared.segments.lock().expect("no holder of this lock panics").push(name);
        Ok(())
    }

    fn encode(&mut self, batch: &Batch) -> Hash {
        let name = self.tail.name;
        let place = format::Place {
            identity: Identity { log_id: name.log_id, segment: name.id },
            first_offset: self.next_offset,
            durable_up_to: self.next_offset - 1,
            previous: self.previous,
        };
        let hash = format::encode(&place, batch.records(), &mut self.buffer);
        debug_assert_eq!(self.buffer.len(), batch.encoded_bytes());
        hash
    }

    fn write_and_sync(&self) -> Result<(), DiskError> {
        self.disk.pwrite(&self.tail.file, self.tail.at, &self.buffer)?;
        self.disk.sync_data(&self.tail.file)
    }

    fn publish(&mut self, batch: &Batch, hash: Hash) -> Appended {
        let first_offset = self.next_offset;
        let last_offset = first_offset + batch.records().len() as u64 - 1;
        let (segment, byte) = (self.tail.name.id, self.tail.at);
        self.previous = hash;
        self.tail.at += self.buffer.len() as u64;
        self.next_offset = last_offset + 1;
        self.shared.durable.store(last_offset, Ordering::Release);
        Appended { first_offset, last_offset, segment, byte }
    }

    fn poison(&mut self, error: DiskError) -> LogError {
        self.poisoned = true;
        LogError::SyncFailed(error)
    }
}

impl<D: Disk> TailSegment<D> {
    pub(crate) fn open(disk: &D, name: SegmentName, at: u64) -> Result<Self, DiskError> {
        let file = Arc::new(disk.open(&name.file())?);
        let sector = SECTOR_BYTES as u64;
        // A file that was cut short is not grown again: it is only smaller.
        let capacity = disk.len(&file)? / sector * sector;
        Ok(Self { name, file, at, capacity: capacity.max(at) })
    }
}
