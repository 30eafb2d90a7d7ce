//! The plain door: native connections without TLS, for measurements and tests on one machine. The
//! first ring takes them all and shares them out, so that every ring holds as many.

use std::net::TcpStream;
use std::os::fd::OwnedFd;

use super::Driver;
use crate::event::Protocol;
use crate::handle::{Door, Handover};

impl Driver {
    /// Starts taking connections.
    pub(super) fn open(&mut self, door: Door) {
        self.door = Some(door);
        self.keep_accepting();
    }

    /// Goes on taking connections after the kernel stopped, as without free descriptors.
    pub(super) fn keep_accepting(&mut self) {
        if let Some(door) = &self.door
            && !self.accepting
            && self.stop.is_none()
        {
            self.accepting = true;
            self.uring.accept(&door.listener);
        }
    }

    /// Somebody came, or nobody can come for now: then the next heartbeat tries again.
    pub(super) fn accepted(&mut self, outcome: Result<OwnedFd, i32>, armed: bool) {
        self.accepting = armed;
        match outcome {
            Ok(socket) => self.share_out(socket.into()),
            Err(libc::ECANCELED) => {}
            Err(errno) => tracing::warn!(errno, "the plain door could not take a connection"),
        }
    }

    /// Gives a connection to the ring with the fewest; drops it where there is no place.
    fn share_out(&self, stream: TcpStream) {
        let (Some(door), Ok(peer)) = (&self.door, stream.peer_addr()) else { return };
        let (plaintext, protocol, permit) = (Vec::new(), Protocol::Native, Box::new(()));
        let handover = Handover { stream, tls: None, plaintext, protocol, peer, permit };
        if door.handle.adopt(handover).is_err() {
            tracing::debug!(%peer, "no ring had a place for a plain connection");
        }
    }

    /// Takes nobody any more.
    pub(super) fn close_door(&mut self) {
        if self.accepting {
            self.uring.cancel_accept();
        }
    }
}
