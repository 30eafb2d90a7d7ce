//! A server with a test's own core, and clients that are driven from plain test code.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{Connection, ConnectionError, Endpoint, RecvStream, SendStream, VarInt};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::runtime::{Builder, Handle};
use tokio::time::timeout;
use wire::client::Ping;
use wire::ids::{Counter, DeviceId, Offset, RoomId, Seq, TimeMs, UserId};
use wire::limits::TEXT_BYTES_MAX;
use wire::server::{Message, Pong, RoomAt, SyncMode, Welcome};
use wire::{ClientMessage, ServerMessage, SessionId, Targets, binary};

use linnet_quic::{
    ALPN, Admit, CloseReason, Door, Event, Outbox, Quic, QuicConfig, close_code, queue,
};

/// Patience on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running server whose core is the test.
pub(crate) struct Server {
    pub(crate) quic: Quic,
    pub(crate) outbox: Outbox,
    pub(crate) events: Receiver<Event>,
    pub(crate) authority: CertificateDer<'static>,
    /// Permits that are held.
    pub(crate) strangers: Arc<AtomicUsize>,
}

struct Permit(Arc<AtomicUsize>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl Server {
    pub(crate) fn start(config: QuicConfig) -> Self {
        Self::start_with(config, 1024, usize::MAX)
    }

    /// With room for so many events, and places for so many strangers.
    pub(crate) fn start_with(config: QuicConfig, events_max: usize, strangers_max: usize) -> Self {
        let (tls, authority) = server_tls();
        let strangers = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&strangers);
        let admit: Admit = Box::new(move |_| {
            let before = count.fetch_add(1, SeqCst);
            let permit = Box::new(Permit(Arc::clone(&count)));
            (before < strangers_max).then_some(permit as Box<dyn Send>)
        });
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let door = Door { socket, tls, admit, reset_seed: [7; 32] };
        let (sender, events) = sync_channel(events_max);
        let way = queue();
        let outbox = way.0.outbox();
        let quic = Quic::start(config, door, way, sender, |event| event).unwrap();
        Self { quic, outbox, events, authority, strangers }
    }

    pub(crate) fn next(&self) -> Event {
        self.events.recv_timeout(PATIENCE).expect("an event comes")
    }

    /// Nothing more comes for a while.
    pub(crate) fn is_quiet(&self) -> bool {
        let waited = self.events.recv_timeout(Duration::from_millis(300));
        matches!(waited, Err(RecvTimeoutError::Timeout))
    }

    pub(crate) fn connected(&self) -> SessionId {
        match self.next() {
            Event::Connected { session, .. } => session,
            other => panic!("not connected: {other:?}"),
        }
    }

    pub(crate) fn frame(&self) -> (SessionId, u32, ClientMessage) {
        match self.next() {
            Event::Frame { session, request, message } => (session, request, message),
            other => panic!("no frame: {other:?}"),
        }
    }

    pub(crate) fn send(&mut self, to: SessionId, message: impl Into<ServerMessage>, request: u32) {
        self.outbox.send(Targets::One(to), linnet_quic::Frame::new(message, request), false);
        self.outbox.flush();
    }

    /// A client that the core has greeted and welcomed, and its session.
    pub(crate) fn welcomed(&mut self) -> (Client, SessionId) {
        let client = self.client();
        let session = self.connected();
        self.send(session, welcome(), 0);
        let mut client = client.session();
        assert!(matches!(client.next(), ServerMessage::Welcome(_)));
        (client, session)
    }

    /// A client after its handshake; its stream comes with [`Newcomer::session`].
    pub(crate) fn client(&self) -> Newcomer {
        self.try_client().expect("the server has a place")
    }

    pub(crate) fn try_client(&self) -> Result<Newcomer, ConnectionError> {
        Newcomer::connect(&client_endpoint(), self.quic.address(), &self.authority)
    }
}

/// Connected, without its stream.
pub(crate) struct Newcomer {
    pub(crate) endpoint: Endpoint,
    pub(crate) connection: Connection,
}

impl Newcomer {
    pub(crate) fn connect(
        endpoint: &Endpoint,
        to: SocketAddr,
        authority: &CertificateDer<'static>,
    ) -> Result<Self, ConnectionError> {
        let config = client_config(client_tls(authority));
        block_on(async move {
            let connecting = endpoint.connect_with(config, to, "localhost");
            let connection = connecting.unwrap().await?;
            Ok(Self { endpoint: endpoint.clone(), connection })
        })
    }

