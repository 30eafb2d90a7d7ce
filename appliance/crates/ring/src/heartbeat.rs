//! When a silent session is pinged, and when it is given up; pure.
//!
//! Native clients have no ping of the framing: the kernel's keep-alive holds the routers' entries
//! and finds the dead, and a send that makes no progress counts as silence for both.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use socket2::{SockRef, TcpKeepalive};

use crate::config::RingConfig;
use crate::limits::{PING_AFTER_DEFAULT, PONG_WITHIN_DEFAULT, UNSENT_BYTES_MAX};

/// What to do about a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Fine,
    Ping,
    Dead,
}

/// Signs of life of one session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    /// When something arrived or a send moved on.
    pub(crate) heard: Instant,
    /// A ping was sent since.
    pub(crate) pinged: bool,
}

impl Life {
    pub(crate) const fn new(now: Instant) -> Self {
        Self { heard: now, pinged: false }
    }

    /// A sign of life.
    pub(crate) fn hear(&mut self, now: Instant) {
        *self = Self::new(now);
    }

    /// `answers` is true when the peer owes a sign of life: WebSocket, or a send in flight.
    pub(crate) fn verdict(&self, now: Instant, answers: bool, config: &RingConfig) -> Verdict {
        let silent = now.duration_since(self.heard);
        if !answers || silent < config.ping_after {
            Verdict::Fine
        } else if silent >= config.ping_after + config.pong_within {
            Verdict::Dead
        } else if self.pinged {
            Verdict::Fine
        } else {
            Verdict::Ping
        }
    }
}

/// Time between the kernel's probes after the first, and probes before it gives up.
const PROBE_EVERY: Duration = Duration::from_secs(15);
const PROBES: u32 = 4;

/// Readies a socket for a ring: no delay, keep-alive as often as pings, little that the peer has
/// not taken kept by the kernel, and blocking, since io_uring answers EAGAIN on others instead of
/// waiting.
pub(crate) fn ready_socket(stream: &TcpStream) -> std::io::Result<()> {
    let keepalive = TcpKeepalive::new().with_time(PING_AFTER_DEFAULT);
    let keepalive = keepalive.with_interval(PROBE_EVERY).with_retries(PROBES);
    let socket = SockRef::from(stream);
    socket.set_nonblocking(false)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&keepalive)?;
    // Keep-alive rests while something is un-acked; without this the kernel tries for 15 minutes.
    socket.set_tcp_user_timeout(Some(PING_AFTER_DEFAULT + PONG_WITHIN_DEFAULT))?;
    socket.set_tcp_notsent_lowat(UNSENT_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_brings_a_ping_then_the_end_and_any_sign_of_life_starts_anew() {
        let (config, start) = (RingConfig::default(), Instant::now());
        let mut life = Life::new(start);
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(life.verdict(at(44), true, &config), Verdict::Fine);
        assert_eq!(life.verdict(at(45), true, &config), Verdict::Ping);
        life.pinged = true;
        assert_eq!(life.verdict(at(74), true, &config), Verdict::Fine);
        assert_eq!(life.verdict(at(75), true, &config), Verdict::Dead);
        assert_eq!(life.verdict(at(1000), false, &config), Verdict::Fine);
        life.hear(at(74));
        assert_eq!(life.verdict(at(75), true, &config), Verdict::Fine);
        assert!(!life.pinged);
    }
}
