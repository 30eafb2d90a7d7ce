//! The backup file's frames, as FORMAT.md describes them: pure encoding, and the hash at the end.

use log::{DamagedRange, Record, Stored};
use wire::ids::{BoxId, Epoch};

/// First bytes of a backup file.
pub(crate) const MAGIC: [u8; 8] = *b"LinnetBk";

/// Version of the backup format.
pub const VERSION: u16 = 1;

/// Bytes of the header.
pub(crate) const HEADER_BYTES: usize = 64;

/// Fields of a record's frame before its payload, tag included.
pub(crate) const RECORD_BYTES: usize = 1 + 4 + 8 + 2 + 8 + 4 + 4 + 8;

/// A frame of a record follows.
pub(crate) const TAG_RECORD: u8 = 1;
/// First and last offset of records that could not be read.
pub(crate) const TAG_DAMAGED: u8 = 2;
/// Number of records and the BLAKE3 of everything before it; the last frame.
pub(crate) const TAG_END: u8 = 3;

/// What stands at the front of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportHeader {
    /// The box it was made on.
    pub box_id: BoxId,
    /// The incarnation it shows.
    pub epoch: Epoch,
    /// When it was made, in milliseconds since 1970.
    pub time_ms: u64,
    /// Last offset it holds.
    pub last_offset: u64,
}

impl ExportHeader {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[..8].copy_from_slice(&MAGIC);
        out[8..10].copy_from_slice(&VERSION.to_le_bytes());
        out[16..32].copy_from_slice(&self.box_id.0);
        out[32..48].copy_from_slice(&self.epoch.0);
        out[48..56].copy_from_slice(&self.time_ms.to_le_bytes());
        out[56..64].copy_from_slice(&self.last_offset.to_le_bytes());
        out
    }
}

/// Collects frames into chunks and hashes what leaves.
pub(crate) struct Writer {
    buffer: Vec<u8>,
    hasher: blake3::Hasher,
    records: u64,
}

impl Writer {
    pub(crate) fn new(header: &ExportHeader) -> Self {
        let buffer = header.encode().to_vec();
        Self { buffer, hasher: blake3::Hasher::new(), records: 0 }
    }

    pub(crate) fn record(&mut self, stored: &Stored) {
        let Record { kind, time_ms, actor, device, counter, payload } = &stored.record;
        let length = u32::try_from(payload.len()).expect("payloads are below 64 KiB");
        self.buffer.push(TAG_RECORD);
        self.buffer.extend_from_slice(&length.to_le_bytes());
        self.buffer.extend_from_slice(&stored.offset.to_le_bytes());
        self.buffer.extend_from_slice(&kind.to_le_bytes());
        self.buffer.extend_from_slice(&time_ms.to_le_bytes());
        self.buffer.extend_from_slice(&actor.to_le_bytes());
        self.buffer.extend_from_slice(&device.to_le_bytes());
        self.buffer.extend_from_slice(&counter.to_le_bytes());
        self.buffer.extend_from_slice(payload);
        self.records += 1;
    }

    pub(crate) fn damaged(&mut self, range: DamagedRange) {
        self.buffer.push(TAG_DAMAGED);
        self.buffer.extend_from_slice(&range.first.to_le_bytes());
        self.buffer.extend_from_slice(&range.last.to_le_bytes());
    }

    /// Bytes that wait to be taken.
    pub(crate) fn waiting(&self) -> usize {
        self.buffer.len()
    }

    /// Takes what was written so far.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        self.hasher.update(&self.buffer);
        std::mem::take(&mut self.buffer)
    }

    /// Takes the rest, end frame included.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.buffer.push(TAG_END);
        self.buffer.extend_from_slice(&self.records.to_le_bytes());
        self.hasher.update(&self.buffer);
        let hash = self.hasher.finalize();
        self.buffer.extend_from_slice(hash.as_bytes());
        self.buffer
    }
}
