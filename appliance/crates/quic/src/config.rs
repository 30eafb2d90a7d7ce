//! What the server's start decides; the defaults are the limits' own.

use std::net::{IpAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use session::pace::PaceConfig;

use crate::limits;

/// Sizes and times.
#[derive(Clone, Debug)]
pub struct QuicConfig {
    /// Most connections, handshakes included.
    pub connections_max: usize,
    /// Queued bytes of a session above which it overflows.
    pub session_bytes_max: usize,
    /// Queued bytes of a session above which it is closed.
    pub session_bytes_hard_max: usize,
    /// Queued bytes of all sessions above which slow ones are let go earlier.
    pub bytes_max: usize,
    /// How much work a session may cause; what is beyond waits with its sender.
    pub pace: PaceConfig,
    /// Silence after which a sign of life is asked for.
    pub keep_alive_after: Duration,
    /// Silence that ends a connection.
    pub idle_within: Duration,
    /// Time in which a reader has to take something of what waits for it.
    pub stalled_within: Duration,
}

impl Default for QuicConfig {
    fn default() -> Self {
        Self {
            connections_max: limits::CONNECTIONS_DEFAULT,
            session_bytes_max: limits::SESSION_BYTES_DEFAULT,
            session_bytes_hard_max: limits::SESSION_BYTES_HARD_DEFAULT,
            bytes_max: limits::BYTES_DEFAULT,
            pace: PaceConfig::default(),
            keep_alive_after: limits::KEEP_ALIVE_DEFAULT,
            idle_within: limits::IDLE_DEFAULT,
            stalled_within: limits::STALLED_DEFAULT,
        }
    }
}

/// Gives a place to a connection from an address, or none when it has too many or comes too
/// often. Held until somebody signed in on it, or to its end.
pub type Admit = Box<dyn Fn(IpAddr) -> Option<Box<dyn Send>> + Send>;

/// Where connections come in.
pub struct Door {
    /// The bound socket; blocking or not does not matter.
    pub socket: UdpSocket,
    /// TLS 1.3 with ALPN [`crate::ALPN`] and without early data.
    pub tls: Arc<rustls::ServerConfig>,
    /// Places for connections that nobody signed in on.
    pub admit: Admit,
    /// A secret that outlives the process: clients of the one before learn at their next packet
    /// that it is gone (stateless reset, RFC 9000, 10.3).
    pub reset_seed: [u8; 32],
}
