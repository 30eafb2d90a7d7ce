//! What the tests share: rings with a core that is the test, and two kinds of clients.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use linnet_ring::{
    CloseReason, Handover, PaceConfig, Protocol, RingConfig, RingEvent, RingHandle, Rings,
    SessionId, SharedFrame,
};
use wire::binary::{self, Header};
use wire::client::{Ping, SendText};
use wire::ids::{Counter, Offset, RoomId, Seq, TimeMs};
use wire::server::{Ack, Pong};
use wire::{ClientMessage, ServerMessage, Targets, json};

pub(crate) const WITHIN: Duration = Duration::from_secs(20);
pub(crate) const TEXT: Protocol = Protocol::WebSocket { binary: false };

/// Rings whose core is the test.
pub(crate) struct Rig {
    pub(crate) rings: Rings,
    pub(crate) handle: RingHandle,
    pub(crate) events: Receiver<RingEvent>,
    listener: TcpListener,
}

impl Rig {
    /// Starts rings; none, with the reason printed, where the kernel refuses io_uring.
    pub(crate) fn start(config: RingConfig) -> Option<Self> {
        Self::with_room(config, 1024)
    }

    pub(crate) fn with_room(config: RingConfig, events_max: usize) -> Option<Self> {
        let (sender, events) = sync_channel(events_max);
        let rings = match Rings::start(config, sender) {
            Ok(rings) => rings,
            Err(error) if error.is_refusal() => {
                println!("skipped: {error}");
                return None;
            }
            Err(error) => panic!("{error}"),
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        Some(Self { handle: rings.handle(), rings, events, listener })
    }

    /// A pair of connected sockets: the client's and the server's.
    pub(crate) fn pair(&self) -> (TcpStream, TcpStream, SocketAddr) {
        let client = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
        let (server, peer) = self.listener.accept().unwrap();
        client.set_read_timeout(Some(WITHIN)).unwrap();
        client.set_nodelay(true).unwrap();
        (client, server, peer)
    }

    pub(crate) fn adopt(&self, protocol: Protocol) -> (TcpStream, SessionId) {
        self.adopt_with(protocol, Vec::new())
    }

    pub(crate) fn adopt_with(
        &self,
        protocol: Protocol,
        plaintext: Vec<u8>,
    ) -> (TcpStream, SessionId) {
        let (client, stream, peer) = self.pair();
        let permit = Box::new(());
        let handover = Handover { stream, tls: None, plaintext, protocol, peer, permit };
        assert!(self.handle.adopt(handover).is_ok());
        let RingEvent::Connected { session, peer: said } = self.event() else {
            panic!("not connected")
        };
        assert_eq!(said, peer);
        (client, session)
    }

    pub(crate) fn event(&self) -> RingEvent {
        self.events.recv_timeout(WITHIN).expect("an event in time")
    }

    pub(crate) fn frame(&self) -> (SessionId, u32, ClientMessage) {
        match self.event() {
            RingEvent::Frame { session, request, message } => (session, request, message),
            other => panic!("{other:?} instead of a frame"),
        }
    }

    pub(crate) fn closed(&self) -> (SessionId, CloseReason) {
        match self.event() {
            RingEvent::Closed { session, reason } => (session, reason),
            other => panic!("{other:?} instead of closed"),
        }
    }

    pub(crate) fn send(&self, to: SessionId, frame: &SharedFrame) {
        send(&self.handle, &[to], frame, false);
    }

    /// Makes the session one that signed in, and takes the frame off the client's socket.
    pub(crate) fn welcome(&self, client: &mut TcpStream, session: SessionId, protocol: Protocol) {
        self.send(session, &welcome());
        match protocol {
            Protocol::Native => assert!(matches!(read_native(client).1, ServerMessage::Welcome(_))),
            Protocol::WebSocket { .. } => {
                read_websocket(client);
            }
        }
    }
}

/// One frame in a batch of its own.
pub(crate) fn send(handle: &RingHandle, to: &[SessionId], frame: &SharedFrame, flush_note: bool) {
    let mut outbox = handle.outbox();
    let mut to = to.to_vec();
    to.sort_unstable();
    outbox.send(&Targets::from(to), frame, flush_note);
    outbox.flush();
}

/// A last frame in a batch of its own.
pub(crate) fn close(handle: &RingHandle, session: SessionId, frame: SharedFrame) {
    let mut outbox = handle.outbox();
    outbox.close(session, frame);
    outbox.flush();
}

/// Small rings: one, unless a test says otherwise. Tests talk faster than people.
pub(crate) fn small() -> RingConfig {
    let pace = PaceConfig { work_per_second: u32::MAX, burst: WITHIN };
    RingConfig { rings: 1, connections_per_ring: 64, pace, ..RingConfig::default() }
}

pub(crate) fn ack() -> SharedFrame {
    let (counter, offset, room, seq) = (Counter(1), Offset(1), RoomId(1), Seq(1));
    SharedFrame::new(Ack { counter, offset, room, seq, time_ms: TimeMs(1) }, 1)
}

pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + WITHIN;
    while !holds() {
        assert!(Instant::now() < end, "{what} did not happen in time");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) fn pong(request: u32) -> SharedFrame {
    SharedFrame::new(Pong { time_ms: TimeMs(u64::from(request)) }, request)
}

pub(crate) fn welcome() -> SharedFrame {
    use wire::ids::{DeviceId, Offset, UserId};
    use wire::server::{SyncMode, Welcome};
    let (user, device, sync) = (UserId(1), DeviceId(1), SyncMode::Resumed);
    let (last_counter, head) = (Counter(0), Offset(0));
    SharedFrame::new(Welcome { user, device, last_counter, sync, head }, 1)
}

/// A fan-out message with a text of this length.
pub(crate) fn fan_out(seq: u64, text_bytes: usize) -> SharedFrame {
    use wire::ids::{DeviceId, Offset, Seq, UserId};
    SharedFrame::new(
        wire::server::Message {
            offset: Offset(seq),
            room: RoomId(1),
            seq: Seq(seq),
            author: UserId(1),
            device: DeviceId(1),
            counter: Counter(seq),
            time_ms: TimeMs(1),
            text: "x".repeat(text_bytes),
        },
        0,
    )
}

pub(crate) fn ping() -> ClientMessage {
    Ping {}.into()
}

pub(crate) fn send_text(text: &str) -> ClientMessage {
    SendText { counter: Counter(1), room: RoomId(1), text: text.to_owned() }.into()
}

pub(crate) fn native(message: &ClientMessage, request: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    binary::write_client(message, request, &mut bytes);
    bytes
}

pub(crate) fn text(message: &ClientMessage, request: u32) -> Vec<u8> {
    let mut payload = Vec::new();
    json::write_client(message, request, &mut payload);
    websocket(0x81, &payload)
}

/// A masked frame.
pub(crate) fn websocket(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [1, 2, 3, 4];
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | u8::try_from(length).unwrap()),
        length @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

pub(crate) fn read_native(client: &mut impl Read) -> (u32, ServerMessage) {
    let mut bytes = vec![0; binary::HEADER_BYTES];
    client.read_exact(&mut bytes).expect("a frame in time");
    let header = Header::read(&bytes, usize::MAX).unwrap().unwrap();
    bytes.resize(header.frame_bytes(), 0);
    client.read_exact(&mut bytes[binary::HEADER_BYTES..]).unwrap();
    let (frame, _) = binary::read_server(&bytes).unwrap().unwrap();
    (frame.request, frame.message.unwrap())
}

/// One whole frame of a server: opcode and payload.
pub(crate) fn read_websocket(client: &mut impl Read) -> (u8, Vec<u8>) {
    let mut start = [0; 2];
    client.read_exact(&mut start).expect("a frame in time");
    assert_eq!((start[0] & 0xf0, start[1] & 0x80), (0x80, 0), "whole and not masked");
    let length = match start[1] {
        126 => {
            let mut length = [0; 2];
            client.read_exact(&mut length).unwrap();
            usize::from(u16::from_be_bytes(length))
        }
        127 => {
            let mut length = [0; 8];
            client.read_exact(&mut length).unwrap();
            usize::try_from(u64::from_be_bytes(length)).unwrap()
        }
        length => usize::from(length),
    };
    let mut payload = vec![0; length];
    client.read_exact(&mut payload).unwrap();
    (start[0] & 0x0f, payload)
}

pub(crate) fn read_text(client: &mut impl Read) -> (u32, ServerMessage) {
    let (opcode, payload) = read_websocket(client);
    assert_eq!(opcode, 1, "a text frame");
    let frame = json::read_server(std::str::from_utf8(&payload).unwrap()).unwrap();
    (frame.request, frame.message.unwrap())
}

/// The peer ends the stream without a reset.
pub(crate) fn assert_ends(client: &mut impl Read) {
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).expect("an end, not a reset");
    assert!(rest.is_empty(), "{rest:?}");
}

pub(crate) fn write(client: &mut impl Write, bytes: &[u8]) {
    client.write_all(bytes).unwrap();
    client.flush().unwrap();
}
