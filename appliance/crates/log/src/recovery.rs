//! Opening a log: find its files, scan from the checkpoint, decide between tail and damage, and
//! make the tail durable again before anybody may read or append.

use std::sync::Arc;

use crate::disk::{Disk, DiskError, ReadFrom};
use crate::error::LogError;
use crate::format::{GENESIS, Hash};
use crate::limits::{SCAN_WINDOW_BYTES, SECTOR_BYTES};
use crate::names::{FileKind, SegmentName};
use crate::options::{OpenFrom, Options};
use crate::reader::{LogReader, start_of};
use crate::rescue::Rescue;
use crate::scan::{Care, Findings, Tail, TailDropped, TailVerdict, scan_sealed, scan_tail};
use crate::shelf::{Shelf, TakeError};
use crate::walk::{DiskSource, Source, Start, Walker};
use crate::writer::{Log, Recovered, TailSegment};

/// What recovery saw and did; for the health page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// True when there was no log and one was created.
    pub created: bool,
    /// Segments in the folder and, of these, how many were read.
    pub segments: usize,
    pub segments_read: usize,
    /// Counts and damage in the part that was read.
    pub findings: Findings,
    /// Last offset that is served.
    pub last_offset: u64,
    /// A torn batch that nobody was told about.
    pub dropped: Option<TailDropped>,
    /// Bytes of the last batch that were written and synced again.
    pub rewritten_bytes: u64,
    /// False when direct reads were wanted and the file system refuses them.
    pub read_device: bool,
    /// Files removed because the program stopped while it wrote them.
    pub removed_files: usize,
    /// Segments of another log in this folder, left alone.
    pub foreign_segments: usize,
}

/// A log that is ready.
pub struct Opened<D: Disk> {
    pub log: Log<D>,
    pub report: RecoveryReport,
}

impl<D: Disk> Opened<D> {
    /// The reader that replay iterates with: `reader().iter_from(applied_offset + 1)`.
    #[must_use]
    pub const fn reader(&self) -> &LogReader<D> {
        self.log.reader()
    }
}

/// Result of opening.
pub enum OpenOutcome<D: Disk> {
    Ready(Opened<D>),
    /// The tail segment lost records that may have been acknowledged: the owner decides.
    Rescue(Rescue<D>),
}

impl<D: Disk> OpenOutcome<D> {
    /// The report of either outcome.
    #[must_use]
    pub const fn report(&self) -> &RecoveryReport {
        match self {
            Self::Ready(opened) => &opened.report,
            Self::Rescue(rescue) => rescue.report(),
        }
    }

    /// The log, if it is ready.
    #[must_use]
    pub fn ready(self) -> Option<Opened<D>> {
        match self {
            Self::Ready(opened) => Some(opened),
            Self::Rescue(_) => None,
        }
    }
}

impl<D: Disk> Log<D> {
    /// Opens the log in `disk`'s folder, creating it when there is none.
    pub fn open(disk: D, options: Options, from: OpenFrom) -> Result<OpenOutcome<D>, LogError> {
        options.check()?;
        let mut report = RecoveryReport { read_device: true, ..RecoveryReport::default() };
        let folder = Folder::read(&disk, &options, &mut report)?;
        // Renames that the last process did not live to sync are made durable before use.
        disk.sync_dir()?;
        let opening = Opening { disk, options, from, folder, report };
        if opening.folder.segments.is_empty() { opening.create() } else { opening.recover() }
    }
}

/// What is in the folder.
pub(crate) struct Folder {
    pub(crate) segments: Vec<SegmentName>,
    pub(crate) shelf: Shelf,
}

impl Folder {
    fn read<D: Disk>(
        disk: &D,
        options: &Options,
        report: &mut RecoveryReport,
    ) -> Result<Self, LogError> {
        let (mut segments, mut spares, mut reserve) = (Vec::new(), Vec::new(), Vec::new());
        for file in disk.list()? {
            match FileKind::of(&file) {
                FileKind::Segment(name) => segments.push(name),
                FileKind::Spare(number) if is_whole(disk, options, &file)? => spares.push(number),
                FileKind::Reserve(number) if is_whole(disk, options, &file)? => {
                    reserve.push(number);
                }
                FileKind::Spare(_) | FileKind::Reserve(_) | FileKind::Unfinished => {
                    disk.remove(&file)?;
                    report.removed_files += 1;
                }
                FileKind::Other => {}
            }
        }
        let found = segments.len();
        keep_one_log(&mut segments);
        report.foreign_segments = found - segments.len();
        report.segments = segments.len();
        let shelf = Shelf::new(options.segment_bytes, options.reserve_segments, spares, reserve);
        Ok(Self { segments, shelf })
    }
}

