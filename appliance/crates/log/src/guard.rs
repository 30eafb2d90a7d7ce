//! Keeps one poisonous record from stopping the box for ever. Before replay interprets a record,
//! its offset and the number of attempts go into a small file; a record that crashed the program
//! three times is skipped from then on. The file is written without a sync (a crashed process
//! leaves the page cache behind), so it costs a microsecond per record.

use crate::disk::{Disk, DiskError, replace};
use crate::error::LogError;
use crate::limits::{QUARANTINE_MAX, REPLAY_ATTEMPTS_MAX};

const GUARD_FILE: &str = "replay-guard";
const QUARANTINE_FILE: &str = "quarantine";
const GUARD_BYTES: usize = 16;

/// What to do with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Interpret,
    /// Skip it and count it on the health page.
    Quarantined,
}

/// Attempts at the record that replay was at when the guard was last written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Attempts {
    offset: u64,
    count: u32,
}

impl Attempts {
    /// The state after entering `offset`, or `None` when it had its chances.
    const fn enter(self, offset: u64) -> Option<Self> {
        if self.offset != offset {
            return Some(Self { offset, count: 1 });
        }
        if self.count >= REPLAY_ATTEMPTS_MAX {
            return None;
        }
        Some(Self { offset, count: self.count + 1 })
    }

    fn encode(self) -> [u8; GUARD_BYTES] {
        let mut out = [0; GUARD_BYTES];
        out[..8].copy_from_slice(&self.offset.to_le_bytes());
        out[8..12].copy_from_slice(&self.count.to_le_bytes());
        let crc = crc32c::crc32c(&out[..12]);
        out[12..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Damage reads as "no attempts": the guard is a help, not a truth.
    fn decode(bytes: &[u8]) -> Self {
        let attempts = (|| {
            let offset = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
            let count = u32::from_le_bytes(bytes.get(8..12)?.try_into().ok()?);
            let attempts = Self { offset, count };
            (bytes == attempts.encode()).then_some(attempts)
        })();
        attempts.unwrap_or_default()
    }
}

/// Guards one replay. `enter` before each record, `finish` at the end.
pub struct ReplayGuard<D: Disk> {
    disk: D,
    file: D::File,
    attempts: Attempts,
    quarantined: Vec<u64>,
}

impl<D: Disk> ReplayGuard<D> {
    /// Opens the guard in the log's folder, creating its file on first use.
    pub fn open(disk: D) -> Result<Self, LogError> {
        let file = open_or_create(&disk, GUARD_FILE)?;
        let mut bytes = [0; GUARD_BYTES];
        let got = disk.pread(&file, 0, &mut bytes)?;
        let attempts = Attempts::decode(&bytes[..got]);
        let quarantined = read_quarantine(&disk)?;
        Ok(Self { disk, file, attempts, quarantined })
    }

    /// Call before interpreting the record at `offset`; offsets start at 1.
    pub fn enter(&mut self, offset: u64) -> Result<Verdict, LogError> {
        if self.quarantined.binary_search(&offset).is_ok() {
            return Ok(Verdict::Quarantined);
        }
        let Some(attempts) = self.attempts.enter(offset) else {
            self.quarantine(offset)?;
            return Ok(Verdict::Quarantined);
        };
        self.attempts = attempts;
        self.disk.pwrite(&self.file, 0, &attempts.encode())?;
        Ok(Verdict::Interpret)
    }

    /// Replay reached its end: the last record did not crash.
    pub fn finish(mut self) -> Result<(), LogError> {
        self.attempts = Attempts::default();
        self.disk.pwrite(&self.file, 0, &self.attempts.encode())?;
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
            return Err(LogError::Options("too many records crash replay: update or roll back"));
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
