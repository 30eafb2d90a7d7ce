//! State of one connection: plain data, at most 512 bytes, and no buffers without traffic.

use std::net::SocketAddr;
use std::time::Instant;

use session::pace::{AskedPages, Pace};
use wire::limits::CLIENT_FRAME_BYTES_MAX;

use crate::codec::Codec;
use crate::handle::Handover;
use crate::heartbeat::Life;
use crate::limits::UNKNOWN_FRAME_BYTES_MAX;
use crate::outbound::Outbound;
use crate::tls::Tls;

/// One connection.
pub(crate) struct Conn {
    pub(crate) peer: SocketAddr,
    pub(crate) codec: Codec,
    pub(crate) tls: Option<Tls>,
    /// Plaintext that waits to be decoded: the ring is choked or the session is held up.
    pub(crate) held: Vec<u8>,
    pub(crate) outbound: Outbound,
    pub(crate) life: Life,
    pub(crate) phase: Phase,
    pub(crate) receive: ReceiveState,
    /// Operations whose last completion has not come.
    pub(crate) operations: u8,
    /// Queued bytes that the ring's sum holds of this connection.
    pub(crate) counted: usize,
    /// A send waits for room in the socket.
    pub(crate) sending: bool,
    /// In the list of those that have something to send.
    pub(crate) dirty: bool,
    /// Whether its acks wait for company.
    pub(crate) patience: Patience,
    /// Not read from, because it has enough to read.
    pub(crate) held_up: bool,
    pub(crate) pace: Pace,
    /// Not read from, because it is ahead of its pace.
    pub(crate) paced: bool,
    pub(crate) asked_pages: AskedPages,
    /// The peer said that it sends no more.
    pub(crate) peer_ended: bool,
    /// Signed in: the core sent `welcome`.
    pub(crate) known: bool,
    /// Bytes read before it signed in.
    pub(crate) unknown_bytes: u64,
    /// Given back to its owner when somebody signed in, or when the connection is over.
    pub(crate) permit: Option<Box<dyn Send>>,
}

/// Life of a connection, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Open,
    /// Over for the core; its last frames go out. Input is discarded from here on.
    Flushing,
    /// Everything is out and our side is shut: waiting for the peer to close its own, because
    /// closing with unread input would reset the connection and lose the last frames.
    Lingering,
    /// Operations were cancelled; waiting for their last completions.
    Cancelling,
    /// Being taken out of the file table; then the slot is free.
    Closing,
}

/// Whether acks wait for something to ride with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    Unused,
    /// In the list of those who wait.
    Waiting,
    /// Waited long enough: the next send goes, whatever it carries.
    Over,
}

/// State of the multishot receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReceiveState {
    Off,
    /// In the list of those to arm at the end of the tick.
    Waiting,
    Armed,
    /// Cancelled, its last completion has not come.
    Stopping,
}

const _: () = assert!(size_of::<Conn>() <= 512);

impl Conn {
    /// Takes over everything but the socket, which goes into the file table.
    pub(crate) fn new(handover: Handover, now: Instant) -> (Self, std::net::TcpStream) {
        let Handover { stream, tls, plaintext, protocol, peer, permit } = handover;
        let conn = Self {
            peer,
            codec: Codec::new(protocol),
            tls: tls.map(Tls::new),
            held: plaintext,
            outbound: Outbound::default(),
            life: Life::new(now),
            phase: Phase::Open,
            receive: ReceiveState::Off,
            operations: 0,
            counted: 0,
            sending: false,
            dirty: false,
            patience: Patience::Unused,
            held_up: false,
            pace: Pace::new(now),
            paced: false,
            asked_pages: AskedPages::default(),
            peer_ended: false,
            known: false,
            unknown_bytes: 0,
            permit: Some(permit),
        };
        (conn, stream)
    }

    /// Longest frame that is read now.
    pub(crate) const fn frame_bytes_max(&self) -> usize {
        if self.known { CLIENT_FRAME_BYTES_MAX } else { UNKNOWN_FRAME_BYTES_MAX }
    }

    /// True when the next tick has something to send.
    pub(crate) fn has_output(&self) -> bool {
        !self.outbound.is_empty() || self.tls.as_ref().is_some_and(Tls::has_output)
    }
}
