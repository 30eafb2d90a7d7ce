//! What this thread tells the core, and the names both use for a session.

use std::fmt;
use std::net::SocketAddr;

use wire::ClientMessage;

use crate::limits::RING;

/// A session: [`RING`] in the top eight bits, then a number that is never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

impl SessionId {
    pub(crate) const fn new(number: u64) -> Self {
        Self((RING as u64) << 56 | number & (u64::MAX >> 8))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId(quic:{})", self.0 & (u64::MAX >> 8))
    }
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The peer closed it.
    Peer,
    /// The connection broke.
    Lost,
    /// No sign of life, or what waits was not read for too long.
    Dead,
    /// The peer broke the framing rules.
    Violation,
    /// More was queued for it than the hard limit.
    TooSlow,
    /// The core asked for it.
    Asked,
    /// The server is stopping.
    ShuttingDown,
}

/// What happened to a session. `Connected` comes first and `Closed` last, exactly once each.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// The stream is open: send the greeting.
    Connected {
        /// Which.
        session: SessionId,
        /// Where it comes from, for now.
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
    /// Everything up to a frame sent with `flush_note` was given to the connection. One per note.
    Flushed {
        /// Whose.
        session: SessionId,
    },
    /// The queue went over the cap: fan-out (news with request 0) is dropped until the core sends
    /// a frame with a flush note.
    Overflowed {
        /// Whose.
        session: SessionId,
    },
    /// The session is over; nothing that is sent to it arrives any more.
    Closed {
        /// Which.
        session: SessionId,
        /// Why.
        reason: CloseReason,
    },
}
