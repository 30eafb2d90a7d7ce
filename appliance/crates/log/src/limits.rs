//! Limits of the log, each with its unit and reason. Relations between them are asserted at
//! compile time.

/// Atomic unit of a device write. Batches start on a multiple of it, so that a torn write of a new
/// batch can never touch a batch that was acknowledged.
pub const SECTOR_BYTES: usize = 512;

/// Size of a live segment: long enough that the switch (rename, fsync of the folder) is rare, short
/// enough that a scan of the tail takes a fifth of a second on a slow card.
pub const SEGMENT_BYTES: u64 = 8 * 1024 * 1024;

/// Smallest segment that `Options` accepts; the simulator uses small ones to switch often.
pub const SEGMENT_BYTES_MIN: u64 = 4096;

/// Largest segment: byte positions inside a segment are u32.
pub const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// Longest payload of one record. Attachments live in files, never in the log.
pub const PAYLOAD_BYTES_MAX: usize = 64 * 1024;

/// Most records in one batch: bounds the header that a reader must hold (64 KiB of entries).
pub const BATCH_RECORDS_MAX: usize = 1024;

/// Longest batch: one write of 1 MiB takes about 50 ms on a 20 MB/s card, which bounds how long the
/// next batch waits.
pub const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// Spares that the index thread keeps ready, so that one slow preparation never stalls the writer.
pub const SPARES_WANTED: usize = 2;

/// Pre-written segments kept back for a full card: enough for many sign-ins.
pub const RESERVE_SEGMENTS: usize = 1;

/// Zeros written per step while a spare is prepared: short enough that the writer's own fdatasync
/// does not queue behind megabytes.
pub const ZERO_STEP_BYTES: usize = 256 * 1024;

/// Read-ahead of a scan.
pub const SCAN_WINDOW_BYTES: usize = 256 * 1024;

/// Read-ahead of a single record's read: header and body of a usual batch in one system call.
pub const READ_WINDOW_BYTES: usize = 4096;

/// Segment handles that a reader keeps open.
pub const OPEN_SEGMENTS_MAX: usize = 8;

/// How often a record may crash the replay before it is skipped.
pub const REPLAY_ATTEMPTS_MAX: u32 = 3;

/// Quarantined offsets kept. More than this is not a bad record but a bad program.
pub const QUARANTINE_MAX: usize = 1024;

/// Alignment of direct reads: covers devices with 4 KiB logical blocks.
pub const DIRECT_ALIGN_BYTES: usize = 4096;

const _: () = assert!(SEGMENT_BYTES_MIN.is_multiple_of(SECTOR_BYTES as u64));
const _: () = assert!(SEGMENT_BYTES.is_multiple_of(DIRECT_ALIGN_BYTES as u64));
const _: () = assert!(BATCH_BYTES_MAX as u64 <= SEGMENT_BYTES);
const _: () = assert!(SEGMENT_BYTES_MAX <= u32::MAX as u64);
const _: () = assert!(
    crate::format::batch_bytes(BATCH_RECORDS_MAX, 0) < BATCH_BYTES_MAX,
    "a full entry table leaves room for bodies"
);
const _: () = assert!(crate::format::batch_bytes(1, PAYLOAD_BYTES_MAX) <= BATCH_BYTES_MAX);
