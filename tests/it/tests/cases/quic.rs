//! Chat over QUIC end to end: the same box, people and rooms as through the other doors.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use linnet_it::person::{Person, whole_history};
use linnet_it::process::{Linnetd, build};
use linnet_it::quic::Quic;
use linnet_it::session::{Door, Session};
use linnet_it::tls;
use quinn::ConnectionError;
use wire::ServerMessage;
use wire::client::{Hello, Ping};
use wire::ids::{DeviceToken, Offset};
use wire::server::Reason;

const ANY_PORT: [&str; 2] = ["--listen-quic", "127.0.0.1:0"];

/// A server with the door of QUIC open, its first owner, and a member.
fn scene(folder: &tempfile::TempDir) -> (Linnetd, Person, Person) {
    let server = Linnetd::start_with(folder.path(), &ANY_PORT);
    let ann = server.claim("ann");
    let ben = ann.add(&server, "ben");
    (server, ann, ben)
}

fn code_of(error: &ConnectionError) -> Option<u64> {
    match error {
        ConnectionError::ApplicationClosed(close) => Some(close.error_code.into_inner()),
        _ => None,
    }
}

fn wait_for_text(session: &mut Session, text: &str) {
    session.wait_for(text, |frame| match &frame.message {
        Some(ServerMessage::Message(message)) => (message.text == text).then_some(()),
        _ => None,
    });
}

#[test]
fn people_over_quic_and_over_websockets_see_each_other_and_quic_survives_moves() {
    let folder = tempfile::tempdir().unwrap();
    let (server, mut ann, mut ben) = scene(&folder);
    let (mut quic, _) = ann.enter(&server, Door::Quic);
    let (mut web, _) = ben.enter(&server, Door::Json);
    let room = ann.open_direct(&mut quic, ben.user);
    for round in 0..4 {
        let (away, home) = (format!("from a train {round}"), format!("from home {round}"));
        ann.say(&mut quic, room, &away);
        wait_for_text(&mut web, &away);
        // The answer goes to an address that is gone, and comes again to the new one.
        quic.quic().move_away();
        ben.say(&mut web, room, &home);
        wait_for_text(&mut quic, &home);
    }
    let (messages, damaged) = whole_history(&mut quic, room);
    assert_eq!((messages.len(), damaged), (8, 0));
    assert!(!server.log().contains("panicked"));
}

#[test]
fn the_same_command_over_quic_and_native_is_done_once() {
    let folder = tempfile::tempdir().unwrap();
    let (server, mut ann, ben) = scene(&folder);
    let (mut quic, _) = ann.enter(&server, Door::Quic);
    let room = ann.open_direct(&mut quic, ben.user);
    let before = ann.clone();
    let first = ann.say(&mut quic, room, "once");
    let (mut native, _) = ann.enter(&server, Door::Native);
    let mut again = Person { counter: before.counter, ..ann.clone() };
    assert_eq!(again.say(&mut native, room, "once"), first);
    assert_eq!(whole_history(&mut quic, room).0.len(), 1);
}

#[test]
fn a_made_up_token_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let (server, ..) = scene(&folder);
    let mut session = server.open(Door::Quic);
    let token = DeviceToken([7; 32]);
    let hello = Hello { token, epoch: None, cursor: Offset(0), client: "linnet-it".into() };
    session.send(&hello.into());
    let told = session.drain().into_iter().any(|message| match message {
        ServerMessage::Error(error) => error.reason == Reason::BadToken,
        ServerMessage::Closing(closing) => closing.reason == Reason::BadToken,
        _ => false,
    });
    assert!(told);
    assert_eq!(code_of(&session.quic().ended()), Some(0));
}

#[test]
fn frames_that_can_t_be_read_end_the_session_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (server, mut ann, mut ben) = scene(&folder);
    let (mut good, _) = ben.enter(&server, Door::Quic);
    for garbage in [vec![0xff; 5_000], b"GET / HTTP/1.1\r\nHost: linnet.local\r\n\r\n".to_vec()] {
        let (mut bad, _) = ann.enter(&server, Door::Quic);
        bad.send_raw(garbage).unwrap();
        let told = bad.drain();
        assert!(told.iter().any(|message| matches!(message, ServerMessage::Error(_))), "{told:?}");
        assert_eq!(code_of(&bad.quic().ended()), Some(2));
    }
    assert!(matches!(good.ask(&Ping {}.into()), ServerMessage::Pong(_)));
}

