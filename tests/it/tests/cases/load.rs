//! Bounds: a slow reader falls back to notes and catches up, many sessions get one message, an
//! idle server is small.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use linnet_it::PATIENCE;
use linnet_it::person::{Person, next_message};
use linnet_it::process::Linnetd;
use linnet_it::session::{Door, Session};
use wire::ServerMessage;
use wire::client::SyncFrom;
use wire::ids::Offset;

/// Bytes that no kernel buffers for a connection on loopback (6 MB each way at most).
const FLOOD_BYTES: usize = 24 << 20;

/// Goal of the product for an idle server with default rings, in KiB. A debug build's code alone is
/// 10 MB larger.
const IDLE_RSS_KIB_MAX: u64 = if cfg!(debug_assertions) { 30 * 1024 } else { 20 * 1024 };

/// What a session may cost beyond an idle server, in KiB: measured 9 with TLS.
const SESSION_KIB_MAX: u64 = 40;

/// Connections of one address that nobody signed in on: the web crate's limit.
const PLACES_PER_ADDRESS: usize = 96;

#[test]
fn a_slow_reader_gets_notes_and_recovers_by_sync_without_a_hole() {
    let folder = tempfile::tempdir().unwrap();
    let server = Linnetd::start(folder.path());
    let mut ann = server.claim("ann");
    let mut ben = ann.add(&server, "ben");
    let (mut at_ann, _) = ann.enter(&server, Door::Native);
    let room = ann.open_direct(&mut at_ann, ben.user);
    let (mut at_ben, _) = ben.enter(&server, Door::Native);
    let count = FLOOD_BYTES / 16_000;
    let text = "x".repeat(16_000);
    for _ in 0..count {
        ann.say(&mut at_ann, room, &text);
    }
    let mut seen = BTreeMap::new();
    let (mut cursor, mut notes) = (ben.cursor, 0);
    let deadline = Instant::now() + 2 * PATIENCE;
    while seen.len() < count {
        assert!(Instant::now() < deadline, "{} of {count}\n{}", seen.len(), server.log());
        let Some(frame) = at_ben.poll(Duration::from_secs(5)).unwrap() else {
            panic!("silence after {} of {count} messages, {notes} notes", seen.len())
        };
        match frame.message {
            Some(ServerMessage::Message(message)) => {
                *seen.entry(message.seq).or_insert(0) += 1;
            }
            Some(ServerMessage::CaughtUp(body)) => cursor = body.cursor,
            // Also about room 0: something that is in no room.
            Some(ServerMessage::RoomAt(_)) => {
                notes += 1;
                at_ben.send(&SyncFrom { cursor }.into());
            }
            _ => {}
        }
    }
    assert!(notes > 0, "24 MB fitted the buffers of one connection");
    assert!(server.rss_kib() < 100 * 1024, "{} KiB", server.rss_kib());
    println!("slow reader: {notes} notes, {count} messages, RSS {} KiB", server.rss_kib());
}

#[test]
fn two_hundred_sessions_get_one_message_each() {
    let folder = tempfile::tempdir().unwrap();
    let server = Linnetd::start(folder.path());
    let mut ann = server.claim("ann");
    let (mut at_ann, _) = ann.enter(&server, Door::Json);
    let people: Vec<Person> =
        (0..10).map(|number| ann.add(&server, &format!("p{number}"))).collect();
    let users: Vec<_> = people.iter().map(|person| person.user).collect();
    let room = ann.create_room(&mut at_ann, "school", &users);
    let mut sessions: Vec<Session> = Vec::new();
    for person in &people {
        let devices = (0..4).map(|_| Person::login(&server, &person.name));
        for mut device in std::iter::once(person.clone()).chain(devices) {
            for door in [Door::Native, Door::Binary, Door::Json, Door::Native] {
                sessions.push(device.enter(&server, door).0);
            }
        }
    }
    assert_eq!(sessions.len(), 200);
    let ack = ann.say(&mut at_ann, room, "assembly at ten");
    for session in &mut sessions {
        let message = next_message(session, room);
        assert_eq!((message.seq, message.text.as_str()), (ack.seq, "assembly at ten"));
    }
    let rss = server.rss_kib();
    println!("200 sessions: RSS {rss} KiB");
    assert!(rss < IDLE_RSS_KIB_MAX + 200 * SESSION_KIB_MAX, "{rss} KiB");
}

#[test]
fn one_address_holds_only_so_many_sessions_that_nobody_signed_in_on() {
    let folder = tempfile::tempdir().unwrap();
    let server = Linnetd::start(folder.path());
    let mut ann = server.claim("ann");
    let (mut at_ann, _) = ann.enter(&server, Door::Native);
    let mut strangers = Vec::new();
    while let Some(session) = server.try_open_native() {
        strangers.push(session);
        assert!(strangers.len() <= PLACES_PER_ADDRESS, "no limit");
    }
    assert!(strangers.len() > PLACES_PER_ADDRESS / 2, "{}", strangers.len());
    // Whoever is in stays in, and the places come back.
    let room = ann.create_room(&mut at_ann, "school", &[]);
    ann.say(&mut at_ann, room, "still here");
    drop(strangers);
    let deadline = Instant::now() + PATIENCE;
    while server.try_open_native().is_none() {
        assert!(Instant::now() < deadline, "the places never came back");
    }
}

#[test]
fn an_idle_server_is_small() {
    let folder = tempfile::tempdir().unwrap();
    let server = Linnetd::start(folder.path());
    std::thread::sleep(Duration::from_secs(3));
    let rss = server.rss_kib();
    println!("idle RSS: {rss} KiB (limit {IDLE_RSS_KIB_MAX})");
    assert!(rss < IDLE_RSS_KIB_MAX, "{rss} KiB");
}

#[test]
fn a_cursor_from_the_future_is_reset_not_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let server = Linnetd::start(folder.path());
    let mut ann = server.claim("ann");
    let (_, _) = ann.enter(&server, Door::Json);
    ann.cursor = Offset(1 << 40);
    let (_session, caught) = ann.enter(&server, Door::Json);
    assert_eq!(caught.welcome.sync, wire::server::SyncMode::Reset);
}
