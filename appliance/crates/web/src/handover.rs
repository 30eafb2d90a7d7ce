//! Established sessions leave this crate here: socket, TLS state and what was already read.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

/// Takes a session; false when there is no room for it (it is closed then). Never blocks.
pub type Adopt = Arc<dyn Fn(Handover) -> bool + Send + Sync>;

/// How the session frames its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 6455 after the 101; `binary` when `linnet.binary` was negotiated.
    WebSocket {
        /// True: server frames are postcard from the start; false: JSON text.
        binary: bool,
    },
    /// `wire::binary` frames straight on the stream.
    Native,
}

/// An established session. The socket is in blocking mode, as io_uring wants it, and in no epoll.
///
/// Everything sent so far (the 101, TLS tickets) is flushed. Three places may hold input: first
/// `plaintext`, then `tls` (the start of a record), then the socket. The new owner takes it in
/// that order and only then arms a receive.
pub struct Handover {
    /// The socket.
    pub stream: TcpStream,
    /// TLS state; none on a plain connection.
    pub tls: Option<TlsState>,
    /// Decrypted, not yet parsed.
    pub plaintext: Vec<u8>,
    /// Framing.
    pub protocol: Protocol,
    /// Who.
    pub peer: SocketAddr,
    /// Its place among the connections of its address and of all. The new owner drops it when
    /// somebody signed in on the session, or at its end: until then it counts like any other.
    pub permit: Box<dyn Send>,
}

/// A TLS session after its handshake. rustls decrypted every whole record; its keys may be taken
/// out (`dangerous_extract_secrets`), as the configuration allows it.
pub struct TlsState {
    /// The connection.
    pub connection: rustls::ServerConnection,
    /// What was read of a record that is not whole. The connection has it too: only whoever takes
    /// its keys needs this.
    pub partial_record: Vec<u8>,
}
