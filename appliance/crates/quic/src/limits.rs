//! Every limit of QUIC, with its unit and reason; those of one session are `session::limits`.

use std::time::Duration;

pub use session::limits::*;

/// The top eight bits of a QUIC session's id, where sessions of rings have the ring's number.
pub const RING: u8 = 255;

/// What a connection with its session may cost beside what is queued for it, in bytes: what idle
/// ones were measured at (tests/memory.rs), and as much again for what its windows hold.
pub const CONNECTION_BYTES: u64 = 64 * 1024;

/// Connections unless configured.
pub const CONNECTIONS_DEFAULT: usize = 1_000;

/// Queued bytes of all sessions above which slow ones are let go earlier.
pub const BYTES_DEFAULT: usize = 16 * 1024 * 1024;

/// Bytes of a client's that wait to be read: a few of the longest texts, so that a sender is held
/// up by what the core takes and not by round trips.
pub const RECEIVE_WINDOW_BYTES: u32 = 32 * 1024;

/// Bytes sent and not acknowledged: 13 Mbit/s at 40 ms of round trip. A reader that stalls keeps
/// this much beside its queue.
pub const SEND_WINDOW_BYTES: u64 = 64 * 1024;

/// Bytes read and decoded at once, so that sessions take turns.
pub const READ_BYTES_MAX: usize = 16 * 1024;

/// Bytes of frames given to the connection at once, or one longer frame.
pub const SEND_BYTES: usize = 16 * 1024;

/// Commands of one batch of the core's; a longer one leaves in parts.
pub const BATCH_COMMANDS_MAX: usize = 1024;

/// Batches that wait for the thread; the core then waits for it, and it never waits for the core.
pub const BATCHES_MAX: usize = 4;

/// Handshake and opening of the stream; three round trips with losses, and patience.
pub const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);

/// Connections on which nobody signed in yet from which on a newcomer has to prove its address
/// with a token first (RFC 9000, 8.1.2), so that made-up addresses can't take more places.
pub const UNPROVEN_MAX: usize = 16;

/// Connection attempts that wait to be looked at: more are refused by quinn at once.
pub const INCOMING_MAX: usize = 256;

/// Bytes that follow the first packet of an attempt before it is looked at.
pub const INCOMING_BYTES_MAX: u64 = 8 * 1024;

/// The same of all attempts together.
pub const INCOMING_BYTES_ALL_MAX: u64 = 512 * 1024;

/// Silence after which a packet is sent that the client acknowledges: routers at home forget a UDP
/// flow after 30 seconds, many sooner than a TCP one.
pub const KEEP_ALIVE_DEFAULT: Duration = Duration::from_secs(25);

/// Silence that ends a connection: three of those packets in a row were lost.
pub const IDLE_DEFAULT: Duration = Duration::from_secs(75);

/// Time in which a reader has to take something of what waits for it.
pub const STALLED_DEFAULT: Duration = Duration::from_secs(75);

/// Time for the last packets after all connections were closed.
pub const IDLE_WITHIN: Duration = Duration::from_millis(500);

const _: () = assert!(KEEP_ALIVE_DEFAULT.as_secs() * 3 <= IDLE_DEFAULT.as_secs());
const _: () = assert!(SEND_BYTES as u64 <= SEND_WINDOW_BYTES);
