//! What a session is: the server's stream, frames in any split, answers, limits before `hello`.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use linnet_quic::limits::UNKNOWN_FRAME_BYTES_MAX;
use linnet_quic::{CloseReason, Event, QuicConfig};
use wire::ServerMessage;
use wire::client::SendText;
use wire::ids::{Counter, RoomId};
use wire::limits::TEXT_BYTES_MAX;
use wire::server::Reason;

use crate::rig::{Server, block_on, frame, ping, pong, wait_for};

fn long_text() -> SendText {
    SendText { counter: Counter(1), room: RoomId(1), text: "x".repeat(TEXT_BYTES_MAX) }
}

#[test]
fn the_server_speaks_first_and_questions_are_answered() {
    let mut server = Server::start(QuicConfig::default());
    let client = server.client();
    let session = server.connected();
    server.send(session, pong(), 0);
    let mut client = client.session();
    assert_eq!(client.next(), pong().into());
    client.say(ping(), 7);
    assert_eq!(server.frame(), (session, 7, ping()));
    server.send(session, pong(), 7);
    assert_eq!(client.next(), pong().into());
    client.connection.close(0_u32.into(), b"");
    assert_eq!(server.next(), Event::Closed { session, reason: CloseReason::Peer });
}

#[test]
fn frames_arrive_whole_however_they_are_split() {
    let mut server = Server::start(QuicConfig::default());
    let (mut client, session) = server.welcomed();
    let bytes = [frame(ping(), 1), frame(long_text(), 2), frame(ping(), 3)].concat();
    for chunk in bytes[..200].chunks(1).chain(bytes[200..].chunks(1_001)) {
        client.write(chunk);
        block_on(tokio::task::yield_now());
    }
    assert_eq!(server.frame(), (session, 1, ping()));
    assert_eq!(server.frame(), (session, 2, long_text().into()));
    assert_eq!(server.frame(), (session, 3, ping()));
}

#[test]
fn a_bad_frame_is_answered_and_the_session_goes_on() {
    let mut server = Server::start(QuicConfig::default());
    let (mut client, session) = server.welcomed();
    let mut bad = frame(ping(), 5);
    bad[4] = 0xee;
    client.write(&bad);
    client.say(ping(), 6);
    let ServerMessage::Error(error) = client.next() else { panic!("no error") };
    assert_eq!(error.reason, Reason::UnknownKind);
    assert_eq!(server.frame(), (session, 6, ping()));
}

#[test]
fn before_hello_frames_are_short_and_few() {
    let mut server = Server::start_with(QuicConfig::default(), 4096, usize::MAX);
    for flood in [frame(long_text(), 1), frame(ping(), 1).repeat(10_000)] {
        assert!(flood.len() > UNKNOWN_FRAME_BYTES_MAX);
        let client = server.client();
        let session = server.connected();
        server.send(session, pong(), 0);
        let mut client = client.session();
        assert_eq!(client.next(), pong().into());
        // The server may close before all is written.
        let _ = block_on(client.send.write_all(&flood));
        let ServerMessage::Error(error) = client.next() else { panic!("no error") };
        assert_eq!(error.reason, Reason::TooLong);
        client.expect_close(CloseReason::Violation);
        let ended = std::iter::repeat_with(|| server.next())
            .find(|event| !matches!(event, Event::Frame { .. }));
        assert_eq!(ended, Some(Event::Closed { session, reason: CloseReason::Violation }));
    }
}

#[test]
fn a_place_is_given_back_when_somebody_signs_in_and_at_the_end() {
    let mut server = Server::start(QuicConfig::default());
    let stranger = server.client();
    server.connected();
    let (_client, _) = server.welcomed();
    assert_eq!(server.strangers.load(SeqCst), 1);
    stranger.connection.close(0_u32.into(), b"");
    wait_for("the place", || server.strangers.load(SeqCst) == 0);
}

#[test]
fn what_the_core_has_no_room_for_waits_and_nothing_is_lost() {
    let mut server = Server::start_with(QuicConfig::default(), 2, usize::MAX);
    let (mut client, session) = server.welcomed();
    let writer = std::thread::spawn(move || {
        for request in 1..=500 {
            client.say(ping(), request);
        }
        client
    });
    std::thread::sleep(Duration::from_millis(200));
    for request in 1..=500 {
        assert_eq!(server.frame(), (session, request, ping()));
    }
    drop(writer.join().unwrap());
}

#[test]
fn the_peer_opens_no_streams_and_sends_no_datagrams() {
    let mut server = Server::start(QuicConfig::default());
    let (client, _) = server.welcomed();
    let waited = block_on(async {
        let opened = client.connection.open_bi();
        tokio::time::timeout(Duration::from_millis(300), opened).await
    });
    assert!(waited.is_err(), "a second stream");
    assert_eq!(client.connection.max_datagram_size(), None);
}
