//! Limits of one session, whatever carries it, with unit and reason. Exceeding one is an error the
//! peer sees, an event for the core, or back-pressure; never growth without end.

use std::time::Duration;

use wire::limits::{CLIENT_FRAME_BYTES_MAX, SERVER_FRAME_BYTES_MAX};

/// Longest frame before the session signed in: `hello` with every field at its limit, in JSON
/// with six bytes a byte, stays below 2 KiB.
pub const UNKNOWN_FRAME_BYTES_MAX: usize = 4 * 1024;

/// Bytes of all frames a session may send before it signed in: a few tries of `hello`.
pub const UNKNOWN_BYTES_MAX: u64 = 16 * 1024;

/// Queued bytes of a session above which fan-out stops and the core is told it overflowed; also
/// above which the session is not read from, as its owner does not read the answers.
pub const SESSION_BYTES_DEFAULT: usize = 256 * 1024;

/// Queued bytes of a session above which it is closed: answers to what was read in one go.
pub const SESSION_BYTES_HARD_DEFAULT: usize = 2 * 1024 * 1024;

/// Queued bytes of a session above which it overflows while its ring or QUIC is pressed: a few
/// messages of the longest kind, so that whoever reads normally notices nothing.
pub const SESSION_BYTES_PRESSED: usize = 32 * 1024;

/// Work a session may cause per second, in bytes: 2,000 small requests, or 120 history pages. A
/// person causes ten; a program that copies a whole history is slowed a little.
pub const SESSION_WORK_PER_SECOND_DEFAULT: u32 = 8 * 1024 * 1024;

/// How far ahead of that pace a session may be: a thousand small requests at once, more than any
/// client has waiting after an absence.
pub const SESSION_BURST_DEFAULT: Duration = Duration::from_millis(500);

/// What a request counts as beside its own length: handling one costs as much as this much text.
pub const REQUEST_WORK_BYTES: usize = 4 * 1024;

/// What a request that looks at many rooms or messages counts as: an ordinary page of history.
pub const DEAR_WORK_BYTES: usize = 64 * 1024;

/// History pages of a session under way at once, so that it is not closed as too slow over pages
/// that it asked for: they fit between both caps.
pub const ASKED_PAGES_MAX: usize = 3;

/// When clients come again after the sessions ended by themselves: a restart takes a second.
pub const RETRY_AFTER_MS: u32 = 2_000;

/// Time for the last frames of a closing session to leave the queue, and then for the peer to
/// close its side, so that the last frames are not lost to a reset.
pub const CLOSE_WITHIN: Duration = Duration::from_secs(3);

/// Time all sessions together get for that when the server stops.
pub const SHUTDOWN_WITHIN: Duration = Duration::from_secs(2);

/// How often a thread with undelivered events looks whether the core made room.
pub const CHOKED_RETRY: Duration = Duration::from_millis(1);

const _: () = assert!(UNKNOWN_FRAME_BYTES_MAX < CLIENT_FRAME_BYTES_MAX);
const _: () = assert!(SERVER_FRAME_BYTES_MAX < SESSION_BYTES_HARD_DEFAULT);
const _: () = assert!(SESSION_BYTES_PRESSED < SESSION_BYTES_DEFAULT);
const _: () = assert!(
    SESSION_BYTES_DEFAULT + ASKED_PAGES_MAX * SERVER_FRAME_BYTES_MAX < SESSION_BYTES_HARD_DEFAULT
);
