//! What the other threads hold of the rings: adopt a connection, send to sessions, close one.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use crate::event::Protocol;
use crate::inbox::{Command, Outlet};
use crate::outbox::Outbox;
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
                Err(Some(Command::Adopt(refused))) => {
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
            let _ = port.outlet.send(vec![Command::Listen(Box::new(door))]);
        }
    }

    /// Gathers what one thread sends; each thread that sends has its own.
    #[must_use]
    pub fn outbox(&self) -> Outbox {
        Outbox::new(self.clone())
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
