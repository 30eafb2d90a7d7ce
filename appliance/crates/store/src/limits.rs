//! Limits of the index, each with its unit and reason.

/// Version of the table layout in FORMAT.md. Another version is rebuilt from the log, never read.
pub const FORMAT_VERSION: u64 = 1;

/// Smallest page cache in bytes that redb works well with: a few B-tree paths per table.
pub const CACHE_BYTES_MIN: usize = 1024 * 1024;

/// A file up to this many bytes is verified as a whole at every start: two seconds on a card that
/// reads 40 MB/s. A larger one is verified after an unclean stop only, and guarded by the marker.
pub const VERIFY_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Most index entries that one range read returns: a history page and some to spare.
pub const RANGE_ENTRIES_MAX: usize = 1024;

/// Copies of a broken index that are kept for a look; more would fill the card.
pub const ASIDE_FILES_MAX: usize = 2;
