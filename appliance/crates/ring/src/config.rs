//! What the server's start decides about the rings; the defaults are the limits' own.

use std::time::Duration;

use session::pace::PaceConfig;

use crate::limits;

/// Sizes and times of all rings.
#[derive(Clone, Debug)]
pub struct RingConfig {
    /// Ring threads, 1 to [`limits::RINGS_MAX`].
    pub rings: usize,
    /// Most connections of one ring; lowered to what the process may open.
    pub connections_per_ring: u32,
    /// Receive buffers of one ring, a power of two.
    pub receive_buffers: u16,
    /// Queued bytes of a session above which it overflows.
    pub session_bytes_max: usize,
    /// Queued bytes of a session above which it is closed.
    pub session_bytes_hard_max: usize,
    /// Queued bytes of all sessions of one ring above which slow ones are let go earlier.
    pub ring_bytes_max: usize,
    /// How much work a session may cause; what is beyond waits in its socket.
    pub pace: PaceConfig,
    /// Silence after which a WebSocket session is pinged.
    pub ping_after: Duration,
    /// Silence after the ping that ends it.
    pub pong_within: Duration,
}

impl Default for RingConfig {
    /// One ring less than there are cores, at least one: the core and the disk want some too.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            rings: cores.saturating_sub(1).clamp(1, limits::RINGS_MAX),
            connections_per_ring: limits::CONNECTIONS_DEFAULT,
            receive_buffers: limits::RECEIVE_BUFFERS_DEFAULT,
            session_bytes_max: limits::SESSION_BYTES_DEFAULT,
            session_bytes_hard_max: limits::SESSION_BYTES_HARD_DEFAULT,
            ring_bytes_max: limits::RING_BYTES_DEFAULT,
            pace: PaceConfig::default(),
            ping_after: limits::PING_AFTER_DEFAULT,
            pong_within: limits::PONG_WITHIN_DEFAULT,
        }
    }
}
