//! The seam between the load and what it loads: one connection's protocol, without I/O.
//!
//! The runner owns sockets, TLS, clocks and counts; a [`Session`] turns bytes into events and
//! commands into bytes. Linnet, the peers and the raw floors are each one [`Dialect`], so that one
//! generator measures them all. Receivers may split input anywhere.

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use crate::stamp::Stamp;

/// One connection's protocol, sans-IO: bytes in, bytes and events out.
pub trait Session {
    /// Appends the bytes to send right after connecting (after the TLS handshake, if any).
    fn start(&mut self, out: &mut Vec<u8>);

    /// Takes received bytes (any split); appends answers to `out` and what happened to `events`.
    ///
    /// # Errors
    /// When the peer broke the protocol or refused something: the connection is of no use then.
    fn receive(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        events: &mut Vec<Event>,
    ) -> Result<(), Broken>;

    /// Posts one message with this stamp (and padding up to the payload size) to a room or topic.
    fn publish(&mut self, room: u32, stamp: Stamp, out: &mut Vec<u8>);

    /// Asks for a sign of life, answered by [`Event::Pong`]; false when the protocol has none (then
    /// nothing is sent and the runner does not wait).
    fn ping(&mut self, _out: &mut Vec<u8>) -> bool {
        false
    }

    /// Says that everything delivered in a room was read, in protocols that know such a thing.
    fn mark_read(&mut self, _room: u32, _out: &mut Vec<u8>) {}
}

/// What happened on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Signed in and subscribed, and caught up with what was missed: may publish.
    Ready,
    /// The server took a message of this session; the stamp where the protocol tells which.
    Acked {
        /// Which message, if the protocol says so; else the oldest one not yet acknowledged.
        stamp: Option<Stamp>,
    },
    /// A message arrived.
    Delivered {
        /// The room or topic it was posted to.
        room: u32,
        /// What the sender wrote into it.
        stamp: Stamp,
    },
    /// The answer to a ping.
    Pong,
}

/// Why a connection is of no use any more: a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Broken(pub String);

/// Makes sessions: one per protocol and transport.
pub trait Dialect {
    /// A new session of the account with this number. A number may be used again after its
    /// session ended; a dialect may let the new one resume where the old one was.
    fn session(&self, index: u32) -> Box<dyn Session>;

    /// Names protocol and transport in reports: `linnet-plain`, `mosquitto`, `floor-ring`.
    fn name(&self) -> String;

    /// Whether the runner wraps the connection in TLS.
    fn tls(&self) -> bool {
        false
    }

    /// Whether the connection is QUIC, with one stream that the server opens, instead of TCP.
    fn quic(&self) -> bool {
        false
    }

    /// ALPN protocols to offer in that TLS handshake.
    fn alpn(&self) -> Vec<Vec<u8>> {
        Vec::new()
    }

    /// How TLS knows the server, with ALPN, and under which name; none when `--ca` says so.
    fn trust(&self) -> Option<(ClientConfig, ServerName<'static>)> {
        None
    }

    /// Whether publishing brings an acknowledgement that scenarios must wait for.
    fn acks(&self) -> bool;

    /// Whether a sender that is a member of the room gets its own message delivered too.
    fn echoes(&self) -> bool {
        true
    }
}
