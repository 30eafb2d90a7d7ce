//! A log whose tail segment is damaged. Nothing was changed yet: the owner may download it,
//! restore a backup, or salvage, which gives up what cannot be read and goes on.

use std::sync::Arc;

use crate::disk::Disk;
use crate::error::LogError;
use crate::reader::{LogReader, Shared};
use crate::record::DamagedRange;
use crate::recovery::{OpenOutcome, Opened, Opening, RecoveryReport};
use crate::writer::Log;

/// See `OpenOutcome::Rescue`.
pub struct Rescue<D: Disk> {
    opening: Opening<D>,
    next_offset: u64,
}

impl<D: Disk> Rescue<D> {
    pub(crate) const fn new(opening: Opening<D>, next_offset: u64) -> Self {
        Self { opening, next_offset }
    }

    /// What recovery found.
    #[must_use]
    pub const fn report(&self) -> &RecoveryReport {
        &self.opening.report
    }

    /// The ranges that salvage gives up.
    #[must_use]
    pub fn damage(&self) -> &[DamagedRange] {
        &self.opening.report.findings.damage
    }

    /// First offset that salvage will give to a new record: above all that can ever have been
    /// given out, so that no offset means two things.
    #[must_use]
    pub const fn next_offset(&self) -> u64 {
        self.next_offset
    }

    /// Reads what is readable, for the owner's login and download. Nothing may be acknowledged on
    /// the strength of it: the tail was not made durable.
    #[must_use]
    pub fn reader(&self) -> LogReader<D> {
        let segments = self.opening.folder.segments.clone();
        let shared = Shared::new(segments, self.next_offset - 1, true);
        LogReader::new(self.opening.disk.clone(), Arc::new(shared))
    }

    /// Seals the damaged segment as it is and starts a new one behind it: every readable record
    /// keeps its offset, the others read as damaged. Nothing is overwritten. Records that the
    /// store has seen may be gone, so the caller gives the store a new epoch.
    pub fn salvage(self) -> Result<Opened<D>, LogError> {
        let Self { mut opening, next_offset } = self;
        opening.add_segment(next_offset)?;
        let Opening { disk, options, from, .. } = opening;
        let outcome = Log::open(disk, options, from)?;
        match outcome {
            OpenOutcome::Ready(opened) => Ok(opened),
            OpenOutcome::Rescue(_) => Err(LogError::SalvageFailed),
        }
    }
}
