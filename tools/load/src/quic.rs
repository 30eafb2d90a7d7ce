//! One QUIC connection with its own UDP socket: quinn's protocol core, driven like a TCP
//! connection. The server opens the one stream; the session runs on it.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use quinn_proto::crypto::rustls::QuicClientConfig;
use quinn_proto::{
    ClientConfig, Connection, ConnectionHandle, DatagramEvent, Dir, Endpoint, EndpointConfig,
    Event as QuicEvent, ReadError, StreamId, VarInt, WriteError,
};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::dialect::{Broken, Event, Session};
use crate::limits::{DATAGRAMS_MAX, UNSENT_BYTES_MAX};
use crate::link::{Buffers, broken, open_datagrams};

/// A session's QUIC connection.
pub(crate) struct QuicLink {
    socket: OwnedFd,
    remote: SocketAddr,
    session: Box<dyn Session>,
    endpoint: Endpoint,
    handle: ConnectionHandle,
    connection: Connection,
    /// The server's stream, once it is there.
    stream: Option<StreamId>,
    /// Bytes that the stream had no room for.
    unsent: Vec<u8>,
}

impl QuicLink {
    /// Sends the first datagram.
    pub(crate) fn connect(
        target: SocketAddr,
        index: u32,
        session: Box<dyn Session>,
        tls: Arc<rustls::ClientConfig>,
    ) -> Result<Self, Broken> {
        let socket = open_datagrams(target, index).map_err(|error| broken("no socket", error))?;
        let crypto = QuicClientConfig::try_from(tls).map_err(|error| broken("TLS", error))?;
        let config = ClientConfig::new(Arc::new(crypto));
        let mut endpoint = Endpoint::new(Arc::new(EndpointConfig::default()), None, true, None);
        let name = target.ip().to_string();
        let (handle, connection) = endpoint
            .connect(Instant::now(), config, target, &name)
            .map_err(|error| broken("connect", error))?;
        let mut link = Self {
            socket,
            remote: target,
            session,
            endpoint,
            handle,
            connection,
            stream: None,
            unsent: Vec::new(),
        };
        link.transmit()?;
        Ok(link)
    }

    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(crate) fn receive(
        &mut self,
        buffers: &mut Buffers,
        events: &mut Vec<Event>,
    ) -> Result<usize, Broken> {
        let mut total = 0;
        for _ in 0..DATAGRAMS_MAX {
            match recv(&self.socket, buffers.received.as_mut_slice(), RecvFlags::empty()) {
                Ok((_, bytes)) => {
                    total += bytes;
                    self.take_datagram(&buffers.received[..bytes])?;
                }
                Err(Errno::AGAIN | Errno::INTR) => break,
                Err(error) => return Err(broken("receive", error)),
            }
        }
        self.drive(buffers, events)?;
        Ok(total)
    }

    fn take_datagram(&mut self, datagram: &[u8]) -> Result<(), Broken> {
        let (data, mut answer) = (BytesMut::from(datagram), Vec::new());
        let now = Instant::now();
        match self.endpoint.handle(now, self.remote, None, None, data, &mut answer) {
            Some(DatagramEvent::ConnectionEvent(_, event)) => self.connection.handle_event(event),
            Some(DatagramEvent::Response(transmit)) => self.send(&answer[..transmit.size])?,
            // A client takes no connections; what belongs to none is none of ours.
            Some(DatagramEvent::NewConnection(_)) | None => {}
        }
        Ok(())
    }

    pub(crate) fn act<T>(
        &mut self,
        buffers: &mut Buffers,
        write: impl FnOnce(&mut dyn Session, &mut Vec<u8>) -> T,
    ) -> Result<T, Broken> {
        let value = write(self.session.as_mut(), &mut buffers.out);
        self.write(buffers)?;
        self.transmit()?;
        Ok(value)
    }

    pub(crate) fn expiry(&mut self) -> Option<Instant> {
        self.connection.poll_timeout()
    }

