//! Every limit of the rings, with its unit and reason. Exceeding one is an error the peer sees,
//! an event for the core, or back-pressure; never growth without end.

use std::time::Duration;

use wire::limits::{CLIENT_FRAME_BYTES_MAX, SERVER_FRAME_BYTES_MAX};

/// Most ring threads: the ring number has eight bits in a session id.
pub const RINGS_MAX: usize = 256;

/// Connections one ring accepts unless configured: the fixed-file table and what a 1 GB board
/// carries as TLS sessions (13.5 KB each); the memory budget usually refuses earlier.
pub const CONNECTIONS_DEFAULT: u32 = 16_384;

/// Submission queue entries: one tick of a busy ring; more wait in a list, nothing is lost.
pub const SUBMISSIONS: u32 = 512;

/// Completion queue entries: multishot receives complete without a submission, so this is
/// far above the submission queue (twice that lost connections, tokio-rs/io-uring#302).
pub const COMPLETIONS: u32 = SUBMISSIONS * 8;

/// Bytes of one receive buffer, and so of one slice fed to TLS: a chat frame fits several times,
/// and rustls' record buffer grows little.
pub const RECEIVE_BUFFER_BYTES: u32 = 2048;

/// Receive buffers of one ring (a power of two): 1 MiB bounds all input that is not decoded yet.
pub const RECEIVE_BUFFERS_DEFAULT: u16 = 512;

/// Batches of commands waiting for one ring; the sender then waits for the ring, which never waits
/// for it. With [`BATCH_COMMANDS_MAX`] commands of 80 bytes each they take 5 MB.
pub const BATCHES_MAX: usize = 1024;

/// Commands gathered for one ring before they are handed over: all that one synced batch of a busy
/// box makes for a few dozen messages.
pub const BATCH_COMMANDS_MAX: usize = 64;

/// Commands taken in one tick, so that sockets get their turn under a flood of sends.
pub const COMMANDS_PER_TICK: usize = 1024;

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

/// Bytes of frames gathered into one send: what a socket buffer takes at once; a single longer
/// frame goes alone.
pub const SEND_BYTES: usize = 64 * 1024;

/// Plaintext given to TLS at once: the largest record.
pub const TLS_CHUNK_BYTES: usize = 16 * 1024;

/// Silence after which a WebSocket session is pinged; home routers forget a flow after a minute.
pub const PING_AFTER_DEFAULT: Duration = Duration::from_secs(45);

/// Silence after a ping that ends the session.
pub const PONG_WITHIN_DEFAULT: Duration = Duration::from_secs(30);

/// How often silence is looked for.
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(5);

/// Time for the last frames of a closing session to leave the queue, and then for the peer to
/// close its side, so that the last frames are not lost to a reset.
pub const CLOSE_WITHIN: Duration = Duration::from_secs(3);

/// Time all sessions together get for that when the server stops.
pub const SHUTDOWN_WITHIN: Duration = Duration::from_secs(2);

/// Time operations in flight get to end after they were cancelled; then memory is leaked, not
/// freed, because the kernel might still write to it.
pub const CANCEL_WITHIN: Duration = Duration::from_secs(5);

/// When clients come again after the rings stopped by themselves: a restart takes a second.
pub const RETRY_AFTER_MS: u32 = 2_000;

/// How often a ring with undelivered events looks whether the core made room.
pub const CHOKED_RETRY: Duration = Duration::from_millis(1);

const _: () = assert!(COMPLETIONS >= SUBMISSIONS * 4);
const _: () = assert!(RECEIVE_BUFFERS_DEFAULT.is_power_of_two());
const _: () = assert!(UNKNOWN_FRAME_BYTES_MAX < CLIENT_FRAME_BYTES_MAX);
const _: () = assert!(SERVER_FRAME_BYTES_MAX < SESSION_BYTES_HARD_DEFAULT);
const _: () = assert!(SESSION_BYTES_DEFAULT < SESSION_BYTES_HARD_DEFAULT);
