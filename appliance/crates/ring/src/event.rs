//! What a ring tells the core, and the names both use for a connection.

use std::net::SocketAddr;

use wire::ClientMessage;
pub use wire::session::SessionId;

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
