//! Reads records that are durable, from any thread. Payloads are checked against their BLAKE3 on
//! every read; what does not match is reported as damaged, never returned.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::disk::{Disk, DiskError, ReadFrom};
use crate::error::LogError;
use crate::format::{Header, Identity};
use crate::limits::{OPEN_SEGMENTS_MAX, READ_WINDOW_BYTES, SCAN_WINDOW_BYTES};
use crate::names::SegmentName;
use crate::record::{DamagedRange, Item, Position, Stored};
use crate::scan::{Care, Findings, scan_sealed};
use crate::walk::{DiskSource, Start, Step, Walker, payload};

/// Cheap to clone; all clones and the writer share what is durable.
pub struct LogReader<D: Disk> {
    disk: D,
    shared: Arc<Shared>,
    files: Arc<Mutex<Vec<OpenFile<D>>>>,
}

impl<D: Disk> Clone for LogReader<D> {
    fn clone(&self) -> Self {
        Self { disk: self.disk.clone(), shared: self.shared.clone(), files: self.files.clone() }
    }
}

struct OpenFile<D: Disk> {
    segment: u32,
    file: Arc<D::File>,
}

/// What the writer tells the readers.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) segments: Mutex<Vec<SegmentName>>,
    /// Last offset that may be read.
    pub(crate) durable: AtomicU64,
    /// False only under a mutant of the simulator.
    pub(crate) verify: bool,
}

impl Shared {
    pub(crate) fn new(segments: Vec<SegmentName>, durable: u64, verify: bool) -> Self {
        Self { segments: segments.into(), durable: durable.into(), verify }
    }

    fn segments(&self) -> Vec<SegmentName> {
        self.segments.lock().expect("no holder of this lock panics").clone()
    }

    /// The segment with this id, and the first offset of the one after it.
    fn segment(&self, id: u32) -> Option<(SegmentName, Option<u64>)> {
        let segments = self.segments.lock().expect("no holder of this lock panics");
        let index = segments.binary_search_by_key(&id, |name| name.id).ok()?;
        Some((segments[index], segments.get(index + 1).map(|next| next.first_offset)))
    }

    /// The segment that holds `offset`, and the first offset of the one after it.
    fn segment_of(&self, offset: u64) -> Option<(SegmentName, Option<u64>)> {
        let segments = self.segments.lock().expect("no holder of this lock panics");
        let after = segments.partition_point(|name| name.first_offset <= offset);
        let name = *segments.get(after.checked_sub(1)?)?;
        Some((name, segments.get(after).map(|next| next.first_offset)))
    }
}

impl<D: Disk> LogReader<D> {
    pub(crate) fn new(disk: D, shared: Arc<Shared>) -> Self {
        Self { disk, shared, files: Arc::default() }
    }

    /// Last durable offset; 0 when the log is empty.
    #[must_use]
    pub fn last_offset(&self) -> u64 {
        self.shared.durable.load(Ordering::Acquire)
    }

    /// Offset of the oldest record.
    #[must_use]
    pub fn first_offset(&self) -> u64 {
        let segments = self.shared.segments.lock().expect("no holder of this lock panics");
        segments.first().map_or(1, |name| name.first_offset)
    }

    /// Segment ids in order; the last one is being written.
    #[must_use]
    pub fn segments(&self) -> Vec<u32> {
        self.shared.segments().iter().map(|name| name.id).collect()
    }

    /// The segments' names in order, for readers with an I/O of their own (`format` decodes).
    #[must_use]
    pub fn segment_names(&self) -> Vec<SegmentName> {
        self.shared.segments()
    }

    /// The record at a position that an append or an iteration gave: two small reads at most.
    pub fn read(&self, position: Position) -> Result<Stored, LogError> {
        let (mut open, header) = self.open_at(position, READ_WINDOW_BYTES)?;
        let index = usize::from(position.index);
        let offset = header.first_offset + u64::from(position.index);
        if offset > self.last_offset() {
            return Err(LogError::NoRecordAt(position));
        }
        let at = u64::from(position.byte);
        match self.item(&mut open.walker, open.name.id, at, &header, index)? {
            Item::Record(stored) => Ok(stored),
            Item::Damaged(range) => Err(LogError::Damaged(range)),
        }
    }

