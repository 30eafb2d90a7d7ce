//! Bytes of a batch, pure: encode, decode, check. FORMAT.md describes the same for strangers.
//!
//! A batch is a fixed header, one entry per record (all fields but the payload, plus the payload's
//! BLAKE3), the payloads, and zeros up to the next sector. The chain hash covers header and
//! entries only, so a payload can be removed later and the chain still proves order.

use crate::limits::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX, PAYLOAD_BYTES_MAX, SECTOR_BYTES};
use crate::record::Record;

/// "LnB1", little-endian.
pub const MAGIC: u32 = u32::from_le_bytes(*b"LnB1");
/// Version of the batch layout.
pub const VERSION: u16 = 1;
/// Bytes before the entries.
pub const FIXED_BYTES: usize = 96;
/// Bytes per entry.
pub const ENTRY_BYTES: usize = 64;
/// Where the header's own CRC32C lies; it covers the fixed header without itself, and the entries.
const CRC_AT: usize = 92;

/// BLAKE3, 32 bytes.
pub type Hash = [u8; 32];
/// `previous` of the first batch of a log.
pub const GENESIS: Hash = [0; 32];

/// What a header must carry to belong to this segment of this log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Random per log and kept secret, so that no payload can imitate a header.
    pub log_id: u64,
    pub segment: u32,
}

/// Header fields that differ from batch to batch.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub identity: Identity,
    pub first_offset: u64,
    pub durable_up_to: u64,
    pub previous: Hash,
}

/// A record without its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub payload_bytes: usize,
    pub kind: u16,
    pub time_ms: u64,
    pub actor: u32,
    pub device: u32,
    pub counter: u64,
    pub payload_hash: Hash,
}

/// A header whose CRC holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub first_offset: u64,
    pub durable_up_to: u64,
    pub previous: Hash,
    pub body_crc: u32,
    pub entries: Vec<Entry>,
    /// Chain hash of this header, the next batch's `previous`.
    pub hash: Hash,
}

impl Header {
    /// Offset of the last record.
    #[must_use]
    pub const fn last_offset(&self) -> u64 {
        self.first_offset + self.entries.len() as u64 - 1
    }

    /// Bytes before the payloads.
    #[must_use]
    pub const fn header_bytes(&self) -> usize {
        FIXED_BYTES + self.entries.len() * ENTRY_BYTES
    }

    /// Bytes of all payloads.
    #[must_use]
    pub fn body_bytes(&self) -> usize {
        self.entries.iter().map(|entry| entry.payload_bytes).sum()
    }

    /// Bytes on disk, padding included.
    #[must_use]
    pub fn total_bytes(&self) -> usize {
        batch_bytes(self.entries.len(), self.body_bytes())
    }

    /// Where the payload of record `index` lies, relative to the start of the batch.
    #[must_use]
    pub fn payload_at(&self, index: usize) -> usize {
        let before = self.entries.iter().take(index);
        self.header_bytes() + before.map(|entry| entry.payload_bytes).sum::<usize>()
    }
}

impl Entry {
    /// The record, once its payload was read.
    #[must_use]
    pub fn with_payload(&self, payload: Vec<u8>) -> Record {
        Record {
            kind: self.kind,
            time_ms: self.time_ms,
            actor: self.actor,
            device: self.device,
            counter: self.counter,
            payload,
        }
    }

    /// True when these bytes are the payload that was logged.
    #[must_use]
    pub fn matches(&self, payload: &[u8]) -> bool {
        *blake3::hash(payload).as_bytes() == self.payload_hash
    }
}

/// Bytes on disk of a batch with this many records and payload bytes.
#[must_use]
pub const fn batch_bytes(records: usize, body_bytes: usize) -> usize {
    (FIXED_BYTES + records * ENTRY_BYTES + body_bytes).next_multiple_of(SECTOR_BYTES)
}

