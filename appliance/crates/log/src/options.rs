//! What the caller decides when it opens a log.

use crate::disk::ReadFrom;
use crate::error::LogError;
use crate::limits::{
    RESERVE_SEGMENTS, SECTOR_BYTES, SEGMENT_BYTES, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN,
};

/// Sizes and identity of a log.
#[derive(Clone, Debug)]
pub struct Options {
    /// Size of new segments, a multiple of the sector; existing ones keep theirs.
    pub segment_bytes: u64,
    /// Pre-written segments to keep back for a full card.
    pub reserve_segments: usize,
    /// Random number for a log that does not exist yet. Secret: whoever knows it can write
    /// payloads that look like batches to recovery.
    pub new_log_id: u64,
    /// A deliberate fault, to prove that the simulator notices it.
    #[cfg(feature = "mutants")]
    pub mutant: Option<Mutant>,
}

/// Deliberate faults in this crate.
#[cfg(feature = "mutants")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Recovery serves the tail batch without writing and syncing it again.
    SkipRecoverySync,
    /// Recovery keeps a tail batch whose payloads are torn.
    KeepTornRecord,
}

impl Options {
    /// Production sizes. `new_log_id` comes from the system's random source.
    #[must_use]
    pub const fn new(new_log_id: u64) -> Self {
        Self {
            segment_bytes: SEGMENT_BYTES,
            reserve_segments: RESERVE_SEGMENTS,
            new_log_id,
            #[cfg(feature = "mutants")]
            mutant: None,
        }
    }

    pub(crate) const fn check(&self) -> Result<(), LogError> {
        if !self.segment_bytes.is_multiple_of(SECTOR_BYTES as u64) {
            return Err(LogError::Options("segment_bytes must be a multiple of 512"));
        }
        if self.segment_bytes < SEGMENT_BYTES_MIN || self.segment_bytes > SEGMENT_BYTES_MAX {
            return Err(LogError::Options("segment_bytes must be from 4 KiB to 1 GiB"));
        }
        Ok(())
    }

    pub(crate) const fn skips_recovery_sync(&self) -> bool {
        #[cfg(feature = "mutants")]
        return matches!(self.mutant, Some(Mutant::SkipRecoverySync));
        #[cfg(not(feature = "mutants"))]
        false
    }

    pub(crate) const fn keeps_torn_record(&self) -> bool {
        #[cfg(feature = "mutants")]
        return matches!(self.mutant, Some(Mutant::KeepTornRecord));
        #[cfg(not(feature = "mutants"))]
        false
    }
}

/// What the caller knows when it opens a log.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenFrom {
    /// Last offset that the store holds; 0 when it holds nothing. Recovery reads from the segment
    /// that contains it, and never drops anything at or below it silently.
    pub applied_offset: u64,
    /// `Device` unless speed matters more and no fdatasync can have failed.
    pub read_from: ReadFrom,
}