    /// The record with this offset; walks its segment from the start, so prefer `read`.
    pub fn read_offset(&self, offset: u64) -> Result<Stored, LogError> {
        if offset < self.first_offset() || offset > self.last_offset() {
            return Err(self.not_there(offset));
        }
        match self.iter_from(offset).next() {
            Some(Ok(Item::Record(stored))) => Ok(stored),
            Some(Ok(Item::Damaged(range))) => Err(LogError::Damaged(range)),
            Some(Err(error)) => Err(error),
            None => Err(self.not_there(offset)),
        }
    }

    /// Everything durable from `offset` on, damage included as ranges. At the end it yields
    /// `None`; after more appends it can be asked again.
    #[must_use]
    pub fn iter_from(&self, offset: u64) -> LogIter<D> {
        LogIter {
            reader: self.clone(),
            next: offset.max(self.first_offset()),
            seen_durable: 0,
            open: None,
        }
    }

    /// As `iter_from`, but starts at a known position and so need not walk to it.
    pub fn iter_at(&self, position: Position) -> Result<LogIter<D>, LogError> {
        let (open, header) = self.open_at(position, SCAN_WINDOW_BYTES)?;
        let next = header.first_offset + u64::from(position.index);
        Ok(LogIter { reader: self.clone(), next, seen_durable: 0, open: Some(open) })
    }

    /// Opens the position's segment at its batch, and returns the batch's header.
    fn open_at(
        &self,
        position: Position,
        window: usize,
    ) -> Result<(OpenSegment<D>, Header), LogError> {
        let missing = LogError::NoRecordAt(position);
        let Some((name, end_offset)) = self.shared.segment(position.segment) else {
            return Err(missing);
        };
        let mut walker = self.walker(name, end_offset, window)?;
        let at = u64::from(position.byte);
        let holds = |header: &Header| usize::from(position.index) < header.entries.len();
        let header = walker.header_at(at)?.filter(holds).ok_or(missing)?;
        walker.jump(at, header.first_offset);
        Ok((OpenSegment { name, end_offset, walker, batch: None }, header))
    }

    /// Reads every byte of a segment from the device and checks it against every hash. The tail
    /// segment is checked up to what was durable when the scrub began.
    pub fn scrub(&self, segment: u32) -> Result<Findings, LogError> {
        let durable = self.last_offset();
        let (name, next) = self.shared.segment(segment).ok_or(LogError::NoSegment(segment))?;
        let end = next.unwrap_or(durable + 1);
        let mut findings = Findings::default();
        let file = self.file(name)?;
        let source = DiskSource::new(&self.disk, file, ReadFrom::Device, SCAN_WINDOW_BYTES)?;
        let start = start_of(name, Some(end));
        scan_sealed(&mut Walker::new(source, start), segment, end, Care::Hash, &mut findings)?;
        Ok(findings)
    }

    fn not_there(&self, offset: u64) -> LogError {
        LogError::NotThere { offset, first: self.first_offset(), last: self.last_offset() }
    }

    fn walker(
        &self,
        name: SegmentName,
        end_offset: Option<u64>,
        window: usize,
    ) -> Result<Walker<DiskSource<D>>, LogError> {
        let source = DiskSource::new(&self.disk, self.file(name)?, ReadFrom::Cache, window)?;
        Ok(Walker::new(source, start_of(name, end_offset)))
    }

    fn item(
        &self,
        walker: &mut Walker<DiskSource<D>>,
        segment: u32,
        at: u64,
        header: &Header,
        index: usize,
    ) -> Result<Item, DiskError> {
        let offset = header.first_offset + index as u64;
        let (entry, bytes) = payload(&mut walker.source, at, header, index)?;
        if self.shared.verify && !entry.matches(bytes) {
            return Ok(Item::Damaged(DamagedRange { segment, first: offset, last: offset }));
        }
        let position = position(segment, at, index);
        Ok(Item::Record(Stored { offset, position, record: entry.with_payload(bytes.to_vec()) }))
    }

