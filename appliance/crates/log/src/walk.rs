//! Walks the batches of one segment in order and finds the way past damage. Pure over `Source`:
//! recovery, replay, reads by offset, scrub and salvage all use this one walker.

use std::sync::Arc;

use crate::disk::{Disk, DiskError, ReadFrom, read_at};
use crate::format::{self, Entry, FIXED_BYTES, Hash, Header, Identity};
use crate::limits::{DIRECT_ALIGN_BYTES, SECTOR_BYTES};

/// Bytes of a segment.
pub(crate) trait Source {
    /// `len` bytes from `at`; fewer at the end of the segment.
    fn get(&mut self, at: u64, len: usize) -> Result<&[u8], DiskError>;
    /// Length of the segment.
    fn len(&self) -> u64;
    /// True after the device refused to read some bytes; they were given as zeros.
    fn met_unreadable(&self) -> bool;
}

/// A segment on disk, read ahead by `window` bytes.
pub(crate) struct DiskSource<D: Disk> {
    disk: D,
    file: Arc<D::File>,
    from: ReadFrom,
    len: u64,
    window: usize,
    held_at: u64,
    held: Vec<u8>,
    met_unreadable: bool,
}

impl<D: Disk> DiskSource<D> {
    pub(crate) fn new(
        disk: &D,
        file: Arc<D::File>,
        from: ReadFrom,
        window: usize,
    ) -> Result<Self, DiskError> {
        let len = disk.len(&file)?;
        let disk = disk.clone();
        let held = Vec::new();
        Ok(Self { disk, file, from, len, window, held_at: 0, held, met_unreadable: false })
    }

    fn read_ahead(&mut self, at: u64, len: usize) -> Result<(), DiskError> {
        let left = usize::try_from(self.len - at).unwrap_or(usize::MAX);
        self.held.resize(len.min(left), 0);
        let got = match read_at(&self.disk, &self.file, self.from, at, &mut self.held) {
            Err(DiskError::Io { .. }) => self.read_around(at)?,
            other => other?,
        };
        self.held.truncate(got);
        self.held_at = at;
        Ok(())
    }

    /// A worn card refuses single blocks: reads block by block, and gives zeros for those, so
    /// that they fail their checks like any other damage instead of stopping the box.
    fn read_around(&mut self, at: u64) -> Result<usize, DiskError> {
        let wanted = self.held.len();
        let mut done = 0;
        while done < wanted {
            let from = at + done as u64;
            let to_boundary = DIRECT_ALIGN_BYTES - (from % DIRECT_ALIGN_BYTES as u64) as usize;
            let end = wanted.min(done + to_boundary);
            let block = &mut self.held[done..end];
            match read_at(&self.disk, &self.file, self.from, from, block) {
                Ok(_) => {}
                Err(DiskError::Io { .. }) => {
                    block.fill(0);
                    self.met_unreadable = true;
                }
                Err(error) => return Err(error),
            }
            done = end;
        }
        Ok(wanted)
    }

    /// Forgets what was read ahead; the writer may have written there since.
    pub(crate) fn refresh(&mut self) {
        self.held.clear();
    }
}

impl<D: Disk> Source for DiskSource<D> {
    fn get(&mut self, at: u64, len: usize) -> Result<&[u8], DiskError> {
        let at = at.min(self.len);
        let len = len.min(usize::try_from(self.len - at).unwrap_or(usize::MAX));
        let held_end = self.held_at + self.held.len() as u64;
        if at < self.held_at || at + len as u64 > held_end {
            self.read_ahead(at, len.max(self.window))?;
        }
        let start = usize::try_from(at - self.held_at).expect("inside what is held");
        let end = self.held.len().min(start + len);
        Ok(&self.held[start.min(end)..end])
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn met_unreadable(&self) -> bool {
        self.met_unreadable
    }
}

/// What one step found.
#[derive(Debug)]
pub(crate) enum Step {
    /// A batch whose header is valid and in its place in the chain. When `intact` is false its
    /// payloads are damaged, wholly or in part.
    Batch { at: u64, header: Header, intact: bool },
    /// Offsets `first..next` have no readable header; a valid one for `next` follows. An empty
    /// range means that the chain does not hold between two headers.
    Gap { at: u64, first: u64, next: u64 },
    /// Nothing valid follows.
    End { at: u64 },
}

/// Where a walk starts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    pub(crate) identity: Identity,
    pub(crate) at: u64,
    pub(crate) next_offset: u64,
    /// Chain hash before; `None` accepts any.
    pub(crate) previous: Option<Hash>,
    /// First offset of the following segment; headers at or past it do not belong here.
    pub(crate) end_offset: Option<u64>,
}

