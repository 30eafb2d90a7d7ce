//! Every limit of the generator, with its unit and reason.

use std::time::Duration;

/// Most sessions of all processes together: the largest figure anyone claims for a small box.
pub(crate) const SESSIONS_MAX: u32 = 1_000_000;

/// Most processes: each holds as many sessions as it has descriptors.
pub(crate) const PROCESSES_MAX: u32 = 64;

/// Most messages of one run: half an hour at the highest rate seen.
pub(crate) const MESSAGES_MAX: u64 = 100_000_000;

/// Longest run that may be asked for: an evening's soak.
pub(crate) const SECONDS_MAX: u64 = 4 * 3_600;

/// Longest payload: what Linnet takes as text.
pub(crate) const PAYLOAD_BYTES_MAX: usize = wire::limits::TEXT_BYTES_MAX;

/// Descriptors that are not sessions: epoll, timer, standard streams, files of /proc, some spare.
pub(crate) const SPARE_DESCRIPTORS: u64 = 32;

/// Sessions that share one source address: below any server's cap per address, and few enough that
/// ports never run out.
pub(crate) const SESSIONS_PER_ADDRESS: u32 = 16;

/// Bytes taken from a socket at once: a whole receive window of small messages.
pub(crate) const RECEIVE_BYTES: usize = 64 * 1024;

/// Readiness taken from epoll at once: one turn through a large room.
pub(crate) const READY_MAX: usize = 1_024;

/// Connections that may be between `connect` and ready at once, where nothing else is asked: below
/// common listen backlogs.
pub(crate) const CONNECTING_DEFAULT: usize = 128;

/// Wait before a session that was turned away in a storm comes again, and the wait that is added
/// for each further time: short against a storm, long against a handshake.
pub(crate) const COME_AGAIN: Duration = Duration::from_millis(200);

/// Unsent bytes of one connection above which the server counts as stuck: it stopped reading.
pub(crate) const UNSENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Sentences about broken connections that are kept; all are counted.
pub(crate) const REASONS_MAX: usize = 8;

/// Longest wait of one turn, so that deadlines and the progress bar are looked at.
pub(crate) const TURN: Duration = Duration::from_millis(100);

/// How often QUIC connections look at the clock: the shortest time they measure is the 25 ms by
/// which an acknowledgement may wait.
pub(crate) const EXPIRE_EVERY: Duration = Duration::from_millis(5);

/// Datagrams taken from one QUIC socket before others have their turn.
pub(crate) const DATAGRAMS_MAX: usize = 64;

/// Latency is kept from 1 ns to this: anything slower is recorded as this.
pub(crate) const LATENCY_NS_MAX: u64 = 3_600 * 1_000_000_000;

/// Significant digits of recorded latencies.
pub(crate) const LATENCY_DIGITS: u8 = 3;

/// What arrives this long after the last message was complete would be a duplicate.
pub(crate) const LINGER: Duration = Duration::from_millis(100);

const _: () = assert!(PAYLOAD_BYTES_MAX >= crate::stamp::STAMP_BYTES);
const _: () = assert!(UNSENT_BYTES_MAX > PAYLOAD_BYTES_MAX);
