//! Errors of the log. Messages say what to do, because they reach the owner's health page.

use crate::disk::DiskError;
use crate::limits::QUARANTINE_MAX;
use crate::record::{DamagedRange, Position};

/// Why a call on the log failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// Nothing was written. Refuse new messages until a spare could be prepared.
    #[error("the card is full: make a backup and restore it to a larger card")]
    Full,
    /// Nothing was written. The card has space; the next segment is still being prepared.
    #[error("no spare segment is ready yet: try again shortly")]
    NoSpare,
    /// The batch may or may not be on the card. Stop, restart, recover with `ReadFrom::Device`.
    #[error("the card did not take a write: {0}; restart and recover from the card")]
    SyncFailed(DiskError),
    /// An earlier write failed; the page cache is not to be trusted any more.
    #[error("the log stopped after a failed write: restart and recover from the card")]
    Poisoned,
    #[error("records {} to {} are damaged: restore them from a backup", .0.first, .0.last)]
    Damaged(DamagedRange),
    #[error("record {offset} is not in the log (it holds {first} to {last})")]
    NotThere { offset: u64, first: u64, last: u64 },
    /// Compaction moved it, its header is damaged, or it never was: `read_offset` tells.
    #[error("no record at byte {} of segment {}: look it up by its offset", .0.byte, .0.segment)]
    NoRecordAt(Position),
    #[error("segment {0} is not in the log")]
    NoSegment(u32),
    #[error("a batch needs at least one record")]
    EmptyBatch,
    #[error("a payload of {bytes} bytes exceeds the limit of {max}")]
    PayloadTooLong { bytes: usize, max: usize },
    /// The batch was built for a larger segment.
    #[error("a batch of {bytes} bytes exceeds the limit of {max}")]
    BatchTooLong { bytes: usize, max: usize },
    #[error("log options: {0}")]
    Options(&'static str),
    #[error("{QUARANTINE_MAX} records crash the replay: install another release")]
    QuarantineFull,
    #[error("salvage met new damage, the card fails: restore a backup to another card")]
    SalvageFailed,
    #[error(transparent)]
    Disk(#[from] DiskError),
}
