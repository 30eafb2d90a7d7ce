//! One connection: socket, TLS if any, session, and what is not sent yet.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_tcp_nodelay, socket_error};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, connect, recv, send,
    socket_with,
};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use crate::dialect::{Broken, Event, Session};
use crate::limits::{SESSIONS_PER_ADDRESS, UNSENT_BYTES_MAX};

/// A connection of one session.
pub(crate) struct Link {
    socket: OwnedFd,
    session: Box<dyn Session>,
    tls: Option<Box<ClientConnection>>,
    unsent: Vec<u8>,
    connected: bool,
    started: bool,
}

/// Buffers that all links share, as one is at work at a time.
pub(crate) struct Buffers {
    /// Bytes off the socket.
    pub(crate) received: Vec<u8>,
    /// Decrypted bytes.
    plain: Vec<u8>,
    /// What the session wants to send.
    pub(crate) out: Vec<u8>,
}

impl Buffers {
    pub(crate) fn new(bytes: usize) -> Self {
        Self { received: vec![0; bytes], plain: vec![0; bytes], out: Vec::new() }
    }

    /// Forgets what a session wrote before it broke, lest the next one sends it.
    pub(crate) fn drop_output(&mut self) {
        self.out.clear();
    }
}

pub(crate) fn broken(what: &str, error: impl std::fmt::Display) -> Broken {
    Broken(format!("{what}: {error}"))
}

impl Link {
    /// Begins to connect, from a source address of its own where the target is loopback.
    pub(crate) fn connect(
        target: SocketAddr,
        index: u32,
        session: Box<dyn Session>,
        tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    ) -> Result<Self, Broken> {
        let socket = open(target, index).map_err(|error| broken("no socket", error))?;
        let tls = tls.map(|(config, name)| ClientConnection::new(config, name)).transpose();
        let mut tls = tls.map_err(|error| broken("TLS", error))?.map(Box::new);
        if let Some(tls) = &mut tls {
            tls.set_buffer_limit(None);
        }
        Ok(Self { socket, session, tls, unsent: Vec::new(), connected: false, started: false })
    }

    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(crate) const fn is_connected(&self) -> bool {
        self.connected
    }

    /// Whether bytes wait for the socket.
    pub(crate) const fn wants_write(&self) -> bool {
        !self.connected || !self.unsent.is_empty()
    }

    /// The socket is writable for the first time: the connection stands, or failed.
    pub(crate) fn established(&mut self, buffers: &mut Buffers) -> Result<(), Broken> {
        socket_error(&self.socket)
            .and_then(|result| result)
            .map_err(|error| broken("connect", error))?;
        self.connected = true;
        self.act(buffers, |_, _| ())
    }

    /// Reads once; true when more may be there.
    pub(crate) fn receive(
        &mut self,
        buffers: &mut Buffers,
        events: &mut Vec<Event>,
    ) -> Result<usize, Broken> {
        let (_, bytes) =
            match recv(&self.socket, buffers.received.as_mut_slice(), RecvFlags::empty()) {
                Ok((_, 0)) => return Err(Broken("the server closed the connection".to_owned())),
                Ok(done) => done,
                Err(Errno::AGAIN | Errno::INTR) => return Ok(0),
                Err(error) => return Err(broken("receive", error)),
            };
        match self.tls {
            None => {
                let input = &buffers.received[..bytes];
                self.session.receive(input, &mut buffers.out, events)?;
            }
            Some(_) => self.receive_tls(bytes, buffers, events)?,
        }
        self.push(buffers)?;
        Ok(bytes)
    }

    fn receive_tls(
        &mut self,
        bytes: usize,
        buffers: &mut Buffers,
        events: &mut Vec<Event>,
    ) -> Result<(), Broken> {
        let tls = self.tls.as_mut().expect("called for TLS only");
        let mut input = &buffers.received[..bytes];
        while !input.is_empty() {
            tls.read_tls(&mut input).map_err(|error| broken("TLS", error))?;
            let state = tls.process_new_packets().map_err(|error| broken("TLS", error))?;
            let mut left = state.plaintext_bytes_to_read();
            while left > 0 {
                let taken =
                    tls.reader().read(&mut buffers.plain).map_err(|error| broken("TLS", error))?;
                self.session.receive(&buffers.plain[..taken], &mut buffers.out, events)?;
                left = left.saturating_sub(taken);
            }
            if state.peer_has_closed() {
                return Err(Broken("the server closed the TLS session".to_owned()));
            }
        }
        Ok(())
    }

