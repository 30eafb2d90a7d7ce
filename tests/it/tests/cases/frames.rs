//! Bad frames: each gets a stated error; the connection closes only where framing is lost.

use std::io::Write as _;

use linnet_it::process::Linnetd;
use linnet_it::session::{Door, Session};
use wire::ServerMessage;
use wire::client::{ClientMessage, Ping};
use wire::limits::CLIENT_FRAME_BYTES_MAX;
use wire::server::Reason;

fn error_reason(session: &mut Session) -> Reason {
    session.wait_for("an error", |frame| match &frame.message {
        Some(ServerMessage::Error(error)) => {
            assert!(!error.text.is_empty());
            Some(error.reason)
        }
        Some(ServerMessage::Closing(closing)) => Some(closing.reason),
        _ => None,
    })
}

fn is_alive(session: &mut Session) -> bool {
    matches!(session.ask(&ClientMessage::Ping(Ping {})), ServerMessage::Pong(_))
}

#[test]
fn bad_json_frames_get_an_error_and_the_session_lives() {
    let folder = tempfile::tempdir().unwrap();
    let server = Linnetd::start(folder.path());
    let mut ann = server.claim("ann");
    let (mut session, _) = ann.enter(&server, Door::Json);
    let deep = format!(r#"{{"kind":"ping","body":{}{}}}"#, "[".repeat(99), "]".repeat(99));
    let cases = [
        ("not json", Reason::Malformed),
        (r#"{"kind":"ping"}"#, Reason::Malformed),
        (r#"{"kind":"ping","body":{},"more":1}"#, Reason::Malformed),
        (r#"{"kind":"ping","body":{"extra":1}}"#, Reason::Malformed),
        (r#"{"kind":"ping","body":{}}{}"#, Reason::Malformed),
        (r#"{"kind":"no_such_kind","request":1,"body":{}}"#, Reason::UnknownKind),
        (r#"{"kind":"sync","body":{"cursor":9007199254740992}}"#, Reason::Malformed),
        (deep.as_str(), Reason::Malformed),
    ];
    for (text, reason) in cases {
        session.send_raw(text.as_bytes().to_vec()).unwrap();
        assert_eq!(error_reason(&mut session), reason, "{text}");
        assert!(is_alive(&mut session), "{text}");
    }
    let skipped = r#"{"kind":"from_the_future","critical":false,"body":{"a":[1]}}"#;
    session.send_raw(skipped.as_bytes().to_vec()).unwrap();
    assert!(is_alive(&mut session), "an unknown kind that is not critical is skipped");
}

#[test]
fn bad_binary_frames_get_an_error_and_the_session_lives() {
    let folder = tempfile::tempdir().unwrap();
    let server = Linnetd::start(folder.path());
    let mut ann = server.claim("ann");
    for door in [Door::Binary, Door::Native] {
        let (mut session, _) = ann.enter(&server, door);
        let mut trailing = ping();
        trailing[0] += 1;
        trailing.push(0);
        let mut unknown = ping();
        unknown[4..6].copy_from_slice(&0x00ee_u16.to_le_bytes());
        for (bytes, reason) in [(trailing, Reason::Malformed), (unknown, Reason::UnknownKind)] {
            session.send_raw(bytes).unwrap();
            assert_eq!(error_reason(&mut session), reason, "{door:?}");
            assert!(is_alive(&mut session), "{door:?}");
        }
        let mut skipped = ping();
        skipped[4..6].copy_from_slice(&0x00ee_u16.to_le_bytes());
        skipped[6] = 0;
        session.send_raw(skipped).unwrap();
        assert!(is_alive(&mut session), "{door:?}");
    }
}

#[test]
fn an_impossible_length_says_so_and_closes_as_framing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let server = Linnetd::start(folder.path());
    let mut ann = server.claim("ann");
    for length in [u32::MAX, 3] {
        let (mut session, _) = ann.enter(&server, Door::Native);
        let mut bytes = ping();
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        session.send_raw(bytes).unwrap();
        let told = session
            .drain()
            .into_iter()
            .any(|message| matches!(message, ServerMessage::Error(_) | ServerMessage::Closing(_)));
        assert!(told, "length {length}");
    }
}

#[test]
fn a_frame_over_the_limit_is_refused_on_a_websocket() {
    let folder = tempfile::tempdir().unwrap();
    let server = Linnetd::start(folder.path());
    let mut ann = server.claim("ann");
    let (mut session, _) = ann.enter(&server, Door::Json);
    // The server may close before it took everything.
    let _ = session.send_raw(vec![b' '; CLIENT_FRAME_BYTES_MAX + 1]);
    let reasons: Vec<_> = session
        .drain()
        .into_iter()
        .filter_map(|message| match message {
            ServerMessage::Error(error) => Some(error.reason),
            ServerMessage::Closing(closing) => Some(closing.reason),
            _ => None,
        })
        .collect();
    assert!(reasons.contains(&Reason::TooLong), "{reasons:?}");
}

#[test]
fn invalid_utf8_in_a_text_frame_ends_the_websocket_with_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let server = Linnetd::start(folder.path());
    let mut ann = server.claim("ann");
    let (mut session, _) = ann.enter(&server, Door::Json);
    // FIN + text, masked with zeros, two bytes that are no UTF-8.
    session.stream().write_all(&[0x81, 0x82, 0, 0, 0, 0, 0xff, 0xfe]).unwrap();
    let told = session
        .drain()
        .into_iter()
        .any(|message| matches!(message, ServerMessage::Error(_) | ServerMessage::Closing(_)));
    assert!(told);
}

#[test]
fn whoever_does_not_say_hello_first_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let server = Linnetd::start(folder.path());
    let mut session = server.open(Door::Json);
    let sync = wire::client::SyncFrom { cursor: wire::ids::Offset(0) };
    session.send(&sync.into());
    assert_eq!(error_reason(&mut session), Reason::HelloFirst);
}

fn ping() -> Vec<u8> {
    let mut bytes = Vec::new();
    wire::binary::write_client(&ClientMessage::Ping(Ping {}), 1, &mut bytes);
    bytes
}
