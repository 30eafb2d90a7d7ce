//! Limits of the core, each with its unit and reason, and the shares of memory that the shell sets.

use wire::limits::{HISTORY_PAGE_MAX, TEXT_BYTES_MAX};

/// Most accounts: every client holds the list of all of them.
pub const USERS_MAX: usize = 10_000;

/// Most rooms of the box: about 300 bytes each stay in memory.
pub const ROOMS_MAX: usize = 100_000;

/// Most rooms that a user is or was in: catching up looks at each of them.
pub const ROOMS_PER_USER_MAX: usize = 5_000;

/// Ids left unused by each new incarnation: more than any box makes between two backups, few enough
/// for thousands of restores.
pub const EPOCH_ID_GAP: u32 = 100_000;

/// Most present members of a room: a snapshot of it in JSON fits one frame (28 bytes a member).
pub const MEMBERS_PER_ROOM_MAX: usize = 10_000;

/// Most devices of a user: a forgotten one costs 3 KB of memory for its window of results.
pub const DEVICES_PER_USER_MAX: usize = 64;

/// Most sessions of one device: two tabs and a reconnect that overtakes the old connection's end.
pub const SESSIONS_PER_DEVICE_MAX: usize = 4;

/// Stretches of a room that one membership remembers. Whoever comes back more often loses sight of
/// the oldest stretch.
pub const INTERVALS_MAX: usize = 64;

/// Messages of a room between two marks: a reader finds its place with at most this many read in
/// vain, at 16 bytes of memory per mark.
pub const MARK_SPACING: u64 = 256;

/// Connections in all remembered audiences together: 4 MB. What does not fit is found anew for each
/// message, as it would be without memory.
pub const AUDIENCE_SESSIONS_MAX: usize = 512 * 1024;

/// Members up to which a room shows read marks; above it they would outnumber the messages.
pub const READ_MARKS_MEMBERS_MAX: usize = 64;

/// Members above which joins and leaves are told in lists: read marks end there too.
pub const CROWD_MEMBERS: usize = READ_MARKS_MEMBERS_MAX;

/// Joins and leaves in large rooms wait this long for others to be told with.
pub const CROWD_WAIT_MS: u64 = 1_000;

/// Joins and leaves that may wait: a list of all of them in JSON fits one frame (50 bytes each).
pub const CROWD_CHANGES_MAX: usize = 4_096;

/// Lists of receivers that wait for a cursor in one room before they are made one: they differ only
/// when members came or went meanwhile.
pub const OWED_LISTS_MAX: usize = 8;

/// Time from connection to `hello`.
pub const HELLO_MS: u64 = 10_000;

/// Bytes after which a page of catching up waits until the client has taken it: small against
/// a session's byte cap, large against one round trip.
pub const PAGE_BYTES: usize = 32 * 1024;

/// Bytes of messages in one history page, counted as the longer of both encodings: fits a frame
/// with room for the envelope.
pub const HISTORY_BYTES: usize = 384 * 1024;

/// Reads from the card under way at once; others wait their turn. A page of longest texts takes
/// 3 MB of memory.
pub const READS_MAX: usize = 16;

/// Messages that catching up reads at once: at most 1 MB for one session.
pub const CATCHUP_READ_MAX: u64 = 64;

/// History pages of one session under way at once; more get `busy`.
pub const SESSION_READS_MAX: u8 = 4;

/// Read cursors in one record: 20 bytes each at most, so that it fits a log record.
pub const CURSORS_PER_RECORD_MAX: usize = 2_048;

/// Read cursors wait this long for another record to ride with.
pub const CURSOR_WAIT_MS: u64 = 1_000;

/// Records after which a checkpoint comes. It writes the window of every device that posted, 3 KB
/// each, so fewer are cheaper; this many are replayed in less than a second at start.
pub const CHECKPOINT_RECORDS: u64 = 8_192;

/// Time after which a checkpoint comes when anything was recorded since: bounds replay at start.
pub const CHECKPOINT_MS: u64 = 5 * 60 * 1_000;

/// A failed checkpoint is tried again after this time.
pub const CHECKPOINT_RETRY_MS: u64 = 10_000;

/// Notes of one dirty session per tick; the rest follows when these have left.
pub const NOTES_PER_TICK: usize = 16;

/// Most that one input may let the core's own time pass: more is a clock that was set.
pub const CLOCK_STEP_MS_MAX: u64 = 10 * 60 * 1_000;

/// What a passing refusal tells the client to wait.
pub const RETRY_MS: u32 = 500;

/// What a refusal for a full card tells the client to wait: somebody has to make room.
pub const CARD_FULL_RETRY_MS: u32 = 30_000;

/// Longest record of a command that the log must still take: text, header and batch overhead.
pub const RECORD_BYTES_MAX: u64 = 64 * 1024;

/// Shares of memory and card, set by the shell from one budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shares {
    /// Most connections.
    pub sessions_max: usize,
    /// Bytes of outputs that wait for the card; above it commands get `busy`.
    pub pending_bytes_max: usize,
    /// Bytes of message bodies kept in memory once the store's index holds them.
    pub hot_bytes_max: usize,
    /// Bytes of bodies that no checkpoint covers; above it commands get `busy`.
    pub unsaved_bytes_max: usize,
    /// Bytes of log kept back from new messages, for logins and deletes.
    pub log_reserve_bytes: u64,
    /// Records after which a checkpoint comes.
    pub checkpoint_records: u64,
    /// Members of a room above which joins and leaves are told in lists.
    pub crowd_members: usize,
}

impl Default for Shares {
    fn default() -> Self {
        Self {
            sessions_max: 20_000,
            pending_bytes_max: 16 * 1024 * 1024,
            hot_bytes_max: 8 * 1024 * 1024,
            unsaved_bytes_max: 48 * 1024 * 1024,
            log_reserve_bytes: 1024 * 1024,
            checkpoint_records: CHECKPOINT_RECORDS,
            crowd_members: CROWD_MEMBERS,
        }
    }
}

const _: () = assert!(CURSORS_PER_RECORD_MAX * 20 < RECORD_BYTES_MAX as usize);
const _: () = assert!(PAGE_BYTES > TEXT_BYTES_MAX);
const _: () = assert!(HISTORY_BYTES + 64 * 1024 <= wire::limits::SERVER_FRAME_BYTES_MAX);
const _: () = assert!(HISTORY_BYTES > TEXT_BYTES_MAX * 6);
const _: () = assert!(HISTORY_PAGE_MAX as u64 <= MARK_SPACING);
const _: () =
    assert!(MEMBERS_PER_ROOM_MAX * 32 + TEXT_BYTES_MAX * 6 < wire::limits::SERVER_FRAME_BYTES_MAX);
const _: () = assert!(CROWD_CHANGES_MAX * 64 < wire::limits::SERVER_FRAME_BYTES_MAX);
const _: () = assert!(SESSIONS_PER_DEVICE_MAX >= 2);