    /// Waits for the stream that the server opens, which it does with its first frame.
    pub(crate) fn session(self) -> Client {
        let (send, recv) = block_on(self.connection.accept_bi()).expect("the server opens it");
        let Self { endpoint, connection } = self;
        Client { endpoint, connection, send, recv, input: Vec::new() }
    }
}

/// A client with its session.
pub(crate) struct Client {
    pub(crate) endpoint: Endpoint,
    pub(crate) connection: Connection,
    pub(crate) send: SendStream,
    pub(crate) recv: RecvStream,
    input: Vec<u8>,
}

impl Client {
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        block_on(self.send.write_all(bytes)).expect("the server reads");
    }

    pub(crate) fn say(&mut self, message: impl Into<ClientMessage>, request: u32) {
        self.write(&frame(message, request));
    }

    /// The next message; none when the stream or the connection ended.
    pub(crate) fn try_next(&mut self) -> Option<ServerMessage> {
        loop {
            if let Some((frame, used)) = binary::read_server(&self.input).unwrap() {
                self.input.drain(..used);
                return Some(frame.message.expect("a known kind"));
            }
            let chunk = block_on(self.recv.read_chunk(usize::MAX, true));
            match chunk {
                Ok(Some(chunk)) => self.input.extend_from_slice(&chunk.bytes),
                Ok(None) | Err(_) => return None,
            }
        }
    }

    pub(crate) fn next(&mut self) -> ServerMessage {
        self.try_next().expect("a message comes")
    }

    /// The server closes for this reason.
    pub(crate) fn expect_close(&self, reason: CloseReason) {
        match block_on(self.connection.closed()) {
            ConnectionError::ApplicationClosed(close) => {
                assert_eq!(close.error_code.into_inner(), u64::from(close_code(reason)));
            }
            other => panic!("not closed by the server: {other}"),
        }
    }

    /// As `expect_close`, for a client whose full socket may lose the packet that says so; the
    /// next one is answered with a stateless reset.
    pub(crate) fn expect_close_or_reset(&self, reason: CloseReason) {
        if block_on(self.connection.closed()) != ConnectionError::Reset {
            self.expect_close(reason);
        }
    }
}

pub(crate) fn client_endpoint() -> Endpoint {
    block_on(async { Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap() })
}

pub(crate) fn frame(message: impl Into<ClientMessage>, request: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    binary::write_client(&message.into(), request, &mut bytes);
    bytes
}

pub(crate) fn ping() -> ClientMessage {
    Ping {}.into()
}

pub(crate) fn pong() -> Pong {
    Pong { time_ms: TimeMs(1) }
}

/// A message of the longest kind, for everybody.
pub(crate) fn news() -> Message {
    Message {
        offset: Offset(1),
        room: RoomId(1),
        seq: Seq(1),
        author: UserId(1),
        device: DeviceId(1),
        counter: Counter(1),
        time_ms: TimeMs(0),
        text: "x".repeat(TEXT_BYTES_MAX),
    }
}

pub(crate) fn room_at() -> RoomAt {
    RoomAt { room: RoomId(1), head: Seq(1), offset: Offset(1) }
}

/// Waits until something is true.
pub(crate) fn wait_for(what: &str, mut is_true: impl FnMut() -> bool) {
    let until = std::time::Instant::now() + PATIENCE;
    while !is_true() {
        assert!(std::time::Instant::now() < until, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs a client's future; its connections live on a thread of their own meanwhile and after.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    static RUNTIME: OnceLock<Handle> = OnceLock::new();
    let handle = RUNTIME.get_or_init(|| {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let handle = runtime.handle().clone();
        std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
        handle
    });
    handle.block_on(async { timeout(PATIENCE, future).await.expect("within patience") })
}

fn server_tls() -> (Arc<rustls::ServerConfig>, CertificateDer<'static>) {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = certified.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], PrivateKeyDer::from(key))
        .unwrap();
    config.alpn_protocols = vec![ALPN.to_vec()];
    (Arc::new(config), certificate)
}

fn client_tls(authority: &CertificateDer<'static>) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    config
}

fn client_config(tls: rustls::ClientConfig) -> quinn::ClientConfig {
    let mut config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    let mut transport = quinn::TransportConfig::default();
    // Small, so that a client that does not read holds the server up soon.
    transport.stream_receive_window(VarInt::from_u32(16 * 1024));
    config.transport_config(Arc::new(transport));
    config
}

pub(crate) fn welcome() -> Welcome {
    Welcome {
        user: UserId(1),
        device: DeviceId(1),
        last_counter: Counter(0),
        sync: SyncMode::CatchUp,
        head: Offset(0),
    }
}
