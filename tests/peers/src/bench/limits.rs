//! Bounds of a benchmark, each with its unit and reason.

use std::time::Duration;

/// After this a quick run repeats nothing more, so that it ends within three minutes.
pub(super) const QUICK_REPEATS_UNTIL: Duration = Duration::from_secs(140);

/// Seconds of one run of the generator in a quick benchmark.
pub(super) const QUICK_RUN_SECONDS: u64 = 25;

/// Seconds of one run of the generator: the slowest peer joins a thousand members in two minutes.
pub(super) const RUN_SECONDS: u64 = 200;

/// A server whose run took this long is not run again: it is so far off that one run says it.
pub(super) const SLOW_RUN: Duration = Duration::from_secs(40);

/// Seconds that the generator gets to notice that its time is up.
pub(super) const GRACE_SECONDS: u64 = 20;

/// How long a server may take until it listens: Erlang on a busy machine.
pub(super) const START: Duration = Duration::from_secs(30);

/// Memory that Linnet plans with, in MiB: less than the smallest board, so that caches fill soon.
pub(super) const BOARD_MIB: u32 = 384;

/// Messages of 4 KB that fill the cache of recent ones at that size, so that memory per session is
/// not the cache's.
pub(super) const IDLE_WARM_UP: u32 = 8_192;

/// How often that is looked at.
pub(super) const START_STEP: Duration = Duration::from_millis(50);

/// How long a server's first work after its start may go on beside the run: index, spare segments.
pub(super) const SETTLE: Duration = Duration::from_millis(500);

/// A folder in which nothing changed for so long is settled: spare segments are prepared in steps
/// with pauses between them.
pub(super) const QUIET: Duration = Duration::from_secs(2);

/// How long that may take.
pub(super) const QUIET_WITHIN: Duration = Duration::from_secs(40);

/// Bytes of the file that becomes a device of its own, most of it never written.
pub(super) const CARD_BYTES: u64 = 1 << 30;

/// Bytes of a server's log that an error shows.
pub(super) const LOG_TAIL_BYTES: usize = 600;
