//! Frames in both framings and encodings, good and bad.

use std::io::Write;
use std::time::Duration;

use linnet_ring::{CloseReason, Protocol, RingEvent};
use wire::ServerMessage;
use wire::limits::CLIENT_FRAME_BYTES_MAX;
use wire::server::Reason;

use crate::rig::*;

fn error_reason(message: ServerMessage) -> Reason {
    match message {
        ServerMessage::Error(error) => error.reason,
        other => panic!("{other:?} instead of an error"),
    }
}

#[test]
fn native_frames_echo_whole_and_byte_by_byte() {
    let Some(rig) = Rig::start(small()) else { return };
    let (mut client, session) = rig.adopt(Protocol::Native);
    write(&mut client, &native(&ping(), 7));
    assert_eq!(rig.frame(), (session, 7, ping()));
    rig.send(session, &pong(7));
    assert_eq!(read_native(&mut client).0, 7);
    for byte in native(&send_text("hi"), 8) {
        write(&mut client, &[byte]);
    }
    assert_eq!(rig.frame(), (session, 8, send_text("hi")));
    drop(client);
    assert_eq!(rig.closed(), (session, CloseReason::Peer));
}

#[test]
fn a_websocket_answers_in_the_encoding_of_the_newest_frame() {
    let Some(rig) = Rig::start(small()) else { return };
    let (mut client, session) = rig.adopt(TEXT);
    rig.send(session, &pong(0));
    assert_eq!(read_text(&mut client).0, 0);
    write(&mut client, &text(&ping(), 1));
    assert_eq!(rig.frame().1, 1);
    rig.send(session, &pong(1));
    assert_eq!(read_text(&mut client).0, 1);
    write(&mut client, &websocket(0x82, &native(&ping(), 2)));
    assert_eq!(rig.frame().1, 2);
    rig.send(session, &pong(2));
    let (opcode, payload) = read_websocket(&mut client);
    assert_eq!((opcode, read_native(&mut &payload[..]).0), (2, 2));
    let (mut client, session) = rig.adopt(Protocol::WebSocket { binary: true });
    rig.send(session, &pong(0));
    assert_eq!(read_websocket(&mut client).0, 2, "negotiated at the upgrade");
}

#[test]
fn input_that_came_with_the_handover_is_read_first() {
    let Some(rig) = Rig::start(small()) else { return };
    let first = text(&ping(), 1);
    let second = text(&ping(), 2);
    let (early, late) = second.split_at(5);
    let (mut client, session) = rig.adopt_with(TEXT, [&first, early].concat());
    write(&mut client, late);
    assert_eq!(rig.frame(), (session, 1, ping()));
    assert_eq!(rig.frame(), (session, 2, ping()));
}

#[test]
fn pings_are_answered_between_fragments_and_close_is_echoed() {
    let Some(rig) = Rig::start(small()) else { return };
    let (mut client, session) = rig.adopt(TEXT);
    let frame = br#"{"kind":"ping","request":3,"body":{}}"#;
    write(&mut client, &websocket(0x01, &frame[..10]));
    write(&mut client, &websocket(0x89, b"there?"));
    assert_eq!(read_websocket(&mut client), (10, b"there?".to_vec()));
    write(&mut client, &websocket(0x80, &frame[10..]));
    assert_eq!(rig.frame(), (session, 3, ping()));
    write(&mut client, &websocket(0x88, &1001_u16.to_be_bytes()));
    assert_eq!(rig.closed(), (session, CloseReason::Peer));
    assert_eq!(read_websocket(&mut client), (8, 1001_u16.to_be_bytes().to_vec()));
    assert_ends(&mut client);
}

