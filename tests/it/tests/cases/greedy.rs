//! Signed-in sessions that take more than their share: senders that never stop, readers that never
//! read. They are slowed, refused with a reason or closed; everybody else gets their acks.

use std::io::{self, Read as _, Write as _};
use std::time::{Duration, Instant};

use linnet_it::person::Person;
use linnet_it::process::Linnetd;
use linnet_it::session::{Door, Session};
use linnet_it::watch::{Cost, Meter, Witness};
use wire::client::{Ping, Read, ReadHistory, SendText, SyncFrom};
use wire::ids::{Counter, Offset, RoomId, Seq};
use wire::limits::{COMMAND_WINDOW, HISTORY_PAGE_MAX};
use wire::server::{Error, Reason};
use wire::{ClientMessage, ServerMessage};

/// Small requests of one session at once, and each second: the pace of the rings.
const REQUESTS_AT_ONCE: u64 = 1_024;
const REQUESTS_PER_SECOND: u64 = 2_048;

/// How long a flood lasts.
const FLOOD: Duration = Duration::from_secs(2);

/// What one session may take, in KiB: pages under way, its queue, what was received and is not
/// decoded, and the allocator's slack.
const SESSION_KIB_MAX: u64 = 8 * 1024;

/// Processor time of the whole server, over the time that passed, for one flooder; a debug build.
const LOAD_MAX: f64 = 0.75;

struct Scene {
    _folder: tempfile::TempDir,
    server: Linnetd,
    ann: Person,
    eve: Person,
    room: RoomId,
}

/// Ann and Eve share a room with some messages.
fn scene(messages: usize, text: &str) -> Scene {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Linnetd::start(folder.path());
    let mut ann = server.claim("ann");
    let eve = ann.add(&server, "eve");
    let (mut session, _) = ann.enter(&server, Door::Native);
    let room = ann.open_direct(&mut session, eve.user);
    for _ in 0..messages {
        ann.say(&mut session, room, text);
    }
    Scene { _folder: folder, server, ann, eve, room }
}

impl Scene {
    /// What Eve's session costs while she does something, and what the witness felt.
    fn attack<T>(&mut self, door: Door, attack: impl FnOnce(&mut Session) -> T) -> (T, Cost) {
        let (mut session, _) = self.eve.enter(&self.server, door);
        let witness = Witness::start(&self.server, &self.ann);
        let meter = Meter::of(&self.server);
        let result = attack(&mut session);
        let cost = meter.end();
        println!("{cost:?}; {:?}", witness.end());
        assert!(cost.grown_kib < SESSION_KIB_MAX, "{cost:?}");
        (result, cost)
    }
}

/// The same request again and again.
fn flood_of(message: &ClientMessage) -> Vec<u8> {
    let frames = (1..=2_000).map(|request| {
        let mut bytes = Vec::new();
        wire::binary::write_client(message, request, &mut bytes);
        bytes
    });
    frames.collect::<Vec<_>>().concat()
}

/// Sends as fast as the server takes it, and reads all that it answers; gives the answers.
fn flood(session: &mut Session, bytes: &[u8]) -> io::Result<u64> {
    let stream = session.stream();
    let (start, mut answers, mut unread, mut rest) = (Instant::now(), 0, Vec::new(), bytes);
    let mut chunk = vec![0; 64 * 1024];
    stream.sock.set_read_timeout(Some(Duration::from_millis(1)))?;
    stream.sock.set_write_timeout(Some(Duration::from_millis(1)))?;
    while start.elapsed() < FLOOD {
        let piece = &rest[..rest.len().min(4096)];
        // What does not fit now stays in the TLS connection until it does.
        let _ = stream.conn.writer().write(piece).map(|taken| rest = &rest[taken..]);
        rest = if rest.is_empty() { bytes } else { rest };
        while stream.conn.wants_write() && stream.conn.write_tls(&mut stream.sock).is_ok() {}
        match stream.read(&mut chunk) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => unread.extend_from_slice(&chunk[..count]),
            Err(error) if linnet_it::session::is_timeout(&error) => {}
            Err(error) => return Err(error),
        }
        answers += take_answers(&mut unread);
    }
    Ok(answers)
}

fn take_answers(unread: &mut Vec<u8>) -> u64 {
    let (mut answers, mut at) = (0, 0);
    while let Ok(Some((frame, used))) = wire::binary::read_server(&unread[at..]) {
        answers += u64::from(frame.request > 0);
        at += used;
    }
    unread.drain(..at);
    answers
}

#[test]
fn pings_as_fast_as_they_go_are_answered_at_a_pace_and_cost_a_part_of_a_core() {
    let mut scene = scene(0, "");
    let bytes = flood_of(&Ping {}.into());
    let (pongs, cost) = scene.attack(Door::Native, |session| flood(session, &bytes));
    let pongs = pongs.expect("it is slowed, not closed");
    let most = REQUESTS_AT_ONCE + 2 * REQUESTS_PER_SECOND * FLOOD.as_secs();
    assert!((REQUESTS_AT_ONCE..most).contains(&pongs), "{pongs} pongs");
    assert!(cost.load < LOAD_MAX, "{cost:?}");
}

