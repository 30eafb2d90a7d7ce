//! What this thread tells the core.

use std::net::SocketAddr;

use wire::{ClientMessage, SessionId};

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