/// Writes the batch into `out` (cleared first) and returns its chain hash. The caller keeps the
/// limits on counts and lengths.
pub fn encode(place: &Place, records: &[Record], out: &mut Vec<u8>) -> Hash {
    out.clear();
    let body_bytes = records.iter().map(|record| record.payload.len()).sum();
    out.reserve(batch_bytes(records.len(), body_bytes));
    put_fixed(place, records, out);
    for record in records {
        put_entry(record, out);
    }
    let header_bytes = out.len();
    let crc = header_crc(out);
    out[CRC_AT..FIXED_BYTES].copy_from_slice(&crc.to_le_bytes());
    let hash = *blake3::hash(&out[..header_bytes]).as_bytes();
    for record in records {
        out.extend_from_slice(&record.payload);
    }
    out.resize(out.len().next_multiple_of(SECTOR_BYTES), 0);
    hash
}

fn put_fixed(place: &Place, records: &[Record], out: &mut Vec<u8>) {
    let body_bytes: usize = records.iter().map(|record| record.payload.len()).sum();
    let body_crc = records.iter().fold(0, |crc, r| crc32c::crc32c_append(crc, &r.payload));
    out.extend_from_slice(&MAGIC.to_le_bytes());
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(&place.identity.log_id.to_le_bytes());
    out.extend_from_slice(&place.identity.segment.to_le_bytes());
    out.extend_from_slice(&narrow(records.len()).to_le_bytes());
    out.extend_from_slice(&place.first_offset.to_le_bytes());
    out.extend_from_slice(&place.durable_up_to.to_le_bytes());
    out.extend_from_slice(&narrow(body_bytes).to_le_bytes());
    out.extend_from_slice(&body_crc.to_le_bytes());
    out.extend_from_slice(&place.previous);
    out.resize(FIXED_BYTES, 0);
}

fn put_entry(record: &Record, out: &mut Vec<u8>) {
    out.extend_from_slice(&narrow(record.payload.len()).to_le_bytes());
    out.extend_from_slice(&record.kind.to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(&record.time_ms.to_le_bytes());
    out.extend_from_slice(&record.actor.to_le_bytes());
    out.extend_from_slice(&record.device.to_le_bytes());
    out.extend_from_slice(&record.counter.to_le_bytes());
    out.extend_from_slice(blake3::hash(&record.payload).as_bytes());
}

fn narrow(value: usize) -> u32 {
    u32::try_from(value).expect("batch limits are far below 4 GiB")
}

fn header_crc(header: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&header[..CRC_AT]);
    crc32c::crc32c_append(crc, &header[FIXED_BYTES..])
}

/// Length of the header that seems to start here, or `None` when none of this segment does. Only
/// a length to read: `decode` checks it.
#[must_use]
pub fn peek(fixed: &[u8], identity: &Identity) -> Option<usize> {
    if fixed.len() < FIXED_BYTES
        || u32_at(fixed, 0) != MAGIC
        || u16_at(fixed, 4) != VERSION
        || u16_at(fixed, 6) != 0
        || u64_at(fixed, 8) != identity.log_id
        || u32_at(fixed, 16) != identity.segment
    {
        return None;
    }
    let count = u32_at(fixed, 20) as usize;
    (1..=BATCH_RECORDS_MAX).contains(&count).then_some(FIXED_BYTES + count * ENTRY_BYTES)
}

/// Checks and decodes a header of exactly the length that `peek` gave.
#[must_use]
pub fn decode(header: &[u8], identity: &Identity) -> Option<Header> {
    if peek(header, identity) != Some(header.len()) || u32_at(header, CRC_AT) != header_crc(header)
    {
        return None;
    }
    let entries: Vec<Entry> =
        header[FIXED_BYTES..].chunks_exact(ENTRY_BYTES).map(entry_at).collect();
    let decoded = Header {
        first_offset: u64_at(header, 24),
        durable_up_to: u64_at(header, 32),
        previous: hash_at(header, 48),
        body_crc: u32_at(header, 44),
        entries,
        hash: *blake3::hash(header).as_bytes(),
    };
    is_sane(&decoded, u32_at(header, 40) as usize).then_some(decoded)
}

fn is_sane(header: &Header, body_bytes: usize) -> bool {
    header.first_offset > header.durable_up_to
        && header.first_offset.checked_add(BATCH_RECORDS_MAX as u64).is_some()
        && header.entries.iter().all(|entry| entry.payload_bytes <= PAYLOAD_BYTES_MAX)
        && header.body_bytes() == body_bytes
        && header.total_bytes() <= BATCH_BYTES_MAX
}

