//! Every limit of the rings, with its unit and reason. Exceeding one is an error the peer sees,
//! an event for the core, or back-pressure; never growth without end.

use std::time::Duration;

pub use session::limits::*;
use wire::limits::SERVER_FRAME_BYTES_MAX;

/// Most ring threads: the ring number has eight bits in a session id, and the last number is left
/// to sessions that live elsewhere.
pub const RINGS_MAX: usize = 255;

/// Connections one ring accepts unless configured, by its fixed-file table (8 bytes each); the
/// memory budget usually refuses earlier.
pub const CONNECTIONS_DEFAULT: u32 = 20_000;

/// Submission queue entries: a busy tick submits several times, which costs less than the cache
/// that a longer queue needs.
pub const SUBMISSIONS: u32 = 256;

/// Completion queue entries: multishot receives complete without a submission, so this is
/// far above the submission queue (twice that lost connections, tokio-rs/io-uring#302).
pub const COMPLETIONS: u32 = SUBMISSIONS * 16;

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

/// Queued bytes of all sessions of a ring above which it is *pressed*: sessions overflow at the
/// pressed cap below, so that many slow readers cost little more than this.
pub const RING_BYTES_DEFAULT: usize = 32 * 1024 * 1024;

/// Bytes in a socket that were not sent yet, above which it takes no more (TCP_NOTSENT_LOWAT): a
/// reader that stalls keeps this much kernel memory instead of megabytes, and a fast one is not
/// slowed, as what is on its way does not count.
pub const UNSENT_BYTES_MAX: u32 = 16 * 1024;

/// Bytes of frames gathered into one send: a hundred short messages; more saves little, and what a
/// socket does not take is copied. A single longer frame goes alone.
pub const SEND_BYTES: usize = 16 * 1024;

/// Events of one turn that leave together: a burst of the core's.
pub const EVENTS_GATHERED_MAX: usize = 256;

/// Frames and bytes (roughly) of one bundle of news: it is dropped as a whole for a slow session,
/// so it is small against the session's cap.
pub const BUNDLE_FRAMES_MAX: usize = 64;
/// See [`BUNDLE_FRAMES_MAX`].
pub const BUNDLE_BYTES_MAX: usize = 8 * 1024;

/// Bytes put together for the sends of one tick before they are submitted: several of the longest
/// frame with its TLS records. Pages cost nothing until they are used.
pub const STAGING_BYTES: usize = 1024 * 1024;

/// How often sessions that are ahead of their pace are looked at.
pub const PACE_EVERY: Duration = Duration::from_millis(20);

/// Plaintext of one TLS record at most, both ways (RFC 8446, 5.1).
pub const TLS_FRAGMENT_BYTES_MAX: usize = 16 * 1024;

/// Body of a received TLS 1.3 record at most: type, tag and padding included (RFC 8446, 5.2).
pub const TLS_RECORD_BYTES_MAX: usize = TLS_FRAGMENT_BYTES_MAX + 256;

/// Records sealed with one AES-GCM key before the session is ended; RFC 8446, 5.5 allows 2^24.5.
pub const TLS_GCM_RECORDS_MAX: u64 = 1 << 24;

/// Records without content in a row, as BoringSSL and rustls bound them.
pub const TLS_EMPTY_RECORDS_MAX: u8 = 32;

/// Longest time that an ack on a busy ring waits for something to ride with: nobody sees it, and it
/// is short against the sync of a card.
pub const ACK_COMPANY_WITHIN: Duration = Duration::from_millis(5);

/// Frames from clients within [`ACK_COMPANY_WINDOW`] from which on a ring is busy: 4,000 a second.
pub const ACK_COMPANY_FRAMES: u64 = 40;

/// Time over which frames are counted for that.
pub const ACK_COMPANY_WINDOW: Duration = Duration::from_millis(10);

/// Silence after which a session is pinged, native ones by the kernel: routers at home forget a
/// flow after a minute or more.
pub const PING_AFTER_DEFAULT: Duration = Duration::from_secs(45);

/// Silence after a ping that ends the session.
pub const PONG_WITHIN_DEFAULT: Duration = Duration::from_secs(30);

/// How often silence is looked for.
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(5);

/// Time operations in flight get to end after they were cancelled; then memory is leaked, not
/// freed, because the kernel might still write to it.
pub const CANCEL_WITHIN: Duration = Duration::from_secs(5);

/// Bytes that TLS adds to one send at most: 22 a record, and alerts or key updates that wait.
pub const TLS_OVERHEAD_BYTES: usize = 4 * 1024;

const _: () = assert!(STAGING_BYTES >= SERVER_FRAME_BYTES_MAX + SEND_BYTES + TLS_OVERHEAD_BYTES);
const _: () = assert!(SERVER_FRAME_BYTES_MAX / TLS_FRAGMENT_BYTES_MAX * 64 < TLS_OVERHEAD_BYTES);
const _: () = assert!(COMPLETIONS >= SUBMISSIONS * 4);
const _: () = assert!(RECEIVE_BUFFERS_DEFAULT.is_power_of_two());
