//! One byte a second, through every door and at every step before somebody signed in: each is ended
//! in a stated time, with a reason where one can be told, and costs next to nothing.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use linnet_it::attack::{Fed, connect_from, feed, source};
use linnet_it::http;
use linnet_it::process::Linnetd;
use linnet_it::session::Door;
use linnet_it::tls::{self, TlsStream};
use linnet_it::watch::{Meter, Witness};
use rustls::{ClientConnection, pki_types::ServerName};
use wire::server::Reason;
use wire::{Frame, ServerMessage};

/// Seconds for a TLS handshake, for the head of a request, for its body, and from the greeting to
/// `hello`: limits of the crates web and chat.
const HANDSHAKE: u64 = 10;
const HEAD: u64 = 15;
const BODY: u64 = 10;
const HELLO: u64 = 10;

/// Seconds that an end may be late, on processors that other tests share, and that one may come
/// early by, as a clock ran before the first byte.
const LATE: u64 = 5;
const EARLY: u64 = 1;

/// Streams of each kind.
const OF_EACH: u16 = 8;

/// Processor time of the whole server over the time that passed: 1.0 is one core.
const LOAD_MAX: f64 = 0.5;

/// What all of them may take beyond an idle server, in KiB.
const KIB_MAX: u64 = 16 * 1024;

/// A kind of slowness: what is sent slowly, and what has to come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A connection on which nothing is ever sent.
    Silent,
    /// The first message of a handshake, a byte a second.
    ClientHello,
    /// The first message, but never the last one.
    HalfHandshake,
    PlainHead,
    Head,
    Body,
    UpgradeHead,
    NativeFrame,
    WebSocketFrame,
}

const KINDS: [Kind; 9] = [
    Kind::Silent,
    Kind::ClientHello,
    Kind::HalfHandshake,
    Kind::PlainHead,
    Kind::Head,
    Kind::Body,
    Kind::UpgradeHead,
    Kind::NativeFrame,
    Kind::WebSocketFrame,
];

impl Kind {
    /// Seconds that the server waits.
    const fn seconds(self) -> u64 {
        match self {
            Self::Silent | Self::ClientHello | Self::HalfHandshake => HANDSHAKE,
            Self::PlainHead | Self::Head | Self::UpgradeHead => HEAD,
            Self::Body => BODY,
            Self::NativeFrame | Self::WebSocketFrame => HELLO,
        }
    }

    fn run(self, server: &Linnetd, from: u16) -> Fed {
        let at_most = Duration::from_secs(self.seconds() + LATE);
        let plain = |to| short_reads(connect_from(source(from), to).expect("it listens"));
        let https = server.https.to_string();
        let encrypted = |to, alpn: &[&[u8]]| -> TlsStream {
            let stream = tls::over(&server.tls(alpn), plain(to)).expect("a connected socket");
            short_reads(stream.sock.try_clone().expect("a descriptor"));
            stream
        };
        match self {
            Self::Silent => feed(&mut plain(server.native), b"", at_most),
            Self::ClientHello => feed(&mut plain(server.https), &client_hello(server), at_most),
            Self::HalfHandshake => {
                let mut stream = plain(server.native);
                stream.write_all(&client_hello(server)).expect("it fits");
                feed(&mut stream, b"", at_most)
            }
            Self::PlainHead => {
                let head = http::request("GET", "/", &server.http.to_string(), &[], None);
                feed(&mut plain(server.http), &head, at_most)
            }
            Self::Head => {
                let head = http::request("GET", "/api/facts", &https, &[], None);
                feed(&mut encrypted(server.https, &[]), &head, at_most)
            }
            Self::UpgradeHead => {
                let upgrade = [("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")];
                let head = http::request("GET", "/ws", &https, &upgrade, None);
                feed(&mut encrypted(server.https, &[]), &head, at_most)
            }
            Self::Body => {
                let length = [("Content-Length", "900"), ("Content-Type", "application/json")];
                let head = http::request("POST", "/api/login", &https, &length, None);
                let mut stream = encrypted(server.https, &[]);
                stream.write_all(&head).expect("a head is taken");
                feed(&mut stream, &[b' '; 900], at_most)
            }
            Self::NativeFrame => {
                // A frame of a hundred bytes, of which some come.
                let frame = [vec![100, 0, 0, 0], vec![0; 96]].concat();
                feed(&mut encrypted(server.native, &[b"linnet"]), &frame, at_most)
            }
            Self::WebSocketFrame => {
                let mut session = server.open(Door::Json);
                short_reads(session.stream().sock.try_clone().expect("a descriptor"));
                // A masked text frame of a hundred bytes.
                let frame = [vec![0x81, 0x80 | 100, 0, 0, 0, 0], vec![b' '; 100]].concat();
                feed(session.stream(), &frame, at_most)
            }
        }
    }

    /// What has to be told before the end, where anything can be.
    fn check(self, fed: &Fed) {
        let text = String::from_utf8_lossy(&fed.said);
        match self {
            Self::Body => assert!(text.starts_with("HTTP/1.1 408"), "{text}"),
            Self::NativeFrame => {
                let (greeting, used) = first_frame(&fed.said);
                assert!(matches!(greeting.message, Some(ServerMessage::Greeting(_))));
                let (last, _) = first_frame(&fed.said[used..]);
                let Some(ServerMessage::Closing(closing)) = last.message else {
                    panic!("{last:?}")
                };
                assert_eq!(closing.reason, Reason::HelloFirst);
            }
            Self::WebSocketFrame => assert!(text.contains("\"reason\":\"hello_first\""), "{text}"),
            _ => {}
        }
    }
}

#[test]
fn half_open_handshakes_and_slow_senders_are_ended_in_time_and_harm_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let server = Linnetd::start(folder.path());
    let ann = server.claim("ann");
    let witness = Witness::start(&server, &ann);
    let meter = Meter::of(&server);
    std::thread::scope(|threads| {
        for (kind, number) in KINDS.iter().flat_map(|kind| (0..OF_EACH).map(move |at| (kind, at))) {
            let server = &server;
            threads.spawn(move || {
                let fed = kind.run(server, number);
                let (kept, limit) = (fed.kept.as_secs(), kind.seconds());
                assert!(kept + EARLY >= limit, "{kind:?} was ended after {kept} s");
                kind.check(&fed);
            });
        }
        // Meanwhile somebody new gets in.
        std::thread::sleep(Duration::from_secs(2));
        assert_eq!(server.request("GET", "/api/facts", &[], None).status, 200);
    });
    let cost = meter.end();
    assert!(cost.grown_kib < KIB_MAX && cost.load < LOAD_MAX, "{cost:?}");
    println!("slow ones: {cost:?}; {:?}", witness.end());
}

/// Reads wait for a second at most.
fn short_reads(socket: TcpStream) -> TcpStream {
    socket.set_read_timeout(Some(Duration::from_millis(500))).expect("a socket takes it");
    socket
}

fn first_frame(bytes: &[u8]) -> (Frame<ServerMessage>, usize) {
    let frame = wire::binary::read_server(bytes).expect("a frame without faults");
    frame.expect("a whole frame")
}

/// The first message of a handshake.
fn client_hello(server: &Linnetd) -> Vec<u8> {
    let name = ServerName::from(server.https.ip());
    let config = server.tls(&[]);
    let mut connection = ClientConnection::new(config, name).expect("it is complete");
    let mut bytes = Vec::new();
    connection.write_tls(&mut bytes).expect("a Vec takes everything");
    bytes
}
