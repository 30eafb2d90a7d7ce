//! Linnet's own protocol: the native frames, alone or in WebSocket messages.

mod memory;
mod native;
mod websocket;

use std::rc::Rc;

use memory::Memory;
use native::Native;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use websocket::WebSocket;

use crate::dialect::{Dialect, Session};
use crate::layout::token;

/// How the frames travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Transport {
    /// Binary frames straight on TCP (`linnetd --listen-plain`).
    Plain,
    /// Binary frames in TLS, ALPN `linnet`.
    Tls,
    /// Binary messages of a WebSocket without TLS.
    Ws,
    /// Binary messages of a WebSocket in TLS.
    Wss,
    /// Binary frames on one QUIC stream, ALPN `linnet`.
    Quic,
}

impl Transport {
    const fn tls(self) -> bool {
        matches!(self, Self::Tls | Self::Wss | Self::Quic)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Plain => "linnet-plain",
            Self::Tls => "linnet-tls",
            Self::Ws => "linnet-ws",
            Self::Wss => "linnet-wss",
            Self::Quic => "linnet-quic",
        }
    }
}

/// Sessions of seeded accounts, or of devices that signed in.
pub struct Linnet {
    transport: Transport,
    payload_bytes: usize,
    host: String,
    memory: Rc<Memory>,
    devices: Option<Devices>,
}

/// Devices of a box that was not seeded.
struct Devices {
    tokens: Vec<[u8; 32]>,
    tls: ClientConfig,
    name: ServerName<'static>,
}

impl Linnet {
    /// Sessions that post payloads of this many bytes and name `host` in HTTP. The first one makes
    /// a first sync; the others begin where that one was, or where they were themselves. With
    /// `fresh` every one makes a first sync.
    #[must_use]
    pub fn new(transport: Transport, payload_bytes: usize, host: String, fresh: bool) -> Self {
        let memory = Rc::new(Memory::new(fresh));
        Self { transport, payload_bytes, host, memory, devices: None }
    }

    /// Native sessions in TLS of a box that was not seeded: session `i` is one of device
    /// `i % tokens.len()`, so of two sessions of a device only one may post. `tls` says who is
    /// believed and offers ALPN `linnet`; `name` is what the box's certificate is checked for.
    ///
    /// # Panics
    /// Without a token.
    #[must_use]
    pub fn signed_in(
        tokens: Vec<[u8; 32]>,
        tls: ClientConfig,
        name: ServerName<'static>,
        payload_bytes: usize,
    ) -> Self {
        assert!(!tokens.is_empty(), "sessions need a device");
        let seeded = Self::new(Transport::Tls, payload_bytes, String::new(), false);
        Self { devices: Some(Devices { tokens, tls, name }), ..seeded }
    }

    fn token(&self, index: u32) -> [u8; 32] {
        self.devices.as_ref().map_or_else(|| token(index), |devices| devices.token(index))
    }
}

impl Devices {
    fn token(&self, index: u32) -> [u8; 32] {
        let index = usize::try_from(index).expect("32 bits fit");
        self.tokens[index % self.tokens.len()]
    }
}

impl Dialect for Linnet {
    fn session(&self, index: u32) -> Box<dyn Session> {
        let native = Native::new(index, self.token(index), self.payload_bytes, self.memory.clone());
        match self.transport {
            Transport::Plain | Transport::Tls | Transport::Quic => Box::new(native),
            Transport::Ws | Transport::Wss => Box::new(WebSocket::new(native, index, &self.host)),
        }
    }

    fn name(&self) -> String {
        self.transport.name().to_owned()
    }

    fn tls(&self) -> bool {
        self.transport.tls()
    }

    fn quic(&self) -> bool {
        self.transport == Transport::Quic
    }

    fn alpn(&self) -> Vec<Vec<u8>> {
        match self.transport {
            Transport::Tls | Transport::Quic => vec![b"linnet".to_vec()],
            Transport::Wss => vec![b"http/1.1".to_vec()],
            Transport::Plain | Transport::Ws => Vec::new(),
        }
    }

    fn trust(&self) -> Option<(ClientConfig, ServerName<'static>)> {
        self.devices.as_ref().map(|devices| (devices.tls.clone(), devices.name.clone()))
    }

    fn acks(&self) -> bool {
        true
    }
}