#[test]
fn an_orderly_end_is_told_with_a_code() {
    let folder = tempfile::tempdir().unwrap();
    let (server, mut ann, _) = scene(&folder);
    let (mut session, _) = ann.enter(&server, Door::Quic);
    assert!(server.stop().success());
    let told = session.drain().into_iter().any(|message| match message {
        ServerMessage::Closing(closing) => closing.reason == Reason::ShuttingDown,
        _ => false,
    });
    assert!(told);
    assert_eq!(code_of(&session.quic().ended()), Some(1));
}

#[test]
fn after_a_crash_the_next_packet_tells_the_client_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (server, mut ann, ben) = scene(&folder);
    let (mut session, _) = ann.enter(&server, Door::Quic);
    let room = ann.open_direct(&mut session, ben.user);
    ann.say(&mut session, room, "kept");
    let address = server.quic().to_string();
    server.kill();
    let server = Linnetd::start_with(folder.path(), &["--listen-quic", &address]);
    let since = Instant::now();
    session.send(&Ping {}.into());
    assert_eq!(session.quic().ended(), ConnectionError::Reset);
    // Without the reset it would take the minute of the idle timeout.
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
    let (mut session, _) = ann.enter(&server, Door::Quic);
    assert_eq!(whole_history(&mut session, room).0[0].text, "kept");
}

#[test]
fn strangers_over_quic_share_the_places_of_their_address_and_members_notice_nothing() {
    /// web::limits::CONNECTIONS_PER_ADDRESS_MAX
    const PLACES: usize = 96;
    let folder = tempfile::tempdir().unwrap();
    let (server, mut ann, mut ben) = scene(&folder);
    let (mut quic, _) = ann.enter(&server, Door::Quic);
    let (mut web, _) = ben.enter(&server, Door::Json);
    let tls = tls::config(&server.data, &[b"linnet"]);
    let connect = |to: SocketAddr| Quic::connect(&tls, to);
    let mut strangers = Vec::new();
    let refused = loop {
        match connect(server.quic()) {
            Ok(stranger) => strangers.push(stranger),
            Err(error) => break error,
        }
        assert!(strangers.len() <= PLACES, "nobody is refused");
    };
    assert!(matches!(refused, ConnectionError::ConnectionClosed(_)), "{refused}");
    assert!(strangers.len() > PLACES / 2, "{}", strangers.len());
    assert!(server.try_open_native().is_none(), "the doors share their places");
    assert!(matches!(quic.ask(&Ping {}.into()), ServerMessage::Pong(_)));
    assert!(matches!(web.ask(&Ping {}.into()), ServerMessage::Pong(_)));
    // Closed with a reason after the time for hello.
    let ended = strangers.pop().expect("there are many").stream().map(Session::over_quic);
    let told = ended.expect("it was greeted").drain();
    assert!(matches!(told.last(), Some(ServerMessage::Closing(_))), "{told:?}");
    drop(strangers);
    let deadline = Instant::now() + linnet_it::PATIENCE;
    while server.try_open_native().is_none() {
        assert!(Instant::now() < deadline, "places are not given back");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_tool_chats_over_quic() {
    let folder = tempfile::tempdir().unwrap();
    let (server, mut ann, mut ben) = scene(&folder);
    let (mut web, _) = ann.enter(&server, Door::Json);
    let home = tempfile::tempdir().unwrap();
    let tool = |arguments: &[&str]| {
        let mut command = Command::new(build("linnet"));
        command.env("XDG_CONFIG_HOME", home.path()).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the tool was built")
    };
    let ended = |mut child: std::process::Child, input: &str| {
        let mut stdin = child.stdin.take().expect("it is piped");
        stdin.write_all(input.as_bytes()).expect("the tool reads");
        drop(stdin);
        let output = child.wait_with_output().expect("the tool ends");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        text
    };
    let host = format!("localhost:{}", server.https.port());
    let words = server.wait_line("fingerprint: ");
    let (_, words) = words.split_once("fingerprint: ").expect("the line was found by it");
    let words = ["login", &host, "--name", "ben", "--password-stdin", "--words", words];
    ended(tool(&words), &format!("{}\n", Person::password_of("ben")));
    let quic = format!("--quic={}", server.quic().port());
    let sent = ended(tool(&["chat", "@ann", &quic, "--send", "by the tool", "--json"]), "");
    assert!(sent.contains("\"ack\""), "{sent}");
    let room = web.wait_for("the message", |frame| match &frame.message {
        Some(ServerMessage::Message(message)) if message.text == "by the tool" => {
            Some(message.room)
        }
        _ => None,
    });
    ann.say(&mut web, room, "by the browser");
    let past = ended(tool(&["history", "@ann", &quic]), "");
    assert!(past.contains("by the tool") && past.contains("by the browser"), "{past}");
    let (mut session, _) = ben.enter(&server, Door::Quic);
    assert_eq!(whole_history(&mut session, room).0.len(), 2);
}