    fn file(&self, name: SegmentName) -> Result<Arc<D::File>, DiskError> {
        let mut files = self.files.lock().expect("no holder of this lock panics");
        if let Some(open) = files.iter().find(|open| open.segment == name.id) {
            return Ok(open.file.clone());
        }
        let file = Arc::new(self.disk.open(&name.file())?);
        if files.len() == OPEN_SEGMENTS_MAX {
            files.remove(0);
        }
        files.push(OpenFile { segment: name.id, file: file.clone() });
        Ok(file)
    }
}

/// Iterates over the log; see `LogReader::iter_from`.
pub struct LogIter<D: Disk> {
    reader: LogReader<D>,
    next: u64,
    seen_durable: u64,
    open: Option<OpenSegment<D>>,
}

struct OpenSegment<D: Disk> {
    name: SegmentName,
    end_offset: Option<u64>,
    walker: Walker<DiskSource<D>>,
    batch: Option<(u64, Header)>,
}

impl<D: Disk> LogIter<D> {
    /// Offset of the next item.
    #[must_use]
    pub const fn next_offset(&self) -> u64 {
        self.next
    }

    fn advance(&mut self) -> Result<Option<Item>, LogError> {
        loop {
            if self.next > self.seen_durable && !self.see_more() {
                return Ok(None);
            }
            self.open_segment()?;
            let Some(open) = &mut self.open else { return Ok(None) };
            if let Some((at, header)) = &open.batch
                && self.next <= header.last_offset()
            {
                let index = usize::try_from(self.next - header.first_offset).expect("in a batch");
                let name = open.name.id;
                let item = self.reader.item(&mut open.walker, name, *at, header, index)?;
                self.next += 1;
                return Ok(Some(item));
            }
            if let Some(range) = open.step(self.next, self.seen_durable)? {
                self.next = range.last + 1;
                return Ok(Some(Item::Damaged(range)));
            }
        }
    }

    /// True when more became durable. What was read ahead before may be stale then.
    fn see_more(&mut self) -> bool {
        self.seen_durable = self.reader.last_offset();
        if let Some(open) = &mut self.open {
            open.walker.source.refresh();
        }
        self.next <= self.seen_durable
    }

    fn open_segment(&mut self) -> Result<(), LogError> {
        let Some((name, end_offset)) = self.reader.shared.segment_of(self.next) else {
            return Err(self.reader.not_there(self.next));
        };
        let is_open = self.open.as_ref().is_some_and(|open| open.name == name);
        if !is_open {
            let walker = self.reader.walker(name, end_offset, SCAN_WINDOW_BYTES)?;
            self.open = Some(OpenSegment { name, end_offset, walker, batch: None });
        } else if let Some(open) = &mut self.open {
            open.end_offset = end_offset;
        }
        Ok(())
    }
}

impl<D: Disk> OpenSegment<D> {
    /// Moves on to the batch that holds `wanted`, or says how much is missing from there.
    fn step(&mut self, wanted: u64, durable: u64) -> Result<Option<DamagedRange>, DiskError> {
        let last = self.end_offset.map_or(durable, |end| end - 1).min(durable);
        let segment = self.name.id;
        match self.walker.step()? {
            Step::Batch { at, header, .. } => {
                self.batch = Some((at, header));
                Ok(None)
            }
            Step::Gap { next, .. } if next <= wanted => Ok(None),
            Step::Gap { next, .. } => {
                Ok(Some(DamagedRange { segment, first: wanted, last: last.min(next - 1) }))
            }
            Step::End { .. } => Ok(Some(DamagedRange { segment, first: wanted, last })),
        }
    }
}

impl<D: Disk> Iterator for LogIter<D> {
    type Item = Result<Item, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}

/// A walk over a whole segment, whatever came before it.
pub(crate) fn start_of(name: SegmentName, end_offset: Option<u64>) -> Start {
    Start {
        identity: Identity { log_id: name.log_id, segment: name.id },
        at: 0,
        next_offset: name.first_offset,
        previous: None,
        end_offset,
    }
}

pub(crate) fn position(segment: u32, at: u64, index: usize) -> Position {
    Position {
        segment,
        byte: u32::try_from(at).expect("segments are below 4 GiB"),
        index: u16::try_from(index).expect("batches hold at most 1,024 records"),
    }
}
