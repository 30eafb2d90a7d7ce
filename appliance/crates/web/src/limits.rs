//! Every limit of this crate, with its unit and reason. Exceeding one is an error the peer sees.

use std::time::Duration;

/// Connections in TLS handshake, in HTTP or in a session that nobody signed in on, at once, all
/// listeners together: about 60 KB each.
pub const CONNECTIONS_MAX: usize = 256;

/// Share of [`CONNECTIONS_MAX`] that one address (IPv6: one /64) may hold: a browser opens six, a
/// class room behind one router shares an address.
pub const CONNECTIONS_PER_ADDRESS_MAX: usize = 96;

/// New connections of one address (IPv6: one /64) at once: a class room of browsers, six each.
pub const NEW_CONNECTIONS_AT_ONCE: u32 = 256;

/// Time until one address may open one more beyond that: 64 a second. At the 2 ms that
/// a full handshake may cost these keep an eighth of one core busy.
pub const NEW_CONNECTION_EVERY: Duration = Duration::from_micros(15_625);

/// Addresses whose pace is remembered, for four seconds at most; 48 bytes each.
pub const NEWCOMERS_MAX: usize = 1024;

/// How often the log tells that connections are refused for coming too often.
pub const REFUSALS_TOLD_EVERY: Duration = Duration::from_secs(60);

/// A TLS handshake on a slow link takes two seconds; the rest is patience.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Time for a request's head, and for an idle kept-alive connection.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// Time for a request's body: all of them are small.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a request's head that hyper buffers (its least is 8 KiB).
pub const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Headers of a request: browsers send about 20.
pub const HEADERS_MAX: usize = 64;

/// Longest JSON body: a password of 1,024 bytes, escaped sixfold, and names.
pub const BODY_BYTES_MAX: usize = 16 * 1024;

/// Shortest password in bytes (NIST SP 800-63B).
pub const PASSWORD_BYTES_MIN: usize = 8;

/// Longest password in bytes; any pass phrase fits and hashing stays cheap.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// Argon2id memory in KiB (OWASP's second recommendation: 19 MiB, t=2, p=1).
pub const ARGON2_MEMORY_KIB: u32 = 19 * 1024;

/// Argon2id passes.
pub const ARGON2_PASSES: u32 = 2;

/// Hashes computed at once: two cores stay free for chat, memory stays below 40 MiB.
pub const HASHES_AT_ONCE: usize = 2;

/// Hashes that may wait: at 0.1 s each and two at once, the last waits about three seconds.
pub const HASH_QUEUE_MAX: usize = 64;

/// When to come back after the queue was full.
pub const HASH_RETRY_AFTER: Duration = Duration::from_secs(5);

/// Wrong tries before an address has to wait; the try with this number is told to.
pub const WRONG_TRIES_MAX: u32 = 10;

/// How long it has to wait, and how long wrong tries are remembered.
pub const WRONG_TRIES_PAUSE: Duration = Duration::from_secs(60);

/// Addresses whose wrong tries are remembered; the longest-quiet one makes room, one that waits
/// only after all others. 64 bytes each.
pub const THROTTLED_MAX: usize = 4096;

/// Longest validity of a leaf (CA/Browser Forum, Apple HT211025: 398 days; one spared).
pub const LEAF_DAYS_MAX: i64 = 397;

/// A leaf is re-issued when fewer days are left.
pub const LEAF_DAYS_LEFT_MIN: i64 = 30;

/// A leaf is back-dated to the clock floor but by no more than this, so that most of its days lie
/// ahead.
pub const LEAF_BACKDATE_DAYS_MAX: i64 = 90;

/// Validity of the CA: outlives the board.
pub const CA_DAYS: i64 = 40 * 365;

/// Names and addresses one leaf carries.
pub const LEAF_NAMES_MAX: usize = 64;

/// How often the leaf is compared with clock, names and addresses.
pub const LEAF_CHECK_INTERVAL: Duration = Duration::from_secs(60);

/// Largest certificate or key file that is read.
pub const PEM_BYTES_MAX: u64 = 64 * 1024;

/// A peer that takes none of the bytes sent to it for so long is gone.
pub const STALLED_WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Threads for password hashes: those that run at once, and one spare.
pub const BLOCKING_THREADS_MAX: usize = HASHES_AT_ONCE + 1;

const _: () = assert!(LEAF_BACKDATE_DAYS_MAX + LEAF_DAYS_LEFT_MIN < LEAF_DAYS_MAX);
const _: () = assert!(PASSWORD_BYTES_MAX * 6 < BODY_BYTES_MAX);
const _: () = assert!(CONNECTIONS_PER_ADDRESS_MAX < CONNECTIONS_MAX);
