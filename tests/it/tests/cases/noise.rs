//! Frames that are too long, whole or in pieces, and bytes that mean nothing, at every step of
//! every door: the server says why, or closes, at once, and holds none of it.

use std::io::{Read as _, Write};
use std::time::{Duration, Instant};

use linnet_it::attack::{connect_from, source};
use linnet_it::person::Person;
use linnet_it::process::Linnetd;
use linnet_it::session::{Door, Session};
use linnet_it::watch::{Meter, Witness};
use wire::ServerMessage;
use wire::limits::CLIENT_FRAME_BYTES_MAX;
use wire::server::Reason;

/// Longest frame before `hello`: a limit of the rings.
const UNKNOWN_FRAME_BYTES_MAX: usize = 4 * 1024;

/// What goes on being sent after the server has heard enough.
const STREAM_BYTES: usize = 2 << 20;

/// The end comes within this time; the server waits three seconds for the peer to close.
const WITHIN: Duration = Duration::from_secs(5);

/// What the server may take beyond an idle one, in KiB: one longest frame and the sockets.
const KIB_MAX: u64 = 4 * 1024;

struct Scene {
    _folder: tempfile::TempDir,
    server: Linnetd,
    eve: Person,
    witness: Witness,
    meter: Meter,
}

fn scene() -> Scene {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Linnetd::start(folder.path());
    let ann = server.claim("ann");
    let eve = ann.add(&server, "eve");
    let witness = Witness::start(&server, &ann);
    let meter = Meter::of(&server);
    Scene { _folder: folder, server, eve, witness, meter }
}

impl Scene {
    /// A session before its `hello`, or after it.
    fn session(&mut self, door: Door, known: bool) -> Session {
        if known {
            return self.eve.enter(&self.server, door).0;
        }
        self.server.open(door)
    }

    fn end(self) {
        let cost = self.meter.end();
        println!("{cost:?}; {:?}", self.witness.end());
        assert!(cost.grown_kib < KIB_MAX, "{cost:?}");
    }
}

/// Sends all of it, or as much as the server takes.
fn pour(stream: &mut impl Write, bytes: &[u8]) {
    let _ = bytes.chunks(16 * 1024).try_for_each(|chunk| stream.write_all(chunk));
    let _ = stream.flush();
}

/// The reasons that are told before the end, which comes in time.
fn reasons(session: &mut Session, what: &str) -> Vec<Reason> {
    let start = Instant::now();
    let told = session.drain().into_iter().filter_map(|message| match message {
        ServerMessage::Error(error) => Some(error.reason),
        ServerMessage::Closing(closing) => Some(closing.reason),
        _ => None,
    });
    let told = told.collect();
    assert!(start.elapsed() < WITHIN, "{what}: {:?}", start.elapsed());
    told
}

#[test]
fn frames_that_are_too_long_are_refused_by_their_header_before_and_after_hello() {
    let mut scene = scene();
    for door in [Door::Native, Door::Binary, Door::Json] {
        for known in [false, true] {
            let most = if known { CLIENT_FRAME_BYTES_MAX } else { UNKNOWN_FRAME_BYTES_MAX };
            let what = format!("{door:?}, known: {known}");
            let mut session = scene.session(door, known);
            pour(session.stream(), &too_long(door, most));
            pour(session.stream(), &vec![b' '; STREAM_BYTES]);
            assert_eq!(reasons(&mut session, &what), [Reason::TooLong], "{what}");
        }
    }
    scene.end();
}

/// The header of a frame of one byte too many.
fn too_long(door: Door, most: usize) -> Vec<u8> {
    let length = u32::try_from(most + 1).expect("it is small");
    let opcode = match door {
        // The length counts what follows it.
        Door::Native | Door::Quic => {
            return [&length.to_le_bytes()[..], &[0x0b, 1, 1, 0, 0, 0, 0]].concat();
        }
        Door::Json => 0x81,
        Door::Binary => 0x82,
    };
    // Lengths are written in their shortest form; then a mask.
    let (form, length) = match u16::try_from(length) {
        Ok(short) => (0xfe, short.to_be_bytes().to_vec()),
        Err(_) => (0xff, u64::from(length).to_be_bytes().to_vec()),
    };
    [&[opcode, form][..], &length, &[0; 4]].concat()
}