#[test]
fn bad_frames_are_answered_and_the_session_goes_on() {
    let Some(rig) = Rig::start(small()) else { return };
    let (mut client, session) = rig.adopt(TEXT);
    let unknown = br#"{"kind":"later","body":{}}"#;
    let deep = format!(r#"{{"kind":"ping","body":{}{}}}"#, "[".repeat(99), "]".repeat(99));
    for (payload, reason) in [
        (&b"nonsense"[..], Reason::Malformed),
        (unknown, Reason::UnknownKind),
        (deep.as_bytes(), Reason::Malformed),
    ] {
        write(&mut client, &websocket(0x81, payload));
        assert_eq!(error_reason(read_text(&mut client).1), reason);
    }
    write(&mut client, &text(&ping(), 1));
    assert_eq!(rig.frame(), (session, 1, ping()));

    let (mut client, session) = rig.adopt(Protocol::Native);
    let mut frame = native(&ping(), 5);
    frame[4] = 0xee;
    write(&mut client, &frame);
    let (request, message) = read_native(&mut client);
    assert_eq!((request, error_reason(message)), (5, Reason::UnknownKind));
    write(&mut client, &native(&ping(), 6));
    assert_eq!(rig.frame(), (session, 6, ping()));
    until("the counter", || rig.handle.stats().frames_refused == 4);
}

#[test]
fn an_oversized_frame_is_answered_and_then_closed() {
    let Some(rig) = Rig::start(small()) else { return };
    let (mut client, session) = rig.adopt(Protocol::Native);
    rig.welcome(&mut client, session, Protocol::Native);
    write(&mut client, &u32::try_from(CLIENT_FRAME_BYTES_MAX).unwrap().to_le_bytes());
    write(&mut client, &[0; 3000]);
    assert_eq!(error_reason(read_native(&mut client).1), Reason::TooLong);
    assert_eq!(rig.closed(), (session, CloseReason::Violation));
    assert_ends(&mut client);

    let (mut client, session) = rig.adopt(TEXT);
    rig.welcome(&mut client, session, TEXT);
    let frame = websocket(0x81, &vec![b'x'; CLIENT_FRAME_BYTES_MAX + 1]);
    // The server may have closed before everything is written.
    let _ = client.write_all(&frame);
    assert_eq!(error_reason(read_text(&mut client).1), Reason::TooLong);
    assert_eq!(read_websocket(&mut client), (8, 1009_u16.to_be_bytes().to_vec()));
    assert_eq!(rig.closed(), (session, CloseReason::Violation));
}

#[test]
fn broken_websocket_rules_close_with_their_status() {
    let Some(rig) = Rig::start(small()) else { return };
    for (frame, status) in [
        (websocket(0x81, b"\xff\xfe"), 1007_u16),
        (vec![0x81, 0x01, b'x'], 1002),
        (websocket(0x80, b"x"), 1002),
    ] {
        let (mut client, session) = rig.adopt(TEXT);
        write(&mut client, &frame);
        assert_eq!(error_reason(read_text(&mut client).1), Reason::Malformed);
        assert_eq!(read_websocket(&mut client), (8, status.to_be_bytes().to_vec()));
        assert_eq!(rig.closed(), (session, CloseReason::Violation));
        assert_ends(&mut client);
    }
}

#[test]
fn a_session_that_has_not_signed_in_may_send_little() {
    let Some(rig) = Rig::start(small()) else { return };
    let (mut client, session) = rig.adopt(Protocol::Native);
    let frame = native(&send_text(&"x".repeat(5_000)), 1);
    write(&mut client, &frame);
    assert_eq!(error_reason(read_native(&mut client).1), Reason::TooLong);
    assert_eq!(rig.closed(), (session, CloseReason::Violation));

    let (mut client, session) = rig.adopt(Protocol::Native);
    for _ in 0..2_000 {
        let _ = client.write_all(&native(&ping(), 1));
    }
    until("the end of its patience", || match rig.event() {
        RingEvent::Frame { .. } => false,
        event => event == RingEvent::Closed { session, reason: CloseReason::Violation },
    });

    let (mut client, session) = rig.adopt(Protocol::Native);
    rig.welcome(&mut client, session, Protocol::Native);
    write(&mut client, &frame);
    assert_eq!(rig.frame().1, 1, "after welcome the same frame is fine");
}

#[test]
fn frames_of_one_tick_leave_in_one_send() {
    let Some(rig) = Rig::start(small()) else { return };
    let (mut client, session) = rig.adopt(Protocol::Native);
    for request in 1..=1_000 {
        rig.send(session, &pong(request));
    }
    for request in 1..=1_000 {
        assert_eq!(read_native(&mut client).0, request);
    }
    until("the counters", || rig.handle.stats().frames_out == 1_000);
    let stats = rig.handle.stats();
    assert!(stats.sends * 5 <= stats.frames_out, "{stats:?}");
}

#[test]
fn silence_is_pinged_and_a_dead_session_is_closed() {
    let (ping_after, pong_within) = (Duration::from_millis(200), Duration::from_millis(300));
    let config = linnet_ring::RingConfig { ping_after, pong_within, ..small() };
    let Some(rig) = Rig::start(config) else { return };
    let (mut client, session) = rig.adopt(TEXT);
    for _ in 0..3 {
        assert_eq!(read_websocket(&mut client).0, 9);
        write(&mut client, &websocket(0x8a, b""));
    }
    assert!(rig.events.try_recv().is_err(), "it lives");
    assert_eq!(read_websocket(&mut client).0, 9);
    assert_eq!(rig.closed(), (session, CloseReason::Dead));
}
