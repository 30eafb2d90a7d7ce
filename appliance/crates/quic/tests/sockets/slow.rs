//! Readers that are slow or stalled.

use std::time::Duration;

use linnet_quic::limits::SEND_WINDOW_BYTES;
use linnet_quic::{CloseReason, Event, Frame, QuicConfig};
use wire::limits::TEXT_BYTES_MAX;
use wire::{ServerMessage, Targets};

use crate::rig::{Server, news, ping, pong, room_at};

fn config() -> QuicConfig {
    QuicConfig {
        session_bytes_max: 64 * 1024,
        session_bytes_hard_max: 256 * 1024,
        ..QuicConfig::default()
    }
}

/// Frames of the longest news that fit the queue and all windows.
const MANY: usize = 64 * 1024 / TEXT_BYTES_MAX + SEND_WINDOW_BYTES as usize / TEXT_BYTES_MAX + 8;

#[test]
fn a_reader_that_stalls_overflows_once_and_others_get_everything() {
    let mut server = Server::start(config());
    let (mut stalled, slow) = server.welcomed();
    let (mut reader, quick) = server.welcomed();
    let reading = std::thread::spawn(move || {
        (0..MANY).for_each(|_| assert_eq!(reader.next(), news().into()));
        reader
    });
    let frame = Frame::new(news(), 0);
    for _ in 0..MANY {
        server.outbox.send(vec![slow, quick].into(), frame.clone(), false);
        server.outbox.flush();
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(server.next(), Event::Overflowed { session: slow });
    let _reader = reading.join().unwrap();
    // What stands for it passes, and fan-out goes on behind the note.
    server.outbox.send(Targets::One(slow), Frame::new(room_at(), 0), true);
    server.outbox.send(Targets::One(slow), Frame::new(pong(), 9), false);
    server.outbox.flush();
    let mut received = Vec::new();
    while received.last() != Some(&pong().into()) {
        received.push(stalled.next());
    }
    let (told, messages) = (received.len() - 2, &received[..received.len() - 2]);
    assert!(told < MANY && messages.iter().all(|message| *message == news().into()));
    assert_eq!(received[told], room_at().into());
    assert_eq!(server.next(), Event::Flushed { session: slow });
    server.send(slow, news(), 0);
    assert_eq!(stalled.next(), news().into());
}

#[test]
fn one_that_asks_and_never_reads_is_closed_at_the_hard_cap() {
    let mut server = Server::start(config());
    let (client, session) = server.welcomed();
    let answer = Frame::new(news(), 5);
    let ended = loop {
        server.outbox.send(Targets::One(session), answer.clone(), false);
        server.outbox.flush();
        if let Ok(event) = server.events.try_recv() {
            break event;
        }
    };
    assert_eq!(ended, Event::Closed { session, reason: CloseReason::TooSlow });
    client.expect_close_or_reset(CloseReason::TooSlow);
}

#[test]
fn one_that_takes_nothing_for_too_long_is_closed() {
    let stalled_within = Duration::from_millis(500);
    let mut server = Server::start(QuicConfig { stalled_within, ..config() });
    let (client, session) = server.welcomed();
    for _ in 0..MANY {
        server.send(session, news(), 0);
    }
    assert_eq!(server.next(), Event::Overflowed { session });
    assert_eq!(server.next(), Event::Closed { session, reason: CloseReason::Dead });
    client.expect_close_or_reset(CloseReason::Dead);
}

#[test]
fn one_that_does_not_read_its_answers_is_not_read_from() {
    let mut server = Server::start(config());
    let (mut client, session) = server.welcomed();
    for _ in 0..7 + SEND_WINDOW_BYTES as usize / TEXT_BYTES_MAX {
        server.send(session, news(), 5);
    }
    std::thread::sleep(Duration::from_millis(100));
    client.say(ping(), 1);
    assert!(server.is_quiet(), "it has enough waiting");
    while !matches!(server.events.try_recv(), Ok(Event::Frame { request: 1, .. })) {
        assert!(matches!(client.next(), ServerMessage::Message(_)));
    }
}