/// Spares of another size (options changed) are useless.
fn is_whole<D: Disk>(disk: &D, options: &Options, file: &str) -> Result<bool, DiskError> {
    Ok(disk.len(&disk.open(file)?)? == options.segment_bytes)
}

/// Sorts by id and drops what cannot belong to the log of the first segment.
fn keep_one_log(segments: &mut Vec<SegmentName>) {
    segments.sort_unstable();
    let Some(log_id) = segments.first().map(|name| name.log_id) else { return };
    segments.retain(|name| name.log_id == log_id);
    segments.dedup_by(|later, earlier| {
        later.id == earlier.id || later.first_offset < earlier.first_offset
    });
}

/// A log between its listing and its start.
pub(crate) struct Opening<D: Disk> {
    pub(crate) disk: D,
    pub(crate) options: Options,
    pub(crate) from: OpenFrom,
    pub(crate) folder: Folder,
    pub(crate) report: RecoveryReport,
}

impl<D: Disk> Opening<D> {
    /// A folder without segments is a new log, unless the store knows better.
    fn create(mut self) -> Result<OpenOutcome<D>, LogError> {
        let applied = self.from.applied_offset;
        if applied > 0 {
            return Ok(OpenOutcome::Rescue(Rescue::new(self, applied + 1)));
        }
        self.report.created = true;
        self.report.segments = 1;
        self.add_segment(1)?;
        let name = self.folder.segments[0];
        let tail = Tail { at: 0, next_offset: 1, previous: Some(GENESIS), last_good: None };
        self.start(name, tail, GENESIS, Vec::new())
    }

    /// Puts an empty segment at the end of the log.
    pub(crate) fn add_segment(&mut self, first_offset: u64) -> Result<(), LogError> {
        let last = self.folder.segments.last();
        let name = SegmentName {
            id: last.map_or(1, |last| last.id + 1),
            first_offset,
            log_id: last.map_or(self.options.new_log_id, |last| last.log_id),
        };
        if self.folder.shelf.spares_ready() == 0 {
            self.folder.shelf.prepare_spare(&self.disk, &mut || {})?;
        }
        match self.folder.shelf.take(&self.disk, &name.file()) {
            Ok(()) => self.folder.segments.push(name),
            Err(TakeError::Full) => return Err(LogError::Full),
            Err(TakeError::NoSpare) => return Err(LogError::NoSpare),
            Err(TakeError::Disk(error)) => return Err(error.into()),
        }
        Ok(())
    }

    fn recover(mut self) -> Result<OpenOutcome<D>, LogError> {
        let segments = self.folder.segments.clone();
        let wanted = self.from.applied_offset;
        let start = segments.partition_point(|name| name.first_offset <= wanted).max(1) - 1;
        self.report.segments_read = segments.len() - start;
        let mut scan = Scan::new(&self, segments[start]);
        for pair in segments[start..].windows(2) {
            scan.sealed(pair[0], pair[1].first_offset)?;
        }
        let name = *segments.last().expect("recover is called with at least one segment");
        let verdict = scan.tail(name, wanted, self.options.keeps_torn_record())?;
        let Scan { findings, hash, last_good, read_device, .. } = scan;
        self.report.findings = findings;
        self.report.read_device = read_device;
        match verdict {
            TailVerdict::Damaged { next_offset } => {
                Ok(OpenOutcome::Rescue(Rescue::new(self, next_offset)))
            }
            TailVerdict::Sound { tail, dropped } => {
                self.report.dropped = dropped;
                self.start(name, tail, hash, last_good)
            }
        }
    }

