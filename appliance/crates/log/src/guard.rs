//! Keeps one poisonous record from stopping the box for ever. Before replay interprets a record,
//! its offset goes into a small file; a record at which the program died three times in a row is
//! skipped from then on. The file is written without a sync (a crashed process leaves the page
//! cache behind), so it costs a microsecond per record.

use crate::disk::{Disk, DiskError, replace};
use crate::error::LogError;
use crate::limits::{QUARANTINE_MAX, REPLAY_ATTEMPTS_MAX};
use crate::reader::LogReader;
use crate::record::Item;

const GUARD_FILE: &str = "replay-guard";
const QUARANTINE_FILE: &str = "quarantine";
const GUARD_BYTES: usize = 24;

/// What to do with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Interpret,
    /// Skip it and count it on the health page.
    Quarantined,
}

/// What a replay did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    pub records: u64,
    pub damaged: u64,
    pub quarantined: Vec<u64>,
}

/// Content of the guard's file. Offset 0 means none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Trail {
    /// The record being interpreted.
    current: u64,
    /// The record at which the program died last, and how often in a row.
    suspect: u64,
    deaths: u32,
}

impl Trail {
    /// The next process finds the trail: did its predecessor die inside a record?
    const fn found(self) -> Self {
        let Self { current, suspect, deaths } = self;
        if current == 0 {
            return self;
        }
        let deaths = if current == suspect { deaths.saturating_add(1) } else { 1 };
        Self { current: 0, suspect: current, deaths }
    }

    const fn forbids(self, offset: u64) -> bool {
        self.suspect == offset && self.deaths >= REPLAY_ATTEMPTS_MAX
    }

    fn encode(self) -> [u8; GUARD_BYTES] {
        let mut out = [0; GUARD_BYTES];
        out[..8].copy_from_slice(&self.current.to_le_bytes());
        out[8..16].copy_from_slice(&self.suspect.to_le_bytes());
        out[16..20].copy_from_slice(&self.deaths.to_le_bytes());
        let crc = crc32c::crc32c(&out[..20]);
        out[20..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Damage reads as "nobody died": the guard is a help, not a truth.
    fn decode(bytes: &[u8]) -> Self {
        let trail = (|| {
            let current = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
            let suspect = u64::from_le_bytes(bytes.get(8..16)?.try_into().ok()?);
            let deaths = u32::from_le_bytes(bytes.get(16..20)?.try_into().ok()?);
            let trail = Self { current, suspect, deaths };
            (bytes == trail.encode()).then_some(trail)
        })();
        trail.unwrap_or_default()
    }
}

/// Guards one replay. `enter` before each record, `finish` at the end.
pub struct ReplayGuard<D: Disk> {
    disk: D,
    file: D::File,
    trail: Trail,
    quarantined: Vec<u64>,
}

impl<D: Disk> ReplayGuard<D> {
    /// Opens the guard in the log's folder, creating its file on first use.
    pub fn open(disk: D) -> Result<Self, LogError> {
        let file = open_or_create(&disk, GUARD_FILE)?;
        let mut bytes = [0; GUARD_BYTES];
        let got = disk.pread(&file, 0, &mut bytes)?;
        let trail = Trail::decode(&bytes[..got]).found();
        disk.pwrite(&file, 0, &trail.encode())?;
        let quarantined = read_quarantine(&disk)?;
        Ok(Self { disk, file, trail, quarantined })
    }

    /// Call before interpreting the record at `offset`; offsets start at 1.
    pub fn enter(&mut self, offset: u64) -> Result<Verdict, LogError> {
        if self.quarantined.binary_search(&offset).is_ok() {
            return Ok(Verdict::Quarantined);
        }
        if self.trail.forbids(offset) {
            self.quarantine(offset)?;
            return Ok(Verdict::Quarantined);
        }
        self.trail.current = offset;
        self.disk.pwrite(&self.file, 0, &self.trail.encode())?;
        Ok(Verdict::Interpret)
    }

    /// Replays from `offset` to the end: `interpret` gets every record and damaged range except
    /// the quarantined records.
    pub fn replay(
        mut self,
        reader: &LogReader<D>,
        offset: u64,
        interpret: &mut dyn FnMut(Item),
    ) -> Result<Replayed, LogError> {
        let mut replayed = Replayed::default();
        for item in reader.iter_from(offset) {
            let item = item.or_else(|error| self.rest().and(Err(error)))?;
            match &item {
                Item::Record(stored) if self.enter(stored.offset)? == Verdict::Quarantined => {
                    replayed.quarantined.push(stored.offset);
                    continue;
                }
                Item::Record(_) => replayed.records += 1,
                Item::Damaged(range) => replayed.damaged += range.records(),
            }
            interpret(item);
        }
        self.finish()?;
        Ok(replayed)
    }

    /// No record is being interpreted now. Call before anything else that may end the process, and
    /// when replay stops early: a full card or a failed read is no record's fault.
    pub fn rest(&mut self) -> Result<(), LogError> {
        self.trail.current = 0;
        Ok(self.disk.pwrite(&self.file, 0, &self.trail.encode())?)
    }

    /// Replay reached its end: the last record did not crash.
    pub fn finish(mut self) -> Result<(), LogError> {
        self.trail = Trail::default();
        self.disk.pwrite(&self.file, 0, &self.trail.encode())?;
        self.disk.sync_data(&self.file)?;
        Ok(())
    }

    /// Offsets that are skipped, ascending.
    #[must_use]
    pub fn quarantined(&self) -> &[u64] {
        &self.quarantined
    }

    /// Takes every record out of quarantine, for a new program version that may understand them.
    pub fn clear_quarantine(&mut self) -> Result<(), LogError> {
        self.quarantined.clear();
        self.store_quarantine()
    }

    fn quarantine(&mut self, offset: u64) -> Result<(), LogError> {
        if self.quarantined.len() == QUARANTINE_MAX {
            return Err(LogError::QuarantineFull);
        }
        let at = self.quarantined.partition_point(|&other| other < offset);
        self.quarantined.insert(at, offset);
        self.store_quarantine()
    }

    /// One decimal offset per line, so that a person can edit it.
    fn store_quarantine(&self) -> Result<(), LogError> {
        let text: String = self.quarantined.iter().map(|offset| format!("{offset}\n")).collect();
        Ok(replace(&self.disk, QUARANTINE_FILE, text.as_bytes())?)
    }
}

fn open_or_create<D: Disk>(disk: &D, name: &str) -> Result<D::File, DiskError> {
    match disk.open(name) {
        Err(DiskError::NotFound(_)) => {}
        other => return other,
    }
    let file = disk.create(name)?;
    disk.sync_dir()?;
    Ok(file)
}

fn read_quarantine<D: Disk>(disk: &D) -> Result<Vec<u64>, DiskError> {
    let file = match disk.open(QUARANTINE_FILE) {
        Ok(file) => file,
        Err(DiskError::NotFound(_)) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    // A decimal u64 and its newline take at most 21 bytes.
    let mut bytes = vec![0; QUARANTINE_MAX * 21];
    let got = disk.pread(&file, 0, &mut bytes)?;
    let text = String::from_utf8_lossy(&bytes[..got]);
    let mut offsets: Vec<u64> = text.lines().filter_map(|line| line.trim().parse().ok()).collect();
    offsets.sort_unstable();
    offsets.dedup();
    offsets.truncate(QUARANTINE_MAX);
    Ok(offsets)
}
