//! What a ring tells the core, and the names both use for a connection.

use std::fmt;
use std::net::SocketAddr;

use wire::ClientMessage;

/// A connection: `ring(8) | generation(24) | slot(32)`. The generation tells apart the
/// connections that had the same slot one after another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

impl SessionId {
    /// Puts an id together; `generation` has 24 bits.
    pub(crate) const fn new(ring: u8, generation: u32, slot: u32) -> Self {
        Self((ring as u64) << 56 | (generation as u64 & GENERATION_MASK) << 32 | slot as u64)
    }

    /// Number of the ring that holds the connection.
    #[must_use]
    pub const fn ring(self) -> usize {
        (self.0 >> 56) as usize
    }

    pub(crate) const fn generation(self) -> u32 {
        (self.0 >> 32 & GENERATION_MASK) as u32
    }

    pub(crate) const fn slot(self) -> u32 {
        (self.0 & 0xffff_ffff) as u32
    }
}

/// The 24 bits of a generation.
pub(crate) const GENERATION_MASK: u64 = 0xff_ffff;

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({}:{}.{})", self.ring(), self.slot(), self.generation())
    }
}

/// How frames are told apart on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Binary frames one after another.
    Native,
    /// RFC 6455 after the upgrade; no extensions.
    WebSocket {
        /// True when `linnet.binary` was negotiated: frames to the client start as postcard, else
        /// as JSON. Later they follow the encoding of the client's newest frame.
        binary: bool,
    },
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The peer closed it.
    Peer,
    /// The connection broke.
    Lost,
    /// No sign of life after a ping.
    Dead,
    /// The peer broke the framing rules, or TLS.
    Violation,
    /// More was queued for it than the hard limit.
    TooSlow,
    /// The core asked for it.
    Asked,
    /// The rings are stopping.
    ShuttingDown,
}

/// What happened on a ring. `Connected` comes first and `Closed` last, exactly once each.
#[derive(Debug, PartialEq, Eq)]
pub enum RingEvent {
    /// A connection was adopted: send it the greeting.
    Connected {
        /// Which.
        session: SessionId,
        /// Where it comes from.
        peer: SocketAddr,
    },
    /// A whole, well-formed frame.
    Frame {
        /// From whom.
        session: SessionId,
        /// The client's number for the answer, or 0.
        request: u32,
        /// The message.
        message: ClientMessage,
    },
    /// Everything up to a frame sent with `flush_note` was given to the socket. One per note.
    Flushed {
        /// Whose.
        session: SessionId,
    },
    /// The queue went over the cap: fan-out (news with request 0) is dropped until the
    /// core sends a frame with a flush note.
    Overflowed {
        /// Whose.
        session: SessionId,
    },
    /// The connection is over; nothing that is sent to it arrives any more.
    Closed {
        /// Which.
        session: SessionId,
        /// Why.
        reason: CloseReason,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_id_holds_its_three_parts() {
        let id = SessionId::new(255, 0xff_ffff, u32::MAX);
        assert_eq!((id.ring(), id.generation(), id.slot()), (255, 0xff_ffff, u32::MAX));
        let id = SessionId::new(1, 2, 3);
        assert_eq!(id.0, 1 << 56 | 2 << 32 | 3);
    }
}