#[test]
fn floods_of_reads_syncs_and_history_are_slowed_and_others_get_their_acks() {
    let mut scene = scene(100, &"x".repeat(1_000));
    let room = scene.room;
    let messages: [ClientMessage; 3] = [
        Read { room, seq: Seq(1) }.into(),
        SyncFrom { cursor: Offset(0) }.into(),
        ReadHistory { room, before: None, limit: HISTORY_PAGE_MAX }.into(),
    ];
    for message in messages {
        let bytes = flood_of(&message);
        let (answers, cost) = scene.attack(Door::Native, |session| flood(session, &bytes));
        println!("{message:?}: {answers:?}");
        answers.expect("it is slowed, not closed");
        assert!(cost.load < LOAD_MAX, "{message:?}: {cost:?}");
    }
}

#[test]
fn commands_beyond_the_window_are_told_to_wait_and_the_rest_is_done() {
    let mut scene = scene(0, "");
    let room = scene.room;
    let count = 4 * COMMAND_WINDOW;
    let (answers, _) = scene.attack(Door::Native, |session| {
        let mut bytes = Vec::new();
        for number in 1..=count {
            let text = format!("message {number}");
            let command = SendText { counter: Counter(number), room, text };
            let request = u32::try_from(number).expect("it is small");
            wire::binary::write_client(&command.into(), request, &mut bytes);
        }
        session.send_raw(bytes).expect("the server takes it");
        let mut answers = Vec::new();
        while answers.len() < usize::try_from(count).expect("it is small") {
            let frame = session.receive().expect("every command is answered");
            answers.extend(frame.message.filter(|_| frame.request > 0));
        }
        answers
    });
    let mut acks = 0;
    for answer in answers {
        match answer {
            ServerMessage::Ack(_) => acks += 1,
            ServerMessage::Error(Error { reason: Reason::Busy, retry_after_ms, .. }) => {
                assert!(retry_after_ms.is_some());
            }
            ServerMessage::Error(Error { reason: Reason::Gap, expected, .. }) => {
                assert!(expected.is_some());
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(acks >= COMMAND_WINDOW, "{acks} acks");
    println!("{acks} of {count} commands at once were done");
}

#[test]
fn who_asks_for_history_and_never_reads_is_not_read_from_and_holds_little() {
    let mut scene = scene(200, &"x".repeat(10_000));
    let ask = ReadHistory { room: scene.room, before: None, limit: HISTORY_PAGE_MAX };
    let bytes = flood_of(&ask.into());
    for door in [Door::Native, Door::Binary] {
        let (taken, _) = scene.attack(door, |session| {
            let stream = session.stream();
            stream.sock.set_write_timeout(Some(Duration::from_millis(200))).expect("a socket");
            let (start, mut taken) = (Instant::now(), 0);
            while start.elapsed() < FLOOD {
                let sent = match door {
                    Door::Native => stream.write_all(&bytes),
                    _ => stream.write_all(&masked(&bytes[..bytes.len() / 2_000])),
                };
                if sent.is_err() {
                    break;
                }
                taken += 1;
            }
            taken
        });
        println!("{door:?}: {taken} writes were taken");
    }
}

/// One binary WebSocket frame of a client, with a mask of zeros.
fn masked(payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("a short frame");
    [&[0x82, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

#[test]
fn readers_that_never_read_in_a_busy_room_cost_little_and_delay_nobody() {
    const POSTS: usize = 400;
    const TEXT_BYTES: usize = 16_000;
    let mut scene = scene(0, "");
    let mut asleep = Vec::new();
    for at in 0..5 {
        let mut device = Person::login(&scene.server, "eve");
        let doors = [Door::Native, Door::Json, Door::Binary, Door::Native];
        asleep.push(device.enter(&scene.server, doors[at % doors.len()]).0);
    }
    let meter = Meter::of(&scene.server);
    let (mut session, _) = scene.ann.enter(&scene.server, Door::Native);
    let (text, mut longest) = ("x".repeat(TEXT_BYTES), Duration::ZERO);
    for _ in 0..POSTS {
        let start = Instant::now();
        scene.ann.say(&mut session, scene.room, &text);
        longest = longest.max(start.elapsed());
    }
    let cost = meter.end();
    println!("{} asleep: {cost:?}, longest ack {longest:?}", asleep.len());
    assert!(longest < linnet_it::watch::ACK_WITHIN, "{longest:?}");
    // The messages themselves stay in memory until they are saved, once.
    let posted_kib = (POSTS * TEXT_BYTES / 1024) as u64;
    let most = 3 * posted_kib + asleep.len() as u64 * 512 + SESSION_KIB_MAX;
    assert!(cost.grown_kib < most, "{cost:?}");
}
