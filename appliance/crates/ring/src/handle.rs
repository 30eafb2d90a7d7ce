//! What the other threads hold of the rings: adopt a connection, send to sessions, close one.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use crate::event::{Protocol, SessionId};
use crate::inbox::{Command, Outlet, Targets};
use crate::shared::SharedFrame;
use crate::stats::{Published, RingStats};
use crate::tls::TlsState;

/// An established connection on its way into a ring. Everything that was sent on it is flushed.
/// Input waits in `plaintext`, then in `tls`, then in the socket; the ring takes it in that order.
pub struct Handover {
    /// The socket, in blocking mode and in no epoll. Its descriptor is closed by the ring.
    pub stream: TcpStream,
    /// TLS state after the handshake; none on a plain connection.
    pub tls: Option<TlsState>,
    /// Decrypted, not yet parsed.
    pub plaintext: Vec<u8>,
    /// Framing.
    pub protocol: Protocol,
    /// Who.
    pub peer: SocketAddr,
    /// Dropped when somebody signed in (the core sent `welcome`) or when the connection is over: a
    /// share of somebody's budget, or `Box::new(())`.
    pub permit: Box<dyn Send>,
}

/// A listening socket without TLS, and who shares its connections out.
pub(crate) struct Door {
    pub(crate) listener: OwnedFd,
    pub(crate) handle: RingHandle,
}

/// One ring as seen from outside.
#[derive(Clone)]
pub(crate) struct Port {
    pub(crate) outlet: Outlet,
    pub(crate) published: Arc<Published>,
    /// Connections adopted and not yet gone, those in the queue included.
    pub(crate) held: Arc<AtomicU32>,
    pub(crate) held_max: u32,
}

/// The rings as the other threads see them. Cheap to clone.
#[derive(Clone)]
pub struct RingHandle {
    ports: Arc<[Port]>,
}

impl RingHandle {
    pub(crate) fn new(ports: Vec<Port>) -> Self {
        Self { ports: ports.into() }
    }

    /// Hands a connection to the ring with the fewest. Never blocks.
    ///
    /// # Errors
    /// Gives it back when every ring is full, busy or stopped: answer "try again later".
    // The connection itself is the error; boxing it would only move the cost to the good case.
    #[allow(clippy::result_large_err)]
    pub fn adopt(&self, handover: Handover) -> Result<(), Handover> {
        let fewest = |port: &&Port| port.held.load(SeqCst);
        let Some(port) = self.ports.iter().min_by_key(fewest) else {
            return Err(handover);
        };
        if port.held.fetch_add(1, SeqCst) < port.held_max {
            match port.outlet.try_send(Command::Adopt(Box::new(handover))) {
                Ok(()) => return Ok(()),
                Err(Command::Adopt(refused)) => {
                    port.held.fetch_sub(1, SeqCst);
                    return Err(*refused);
                }
                Err(_) => unreachable!("the queue gives back what it was given"),
            }
        }
        port.held.fetch_sub(1, SeqCst);
        Err(handover)
    }

    /// Takes native connections without TLS from a listener, shared out like [`Self::adopt`] does:
    /// for measurements and tests on one machine. One listener at a time.
    pub fn listen(&self, listener: TcpListener) {
        let door = Door { listener: listener.into(), handle: self.clone() };
        if let Some(port) = self.ports.first() {
            // A ring that has ended takes nobody any more.
            let _ = port.outlet.send(Command::Listen(Box::new(door)));
        }
    }

    /// Queues a frame for sessions; those that are gone are skipped. Waits while a ring's queue
    /// is full. With `flush_note` each session reports [`crate::RingEvent::Flushed`], the frame is
    /// never dropped, and fan-out (news with request 0) behind it is taken again after an overflow.
    pub fn send(&self, to: &[SessionId], frame: &SharedFrame, flush_note: bool) {
        if let [session] = to {
            self.send_to_ring(session.ring(), Targets::One(*session), frame, flush_note);
            return;
        }
        for ring in 0..self.ports.len() {
            let here: Box<[_]> = to.iter().copied().filter(|to| to.ring() == ring).collect();
            if !here.is_empty() {
                self.send_to_ring(ring, Targets::Many(here), frame, flush_note);
            }
        }
    }

    fn send_to_ring(&self, ring: usize, to: Targets, frame: &SharedFrame, flush_note: bool) {
        if let Some(port) = self.ports.get(ring) {
            // A ring that has ended has said `Closed` for all its sessions.
            let _ = port.outlet.send(Command::Send { to, frame: frame.clone(), flush_note });
        }
    }

    /// Sends a last frame, usually `closing`, then closes the session once it is out.
    pub fn close(&self, session: SessionId, frame: SharedFrame) {
        if let Some(port) = self.ports.get(session.ring()) {
            let _ = port.outlet.send(Command::Close { session, frame });
        }
    }

    /// Counters of all rings together.
    #[must_use]
    pub fn stats(&self) -> RingStats {
        let mut sum = RingStats::default();
        self.ports.iter().for_each(|port| port.published.add_to(&mut sum));
        sum
    }

    pub(crate) fn ports(&self) -> &[Port] {
        &self.ports
    }
}
