//! Records that will be written together. Group commit works like this: while one batch is being
//! synced, the disk thread's queue fills; what is there when the sync returns becomes the next
//! batch. No timer: the slower the card, the larger the batches.

use crate::error::LogError;
use crate::format::batch_bytes;
use crate::limits::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX, PAYLOAD_BYTES_MAX};
use crate::record::Record;

/// A batch under construction. It is written whole or not at all.
#[derive(Clone, Debug)]
pub struct Batch {
    records: Vec<Record>,
    body_bytes: usize,
    bytes_max: usize,
}

impl Batch {
    /// For a log with segments of `segment_bytes` (see `Log::new_batch`).
    #[must_use]
    pub fn new(segment_bytes: u64) -> Self {
        let segment = usize::try_from(segment_bytes).unwrap_or(usize::MAX);
        Self { records: Vec::new(), body_bytes: 0, bytes_max: segment.min(BATCH_BYTES_MAX) }
    }

    /// Adds all records or none, so that what belongs together lands together. `Ok(false)` means
    /// that they do not fit any more: write this batch and put them into the next one.
    pub fn push(&mut self, records: &[Record]) -> Result<bool, LogError> {
        self.take(&mut records.to_vec())
    }

    /// As `push`, but moves the records; those that do not fit stay where they are.
    pub fn take(&mut self, records: &mut Vec<Record>) -> Result<bool, LogError> {
        let added = checked_bytes(records)?;
        if !self.fits(records.len(), added) {
            self.refuse_if_never(records.len(), added)?;
            return Ok(false);
        }
        self.records.append(records);
        self.body_bytes += added;
        Ok(true)
    }

    const fn fits(&self, records: usize, body_bytes: usize) -> bool {
        let count = self.records.len() + records;
        count <= BATCH_RECORDS_MAX
            && batch_bytes(count, self.body_bytes + body_bytes) <= self.bytes_max
    }

    /// Records that do not fit even an empty batch are an error, not a reason to wait.
    fn refuse_if_never(&self, records: usize, body_bytes: usize) -> Result<(), LogError> {
        let bytes = batch_bytes(records, body_bytes);
        if records > BATCH_RECORDS_MAX || bytes > self.bytes_max {
            return Err(LogError::BatchTooLong { bytes, max: self.bytes_max });
        }
        Ok(())
    }

    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Bytes this batch takes on disk.
    #[must_use]
    pub const fn encoded_bytes(&self) -> usize {
        batch_bytes(self.records.len(), self.body_bytes)
    }

    /// Empties the batch and keeps its memory.
    pub fn clear(&mut self) {
        self.records.clear();
        self.body_bytes = 0;
    }
}

fn checked_bytes(records: &[Record]) -> Result<usize, LogError> {
    let mut sum = 0;
    for record in records {
        let bytes = record.payload.len();
        if bytes > PAYLOAD_BYTES_MAX {
            return Err(LogError::PayloadTooLong { bytes, max: PAYLOAD_BYTES_MAX });
        }
        sum += bytes;
    }
    Ok(sum)
}