    /// Lets the session write something and sends it.
    pub(crate) fn act<T>(
        &mut self,
        buffers: &mut Buffers,
        write: impl FnOnce(&mut dyn Session, &mut Vec<u8>) -> T,
    ) -> Result<T, Broken> {
        let value = write(self.session.as_mut(), &mut buffers.out);
        self.push(buffers)?;
        Ok(value)
    }

    /// Sends what the session wrote, as far as the socket takes it; keeps the rest.
    fn push(&mut self, buffers: &mut Buffers) -> Result<(), Broken> {
        let handshaking = self.tls.as_ref().is_some_and(|tls| tls.is_handshaking());
        if !self.started && !handshaking {
            self.started = true;
            self.session.start(&mut buffers.out);
        }
        match &mut self.tls {
            None if self.unsent.is_empty() => {
                let sent = self.send_now(&buffers.out)?;
                self.unsent.extend_from_slice(&buffers.out[sent..]);
            }
            None => self.unsent.extend_from_slice(&buffers.out),
            Some(tls) => {
                tls.writer().write_all(&buffers.out).map_err(|error| broken("TLS", error))?;
                while tls.wants_write() {
                    tls.write_tls(&mut self.unsent).map_err(|error| broken("TLS", error))?;
                }
            }
        }
        buffers.out.clear();
        self.flush()
    }

    /// Sends what waits.
    pub(crate) fn flush(&mut self) -> Result<(), Broken> {
        if self.unsent.is_empty() {
            return Ok(());
        }
        let sent = self.send_now(&self.unsent)?;
        self.unsent.drain(..sent);
        if self.unsent.is_empty() {
            self.unsent = Vec::new();
        }
        if self.unsent.len() > UNSENT_BYTES_MAX {
            return Err(Broken("the server stopped reading".to_owned()));
        }
        Ok(())
    }

    fn send_now(&self, bytes: &[u8]) -> Result<usize, Broken> {
        if bytes.is_empty() {
            return Ok(0);
        }
        match send(&self.socket, bytes, SendFlags::NOSIGNAL) {
            Ok(sent) => Ok(sent),
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            Err(error) => Err(broken("send", error)),
        }
    }

    /// Makes the socket hold little, so that a reader that stalls is felt soon.
    pub(crate) fn shrink_window(&self, bytes: usize) -> Result<(), Broken> {
        set_socket_recv_buffer_size(&self.socket, bytes).map_err(|error| broken("buffer", error))
    }
}

fn open(target: SocketAddr, index: u32) -> rustix::io::Result<OwnedFd> {
    let socket = open_socket(target, index, SocketType::STREAM)?;
    set_tcp_nodelay(&socket, true)?;
    start_connect(&socket, target)?;
    Ok(socket)
}

/// A UDP socket that talks to the target only.
pub(crate) fn open_datagrams(target: SocketAddr, index: u32) -> rustix::io::Result<OwnedFd> {
    let socket = open_socket(target, index, SocketType::DGRAM)?;
    start_connect(&socket, target)?;
    Ok(socket)
}

fn open_socket(target: SocketAddr, index: u32, kind: SocketType) -> rustix::io::Result<OwnedFd> {
    let family = if target.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, kind, flags, None)?;
    if target.is_ipv4() && target.ip().is_loopback() {
        bind(&socket, &SocketAddrV4::new(source(index), 0))?;
    }
    Ok(socket)
}

fn start_connect(socket: &OwnedFd, target: SocketAddr) -> rustix::io::Result<()> {
    match connect(socket, &target) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Source address of a session: [`SESSIONS_PER_ADDRESS`] sessions share one of 127.0.0.0/8.
fn source(index: u32) -> Ipv4Addr {
    let network = u32::from(Ipv4Addr::new(127, 1, 0, 1));
    Ipv4Addr::from(network + index / SESSIONS_PER_ADDRESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::SESSIONS_MAX;

    #[test]
    fn source_addresses_are_loopback_and_shared_by_few() {
        assert_eq!(source(0), Ipv4Addr::new(127, 1, 0, 1));
        assert_eq!(source(15), source(0));
        assert_ne!(source(16), source(15));
        assert!(source(SESSIONS_MAX).is_loopback());
    }
}