pub(crate) struct Walker<S> {
    pub(crate) source: S,
    start: Start,
}

impl<S: Source> Walker<S> {
    pub(crate) const fn new(source: S, start: Start) -> Self {
        Self { source, start }
    }

    /// Continues at a batch whose place is known from elsewhere.
    pub(crate) const fn jump(&mut self, at: u64, next_offset: u64) {
        self.start.at = at;
        self.start.next_offset = next_offset;
        self.start.previous = None;
    }

    /// Offset of the next record.
    pub(crate) const fn next_offset(&self) -> u64 {
        self.start.next_offset
    }

    /// Chain hash of the last batch, when known.
    pub(crate) const fn previous(&self) -> Option<Hash> {
        self.start.previous
    }

    /// Where the next batch is expected.
    pub(crate) const fn at(&self) -> u64 {
        self.start.at
    }

    pub(crate) fn step(&mut self) -> Result<Step, DiskError> {
        let at = self.start.at;
        match self.header_at(at)? {
            Some(header) if self.follows(&header) => self.take(header),
            _ => self.find_next(),
        }
    }

    fn follows(&self, header: &Header) -> bool {
        header.first_offset == self.start.next_offset
            && self.start.previous.is_none_or(|previous| previous == header.previous)
    }

    fn take(&mut self, header: Header) -> Result<Step, DiskError> {
        let at = self.start.at;
        let intact = self.body_holds(at, &header)?;
        self.start.at = at + header.total_bytes() as u64;
        self.start.next_offset = header.last_offset() + 1;
        self.start.previous = Some(header.hash);
        Ok(Step::Batch { at, header, intact })
    }

    /// Searches sector by sector for the next header that could follow.
    fn find_next(&mut self) -> Result<Step, DiskError> {
        let lost_at = self.start.at;
        let first = self.start.next_offset;
        let mut at = lost_at;
        while at + (FIXED_BYTES as u64) <= self.source.len() {
            if let Some(header) = self.header_at(at)?
                && header.first_offset >= first
            {
                self.start.at = at;
                self.start.next_offset = header.first_offset;
                self.start.previous = None;
                return Ok(Step::Gap { at: lost_at, first, next: header.first_offset });
            }
            at += SECTOR_BYTES as u64;
        }
        Ok(Step::End { at: lost_at })
    }

    /// The valid header at `at` that belongs to this segment, if there is one.
    pub(crate) fn header_at(&mut self, at: u64) -> Result<Option<Header>, DiskError> {
        let identity = self.start.identity;
        if at > self.source.len() {
            return Ok(None);
        }
        let Some(bytes) = format::peek(self.source.get(at, FIXED_BYTES)?, &identity) else {
            return Ok(None);
        };
        let header = format::decode(self.source.get(at, bytes)?, &identity);
        let end = self.start.end_offset.unwrap_or(u64::MAX);
        let room = self.source.len() - at;
        Ok(header.filter(|h| h.last_offset() < end && h.total_bytes() as u64 <= room))
    }

    fn body_holds(&mut self, at: u64, header: &Header) -> Result<bool, DiskError> {
        let body_at = at + header.header_bytes() as u64;
        let body = self.source.get(body_at, header.body_bytes())?;
        Ok(body.len() == header.body_bytes() && crc32c::crc32c(body) == header.body_crc)
    }
}

/// The payload of record `index`, unchecked, and its entry.
pub(crate) fn payload<'a, S: Source>(
    source: &'a mut S,
    at: u64,
    header: &'a Header,
    index: usize,
) -> Result<(&'a Entry, &'a [u8]), DiskError> {
    let entry = &header.entries[index];
    let bytes = source.get(at + header.payload_at(index) as u64, entry.payload_bytes)?;
    Ok((entry, bytes))
}
