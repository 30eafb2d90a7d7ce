//! A QUIC connection as a blocking stream; its packets are handled on a thread of their own.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{Connection, ConnectionError, Endpoint, RecvStream, SendStream};
use rustls::ClientConfig;
use tokio::runtime::{Builder, Handle};
use tokio::time::timeout;

use crate::PATIENCE;

/// A connection after its handshake, before the server's stream.
pub struct Quic {
    endpoint: Endpoint,
    /// The connection.
    pub connection: Connection,
}

/// A connection with its stream.
pub struct QuicStream {
    quic: Quic,
    send: SendStream,
    recv: RecvStream,
    /// Longest wait for bytes.
    pub read_timeout: Duration,
}

impl Quic {
    /// Connects from a loopback address.
    pub fn connect(tls: &Arc<ClientConfig>, to: SocketAddr) -> Result<Self, ConnectionError> {
        let crypto = QuicClientConfig::try_from(Arc::clone(tls)).expect("TLS 1.3 is on");
        let config = quinn::ClientConfig::new(Arc::new(crypto));
        block_on(PATIENCE, async {
            let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).expect("a socket");
            let connecting = endpoint.connect_with(config, to, "localhost");
            let connection = connecting.expect("the address is an address").await?;
            Ok(Self { endpoint, connection })
        })
        .expect("an answer in time")
    }

    /// Waits for the stream that the server opens with its first frame.
    pub fn stream(self) -> io::Result<QuicStream> {
        let (send, recv) = block_on(PATIENCE, self.connection.accept_bi())??;
        Ok(QuicStream { quic: self, send, recv, read_timeout: PATIENCE })
    }
}

impl QuicStream {
    /// Goes on from another port, as behind a router that forgot the flow, or in another network.
    pub fn move_away(&self) {
        let before = self.quic.endpoint.local_addr().expect("it is bound");
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has free ports");
        let endpoint = &self.quic.endpoint;
        let moved = block_on(PATIENCE, async { endpoint.rebind(socket) });
        moved.expect("at once").expect("the socket is usable");
        assert_ne!(endpoint.local_addr().expect("it is bound"), before);
    }

    /// Why the connection ended.
    pub fn ended(&self) -> ConnectionError {
        block_on(PATIENCE, self.quic.connection.closed()).expect("it ends")
    }
}

impl Read for QuicStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = block_on(self.read_timeout, self.recv.read(buffer))?;
        Ok(read.map_err(io::Error::other)?.unwrap_or(0))
    }
}

impl Write for QuicStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        block_on(PATIENCE, self.send.write(bytes))?.map_err(io::Error::other)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn block_on<F: Future>(wait: Duration, future: F) -> io::Result<F::Output> {
    static RUNTIME: OnceLock<Handle> = OnceLock::new();
    let handle = RUNTIME.get_or_init(|| {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let handle = runtime.handle().clone();
        std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
        handle
    });
    let done = handle.block_on(async { timeout(wait, future).await });
    done.map_err(|_| io::ErrorKind::TimedOut.into())
}
