//! Limits of file work, each with its unit and reason.

/// Bytes of one read and of one chunk of a backup: long enough for a card's full speed, short
/// enough that a few in flight stay below a megabyte.
pub const CHUNK_BYTES: usize = 256 * 1024;

/// Bytes read for a record whose batch is not at hand: header and payload of a usual batch.
pub const WINDOW_BYTES: usize = 4096;

/// Requests that wait for the thread: what the core may ask at once, and a backup.
pub const REQUESTS_MAX: usize = 80;

/// History reads under way at once: more would only compete for the card.
pub const READS_AT_ONCE: usize = 8;

/// Records that one history request may name: a page and some to spare.
pub const HISTORY_RECORDS_MAX: usize = 1024;

/// Backups at once: each reads the whole log, a second one would only slow both.
pub const BACKUPS_AT_ONCE: usize = 1;

/// Chunks of a backup that wait for a slow downloader.
pub const BACKUP_CHUNKS_WAITING: usize = 2;

/// Submission queue entries of the file ring; a request keeps one operation in flight.
pub const RING_ENTRIES: u32 = 32;

/// Segment files that stay open between requests.
pub const OPEN_SEGMENTS_MAX: usize = 8;