    pub(crate) fn expire(
        &mut self,
        buffers: &mut Buffers,
        events: &mut Vec<Event>,
    ) -> Result<(), Broken> {
        let now = Instant::now();
        if self.connection.poll_timeout().is_some_and(|expiry| expiry <= now) {
            self.connection.handle_timeout(now);
            self.drive(buffers, events)?;
        }
        Ok(())
    }

    /// Carries on whatever datagrams or the clock made possible.
    fn drive(&mut self, buffers: &mut Buffers, events: &mut Vec<Event>) -> Result<(), Broken> {
        let mut lost = None;
        while let Some(event) = self.connection.poll() {
            if let QuicEvent::ConnectionLost { reason } = event {
                lost = Some(broken("the connection was lost", reason));
            }
        }
        if self.stream.is_none() {
            self.stream = self.connection.streams().accept(Dir::Bi);
            if self.stream.is_some() {
                self.session.start(&mut buffers.out);
            }
        }
        // The last frame may say why the connection ended.
        self.read(buffers, events)?;
        if let Some(lost) = lost {
            return Err(lost);
        }
        self.write(buffers)?;
        while let Some(event) = self.connection.poll_endpoint_events() {
            if let Some(event) = self.endpoint.handle_event(self.handle, event) {
                self.connection.handle_event(event);
            }
        }
        self.transmit()
    }

    fn read(&mut self, buffers: &mut Buffers, events: &mut Vec<Event>) -> Result<(), Broken> {
        let Some(id) = self.stream else { return Ok(()) };
        let mut stream = self.connection.recv_stream(id);
        let ended = || Broken("the server ended the stream".to_owned());
        let mut chunks = stream.read(true).map_err(|_| ended())?;
        let outcome = loop {
            match chunks.next(usize::MAX) {
                Ok(Some(chunk)) => {
                    let taken = self.session.receive(&chunk.bytes, &mut buffers.out, events);
                    if taken.is_err() {
                        break taken;
                    }
                }
                Err(ReadError::Blocked) => break Ok(()),
                Ok(None) | Err(ReadError::Reset(_)) => break Err(ended()),
            }
        };
        // Whether windows moved: `transmit` follows in any case.
        let _ = chunks.finalize();
        outcome
    }

    /// Gives the stream what the session wrote, as far as its windows go.
    fn write(&mut self, buffers: &mut Buffers) -> Result<(), Broken> {
        self.unsent.append(&mut buffers.out);
        let Some(id) = self.stream else { return Ok(()) };
        while !self.unsent.is_empty() {
            match self.connection.send_stream(id).write(&self.unsent) {
                Ok(taken) => {
                    self.unsent.drain(..taken);
                }
                Err(WriteError::Blocked) => break,
                Err(error) => return Err(broken("send", error)),
            }
        }
        if self.unsent.len() > UNSENT_BYTES_MAX {
            return Err(Broken("the server stopped reading".to_owned()));
        }
        Ok(())
    }

    fn transmit(&mut self) -> Result<(), Broken> {
        let mut datagram = Vec::new();
        while let Some(transmit) = self.connection.poll_transmit(Instant::now(), 1, &mut datagram) {
            self.send(&datagram[..transmit.size])?;
            datagram.clear();
        }
        Ok(())
    }

    fn send(&self, datagram: &[u8]) -> Result<(), Broken> {
        match send(&self.socket, datagram, SendFlags::NOSIGNAL) {
            // A full socket loses a datagram, which QUIC sends again.
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => Ok(()),
            Err(error) => Err(broken("send", error)),
        }
    }
}

impl Drop for QuicLink {
    fn drop(&mut self) {
        self.connection.close(Instant::now(), VarInt::from_u32(0), Bytes::new());
        // The server may be gone already.
        let _ = self.transmit();
    }
}

#[cfg(test)]
#[path = "quic_tests.rs"]
mod tests;
