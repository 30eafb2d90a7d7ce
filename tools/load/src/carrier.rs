//! What carries a session: TCP with or without TLS, or QUIC.

use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Instant;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use crate::dialect::{Broken, Event, Session};
use crate::link::{Buffers, Link};
use crate::quic::QuicLink;

/// A connection of either kind.
pub(crate) enum Carrier {
    Tcp(Link),
    Quic(Box<QuicLink>),
}

impl Carrier {
    /// Begins to connect.
    pub(crate) fn connect(
        target: SocketAddr,
        index: u32,
        session: Box<dyn Session>,
        tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
        quic: bool,
    ) -> Result<Self, Broken> {
        match (quic, tls) {
            (true, Some((config, _))) => {
                QuicLink::connect(target, index, session, config).map(Box::new).map(Self::Quic)
            }
            (true, None) => Err(Broken("QUIC needs TLS".to_owned())),
            (false, tls) => Link::connect(target, index, session, tls).map(Self::Tcp),
        }
    }

    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(link) => link.socket(),
            Self::Quic(link) => link.socket(),
        }
    }

    /// Datagrams need no connection at their level.
    pub(crate) const fn is_connected(&self) -> bool {
        match self {
            Self::Tcp(link) => link.is_connected(),
            Self::Quic(_) => true,
        }
    }

    /// Whether bytes wait for the socket; datagrams are sent or lost.
    pub(crate) const fn wants_write(&self) -> bool {
        match self {
            Self::Tcp(link) => link.wants_write(),
            Self::Quic(_) => false,
        }
    }

    pub(crate) fn established(&mut self, buffers: &mut Buffers) -> Result<(), Broken> {
        match self {
            Self::Tcp(link) => link.established(buffers),
            Self::Quic(_) => Ok(()),
        }
    }

    /// Reads and tells how many bytes there were.
    pub(crate) fn receive(
        &mut self,
        buffers: &mut Buffers,
        events: &mut Vec<Event>,
    ) -> Result<usize, Broken> {
        match self {
            Self::Tcp(link) => link.receive(buffers, events),
            Self::Quic(link) => link.receive(buffers, events),
        }
    }

    /// Lets the session write something and sends it.
    pub(crate) fn act<T>(
        &mut self,
        buffers: &mut Buffers,
        write: impl FnOnce(&mut dyn Session, &mut Vec<u8>) -> T,
    ) -> Result<T, Broken> {
        match self {
            Self::Tcp(link) => link.act(buffers, write),
            Self::Quic(link) => link.act(buffers, write),
        }
    }

    pub(crate) fn flush(&mut self) -> Result<(), Broken> {
        match self {
            Self::Tcp(link) => link.flush(),
            Self::Quic(_) => Ok(()),
        }
    }

    /// Makes the socket hold little; QUIC has windows of its own.
    pub(crate) fn shrink_window(&self, bytes: usize) -> Result<(), Broken> {
        match self {
            Self::Tcp(link) => link.shrink_window(bytes),
            Self::Quic(_) => Ok(()),
        }
    }

    /// When it next wants to look at the clock.
    pub(crate) fn expiry(&mut self) -> Option<Instant> {
        match self {
            Self::Tcp(_) => None,
            Self::Quic(link) => link.expiry(),
        }
    }

    /// Looks at the clock.
    pub(crate) fn expire(
        &mut self,
        buffers: &mut Buffers,
        events: &mut Vec<Event>,
    ) -> Result<(), Broken> {
        match self {
            Self::Tcp(_) => Ok(()),
            Self::Quic(link) => link.expire(buffers, events),
        }
    }
}
