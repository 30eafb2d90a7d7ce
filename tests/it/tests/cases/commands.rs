//! Architecture 5.2: commands are dense, idempotent for ever, and refusals change nothing.

use linnet_it::person::{Person, expect_ack, whole_history};
use linnet_it::process::Linnetd;
use linnet_it::session::{Door, Session};
use wire::ServerMessage;
use wire::client::SendText;
use wire::ids::{Counter, RoomId, Seq};
use wire::server::{Error, Reason, Refused};

struct Scene {
    _folder: tempfile::TempDir,
    server: Linnetd,
    ann: Person,
    session: Session,
    room: RoomId,
}

fn scene() -> Scene {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Linnetd::start(folder.path());
    let mut ann = server.claim("ann");
    let ben = ann.add(&server, "ben");
    let (mut session, _) = ann.enter(&server, Door::Json);
    let room = ann.open_direct(&mut session, ben.user);
    Scene { _folder: folder, server, ann, session, room }
}

impl Scene {
    fn send(&mut self, counter: u64, room: RoomId, text: &str) -> ServerMessage {
        let command = SendText { counter: Counter(counter), room, text: text.into() };
        self.session.ask(&command.into())
    }
}

#[test]
fn the_same_command_twice_is_done_once_and_answered_alike() {
    let mut scene = scene();
    let room = scene.room;
    let first = scene.send(2, room, "once");
    assert!(matches!(first, ServerMessage::Ack(_)), "{first:?}");
    assert_eq!(scene.send(2, room, "once"), first);
    // Another connection of the same device, too.
    let (session, caught) = scene.ann.enter(&scene.server, Door::Native);
    assert_eq!(caught.welcome.last_counter, Counter(2));
    scene.session = session;
    assert_eq!(scene.send(2, room, "once"), first);
    let (messages, _) = whole_history(&mut scene.session, room);
    assert_eq!(messages.len(), 1);
}

#[test]
fn a_gap_a_conflict_and_a_number_below_the_window_change_nothing() {
    let mut scene = scene();
    let room = scene.room;
    let ServerMessage::Error(Error { reason: Reason::Gap, expected, .. }) =
        scene.send(9, room, "too early")
    else {
        panic!("a gap must be an error")
    };
    assert_eq!(expected, Some(Counter(2)));
    assert!(matches!(scene.send(2, room, "right"), ServerMessage::Ack(_)));
    let conflict = scene.send(2, room, "other content");
    assert!(
        matches!(conflict, ServerMessage::Error(Error { reason: Reason::Conflict, .. })),
        "{conflict:?}"
    );
    for counter in 3..=70 {
        assert!(matches!(scene.send(counter, room, "more"), ServerMessage::Ack(_)));
    }
    let old = scene.send(2, room, "right");
    assert!(matches!(old, ServerMessage::AlreadyApplied(_)), "{old:?}");
    let (messages, _) = whole_history(&mut scene.session, room);
    assert_eq!(messages.len(), 69);
}

#[test]
fn a_permanent_refusal_uses_the_number_and_names_the_field() {
    let mut scene = scene();
    let room = scene.room;
    let long = "x".repeat(wire::limits::TEXT_BYTES_MAX + 1);
    let cases = [
        (RoomId(999), "hello", Reason::NoSuchRoom, "room"),
        (room, "", Reason::Empty, "text"),
        (room, long.as_str(), Reason::OverLimit, "text"),
    ];
    for (counter, (room, text, reason, field)) in (2..).zip(cases) {
        let answer = scene.send(counter, room, text);
        let ServerMessage::Refused(Refused { reason: given, field: at, text: why, .. }) = &answer
        else {
            panic!("{answer:?}")
        };
        assert_eq!((*given, at.as_str()), (reason, field));
        assert!(!why.is_empty());
        assert_eq!(scene.send(counter, room, text), answer, "the refusal is remembered");
    }
    let ack = expect_ack(
        &mut scene.session,
        &SendText { counter: Counter(5), room, text: "fine".into() }.into(),
    );
    assert_eq!(ack.seq, Seq(1));
}

#[test]
fn a_room_of_others_looks_like_no_room() {
    let scene = scene();
    let mut eve = scene.ann.add(&scene.server, "eve");
    let (mut session, caught) = eve.enter(&scene.server, Door::Binary);
    assert!(caught.rooms.is_empty());
    let spy = SendText { counter: Counter(1), room: scene.room, text: "let me in".into() };
    let unknown = SendText { counter: Counter(2), room: RoomId(4_000), text: "x".into() };
    let answers = [session.ask(&spy.into()), session.ask(&unknown.into())];
    for answer in answers {
        let ServerMessage::Refused(refused) = answer else { panic!("{answer:?}") };
        assert_eq!(refused.reason, Reason::NoSuchRoom);
    }
    let page = wire::client::ReadHistory { room: scene.room, before: None, limit: 10 };
    let answer = session.ask(&page.into());
    assert!(
        matches!(&answer, ServerMessage::Error(error) if error.reason == Reason::NoSuchRoom),
        "{answer:?}"
    );
}