fn entry_at(bytes: &[u8]) -> Entry {
    Entry {
        payload_bytes: u32_at(bytes, 0) as usize,
        kind: u16_at(bytes, 4),
        time_ms: u64_at(bytes, 8),
        actor: u32_at(bytes, 16),
        device: u32_at(bytes, 20),
        counter: u64_at(bytes, 24),
        payload_hash: hash_at(bytes, 32),
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("the slice has the array's length")
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(bytes, at))
}

fn hash_at(bytes: &[u8], at: usize) -> Hash {
    array(bytes, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: Identity = Identity { log_id: 77, segment: 5 };

    fn place() -> Place {
        Place { identity: IDENTITY, first_offset: 10, durable_up_to: 9, previous: [3; 32] }
    }

    fn batch() -> Vec<u8> {
        let records = [
            Record { kind: 1, time_ms: 2, actor: 3, device: 4, counter: 5, payload: vec![6; 7] },
            Record { payload: vec![9; 600], ..Record::default() },
        ];
        let mut out = Vec::new();
        encode(&place(), &records, &mut out);
        out
    }

    /// Puts a value into the header and makes its CRC right again.
    fn forge(at: usize, value: &[u8]) -> Option<Header> {
        let mut header = batch()[..FIXED_BYTES + 2 * ENTRY_BYTES].to_vec();
        header[at..at + value.len()].copy_from_slice(value);
        let crc = header_crc(&header);
        header[CRC_AT..FIXED_BYTES].copy_from_slice(&crc.to_le_bytes());
        decode(&header, &IDENTITY)
    }

    #[test]
    fn a_batch_decodes_to_what_was_encoded() {
        let bytes = batch();
        assert_eq!(bytes.len(), 1024);
        let header_bytes = peek(&bytes, &IDENTITY).unwrap();
        let header = decode(&bytes[..header_bytes], &IDENTITY).unwrap();
        assert_eq!((header.first_offset, header.last_offset()), (10, 11));
        assert_eq!((header.previous, header.total_bytes()), ([3; 32], 1024));
        let at = header.payload_at(1);
        assert!(header.entries[1].matches(&bytes[at..at + 600]));
        let first = header.entries[0].with_payload(vec![6; 7]);
        assert_eq!((first.kind, first.time_ms, first.actor), (1, 2, 3));
        assert_eq!((first.device, first.counter), (4, 5));
    }

    #[test]
    fn headers_of_other_segments_logs_and_versions_are_not_ours() {
        let bytes = batch();
        assert!(peek(&bytes, &Identity { segment: 6, ..IDENTITY }).is_none());
        assert!(peek(&bytes, &Identity { log_id: 78, ..IDENTITY }).is_none());
        assert!(peek(&bytes[..FIXED_BYTES - 1], &IDENTITY).is_none());
        assert!(forge(4, &2_u16.to_le_bytes()).is_none(), "version");
        assert!(forge(6, &1_u16.to_le_bytes()).is_none(), "flags");
    }

    #[test]
    fn headers_that_lie_are_refused_although_their_crc_holds() {
        assert!(forge(0, &MAGIC.to_le_bytes()).is_some(), "forging itself works");
        assert!(forge(20, &0_u32.to_le_bytes()).is_none(), "no records");
        assert!(forge(20, &u32::MAX.to_le_bytes()).is_none(), "too many records");
        assert!(forge(24, &u64::MAX.to_le_bytes()).is_none(), "offsets overflow");
        assert!(forge(32, &10_u64.to_le_bytes()).is_none(), "durable before it was written");
        assert!(forge(40, &608_u32.to_le_bytes()).is_none(), "body length differs from the sum");
        assert!(forge(96, &u32::MAX.to_le_bytes()).is_none(), "payload over the limit");
    }

    #[test]
    fn every_flipped_header_bit_is_noticed() {
        let header = &batch()[..FIXED_BYTES + 2 * ENTRY_BYTES];
        for bit in 0..header.len() * 8 {
            let mut flipped = header.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&flipped, &IDENTITY).is_none(), "bit {bit}");
        }
    }
}