#[test]
fn a_message_in_too_many_pieces_is_refused_when_it_gets_too_long() {
    let mut scene = scene();
    for (door, opcode) in [(Door::Json, 0x01), (Door::Binary, 0x02)] {
        for known in [false, true] {
            let what = format!("{door:?}, known: {known}");
            let mut session = scene.session(door, known);
            // Each piece of a thousand bytes is fine; the message never ends.
            let piece =
                |first: u8| [&[first, 0xfe, 3, 0xe8, 0, 0, 0, 0][..], &[b' '; 1_000]].concat();
            pour(session.stream(), &piece(opcode));
            pour(session.stream(), &piece(0).repeat(STREAM_BYTES / 1_000));
            assert_eq!(reasons(&mut session, &what), [Reason::TooLong], "{what}");
        }
    }
    scene.end();
}

/// The same noise in every run (xorshift64).
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed * 2 + 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..bytes).map(|_| next()).collect()
}

#[test]
fn noise_after_the_handshake_gets_a_reason_and_an_end_before_and_after_hello() {
    let mut scene = scene();
    for (seed, door) in (1..).zip([Door::Native, Door::Binary, Door::Json].repeat(4)) {
        for known in [false, true] {
            let what = format!("{door:?}, known: {known}, seed {seed}");
            let mut session = scene.session(door, known);
            // More than any frame, so that its beginning can't be the start of a valid one.
            pour(session.stream(), &noise(seed, 2 * CLIENT_FRAME_BYTES_MAX));
            let told = reasons(&mut session, &what);
            assert!(!told.is_empty(), "{what}");
            let known_reasons = [Reason::TooLong, Reason::Malformed, Reason::UnknownKind];
            assert!(told.iter().all(|reason| known_reasons.contains(reason)), "{what}: {told:?}");
        }
    }
    scene.end();
}

#[test]
fn noise_instead_of_http_or_tls_ends_the_connection_at_once() {
    let scene = scene();
    for seed in 1..=10 {
        let mut stream = scene.server.connect_https().expect("it listens");
        pour(&mut stream, &noise(seed, 64 * 1024));
        let (start, mut said) = (Instant::now(), Vec::new());
        // A reset is an end, too.
        let _ = stream.read_to_end(&mut said);
        assert!(start.elapsed() < WITHIN, "HTTP, seed {seed}");
        assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 4"), "seed {seed}: {said:?}");
    }
    for (number, to) in (1..).zip([scene.server.https, scene.server.native].repeat(5)) {
        let mut socket = connect_from(source(number), to).expect("it listens");
        socket.set_read_timeout(Some(2 * WITHIN)).expect("a socket takes it");
        pour(&mut socket, &noise(number.into(), 64 * 1024));
        let (start, mut said) = (Instant::now(), Vec::new());
        let _ = socket.read_to_end(&mut said);
        assert!(start.elapsed() < WITHIN, "TLS, seed {number}");
        // At most an alert: content type 21.
        assert!(said.is_empty() || said.starts_with(&[21]), "seed {number}: {said:?}");
    }
    scene.end();
}

#[test]
fn noise_below_tls_ends_that_session_alone() {
    let mut scene = scene();
    let mut neighbour = scene.session(Door::Native, true);
    for seed in 1..=5 {
        let mut session = scene.session(Door::Native, true);
        pour(&mut session.stream().sock, &noise(seed, 1_000));
        let start = Instant::now();
        session.drain();
        assert!(start.elapsed() < WITHIN, "seed {seed}");
    }
    let pong = neighbour.ask(&wire::client::Ping {}.into());
    assert!(matches!(pong, ServerMessage::Pong(_)), "{pong:?}");
    scene.end();
}