    /// After a kill the page cache may hold a batch that never reached the card: write the same
    /// bytes again, so that the page is dirty for sure, and sync. The sector behind it becomes
    /// blank in the same write: a torn header there could otherwise be completed by a later torn
    /// write, and a batch that was dropped would come back.
    fn make_tail_durable(&mut self, tail: &TailSegment<D>, good: Vec<u8>) -> Result<(), LogError> {
        if self.options.skips_recovery_sync() {
            return Ok(());
        }
        self.report.rewritten_bytes = good.len() as u64;
        let at = tail.at - good.len() as u64;
        let mut bytes = good;
        if tail.at < tail.capacity {
            bytes.extend_from_slice(&[0; SECTOR_BYTES]);
        }
        self.disk.pwrite(&tail.file, at, &bytes).map_err(LogError::SyncFailed)?;
        self.disk.sync_data(&tail.file).map_err(LogError::SyncFailed)
    }

    fn start(
        mut self,
        name: SegmentName,
        tail: Tail,
        previous: Hash,
        last_good: Vec<u8>,
    ) -> Result<OpenOutcome<D>, LogError> {
        self.report.last_offset = tail.next_offset - 1;
        let segment = TailSegment::open(&self.disk, name, tail.at)?;
        self.make_tail_durable(&segment, last_good)?;
        let recovered = Recovered {
            tail: segment,
            next_offset: tail.next_offset,
            previous,
            segments: self.folder.segments,
        };
        let log = Log::start(self.disk, self.options, self.folder.shelf, recovered);
        Ok(OpenOutcome::Ready(Opened { log, report: self.report }))
    }
}

/// State of a scan across segments.
struct Scan<D: Disk> {
    disk: D,
    read_from: ReadFrom,
    read_device: bool,
    findings: Findings,
    /// Chain hash that the next segment's first batch must name; `None` accepts any.
    expected: Option<Hash>,
    /// Chain hash of the last header that was read.
    hash: Hash,
    /// Bytes of the last good batch of the tail segment.
    last_good: Vec<u8>,
}

impl<D: Disk> Scan<D> {
    fn new(opening: &Opening<D>, first: SegmentName) -> Self {
        Self {
            disk: opening.disk.clone(),
            read_from: opening.from.read_from,
            read_device: true,
            findings: Findings::default(),
            expected: (first.first_offset == 1).then_some(GENESIS),
            hash: GENESIS,
            last_good: Vec::new(),
        }
    }

    fn walker(
        &mut self,
        name: SegmentName,
        end_offset: Option<u64>,
    ) -> Result<Walker<DiskSource<D>>, LogError> {
        let file = Arc::new(self.disk.open(&name.file())?);
        self.read_device &= self.read_from == ReadFrom::Cache || self.disk.reads_device(&file);
        let source = DiskSource::new(&self.disk, file, self.read_from, SCAN_WINDOW_BYTES)?;
        let start = Start { previous: self.expected, ..start_of(name, end_offset) };
        Ok(Walker::new(source, start))
    }

    fn sealed(&mut self, name: SegmentName, end_offset: u64) -> Result<(), LogError> {
        let mut walker = self.walker(name, Some(end_offset))?;
        scan_sealed(&mut walker, name.id, end_offset, Care::Crc, &mut self.findings)?;
        self.hash = walker.previous().unwrap_or(self.hash);
        let ended_well = walker.next_offset() == end_offset;
        self.expected = walker.previous().filter(|_| ended_well);
        Ok(())
    }

    /// Only the tail segment can hold a batch that was not synced: the writer syncs every batch
    /// before it takes the next segment.
    fn tail(
        &mut self,
        name: SegmentName,
        applied_offset: u64,
        keep_torn: bool,
    ) -> Result<TailVerdict, LogError> {
        let mut walker = self.walker(name, None)?;
        let findings = &mut self.findings;
        let verdict = scan_tail(&mut walker, name.id, applied_offset, keep_torn, findings)?;
        if let TailVerdict::Sound { tail, .. } = &verdict {
            self.hash = tail.previous.unwrap_or(self.hash);
            if let Some(good) = tail.last_good {
                self.last_good = walker.source.get(good.at, good.bytes)?.to_vec();
            }
        }
        Ok(verdict)
    }
}
