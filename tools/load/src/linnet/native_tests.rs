//! The native session against frames written by hand, split at every byte.

use wire::binary::{read_client, write_server};
use wire::ids::BoxId;
use wire::server::{Ack, CaughtUp, Greeting, Message, Pong, RoomAt, SyncMode, Welcome};

use super::*;
use crate::layout::token;

const EPOCH: Epoch = Epoch([7; 16]);

fn greeting() -> ServerMessage {
    let version = "0".to_owned();
    Greeting { box_id: BoxId([1; 16]), epoch: EPOCH, version, time_ms: TimeMs(5) }.into()
}

fn welcome() -> ServerMessage {
    Welcome {
        user: UserId(1),
        device: DeviceId(1),
        last_counter: Counter(40),
        sync: SyncMode::Reset,
        head: Offset(90),
    }
    .into()
}

fn message(stamp: Stamp) -> ServerMessage {
    Message {
        offset: Offset(91),
        room: RoomId(3),
        seq: Seq(9),
        author: UserId(2),
        device: DeviceId(2),
        counter: Counter(1),
        time_ms: TimeMs(6),
        text: stamp.text(100),
    }
    .into()
}

fn ack(counter: u64) -> ServerMessage {
    let (offset, room) = (Offset(92), RoomId(3));
    Ack { counter: Counter(counter), offset, room, seq: Seq(10), time_ms: TimeMs(7) }.into()
}

fn caught_up(cursor: u64) -> ServerMessage {
    CaughtUp { cursor: Offset(cursor) }.into()
}

fn bytes(messages: &[ServerMessage]) -> Vec<u8> {
    let mut bytes = Vec::new();
    messages.iter().for_each(|message| write_server(message, 0, &mut bytes));
    bytes
}

fn session() -> Native {
    Native::new(5, token(5), 64, Rc::new(Memory::new(false)))
}

/// Feeds pieces of this size; gives what was answered and what happened.
fn feed(session: &mut Native, bytes: &[u8], piece: usize) -> (Vec<u8>, Vec<Event>) {
    let (mut out, mut events) = (Vec::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        session.receive(piece, &mut out, &mut events).unwrap();
    }
    (out, events)
}

fn only_client(bytes: &[u8]) -> ClientMessage {
    let (frame, used) = read_client(bytes).unwrap().unwrap();
    assert_eq!(used, bytes.len());
    frame.message.unwrap()
}

#[test]
fn the_kinds_read_or_skipped_by_number_are_the_ones_meant() {
    assert_eq!(message(Stamp { sender: 0, seq: 0 }).kind(), MESSAGE);
    let names = ["user", "room", "room_gone", "member_change", "read_mark", "history_page"];
    let all = ServerMessage::KINDS.iter();
    let skipped: Vec<&str> =
        all.filter(|(kind, _)| SKIPPED.contains(kind)).map(|(_, name)| *name).collect();
    assert_eq!(skipped, names);
}

#[test]
fn a_session_signs_in_and_hears_a_message_however_the_input_is_split() {
    let stamp = Stamp { sender: 8, seq: 4 };
    let input = bytes(&[greeting(), welcome(), caught_up(90), message(stamp)]);
    for piece in 1..=input.len() {
        let mut session = session();
        let (out, events) = feed(&mut session, &input, piece);
        assert!(matches!(only_client(&out), ClientMessage::Hello(hello)
            if hello.token == DeviceToken(token(5)) && hello.epoch.is_none()));
        assert_eq!(events, [Event::Ready, Event::Delivered { room: 3, stamp }], "{piece}");
        assert!(session.input.is_empty());
    }
}

#[test]
fn commands_are_numbered_after_the_last_one_and_acks_name_their_stamps() {
    let mut session = session();
    feed(&mut session, &bytes(&[greeting(), welcome(), caught_up(90)]), 1_000);
    let stamps = [0, 1].map(|seq| Stamp { sender: 5, seq });
    let mut out = Vec::new();
    session.publish(3, stamps[0], &mut out);
    assert!(matches!(only_client(&out), ClientMessage::Send(send)
        if send.counter == Counter(41) && send.text == stamps[0].text(64)));
    session.publish(3, stamps[1], &mut out);
    let (_, events) = feed(&mut session, &bytes(&[ack(41), ack(42)]), 7);
    assert_eq!(events, stamps.map(|stamp| Event::Acked { stamp: Some(stamp) }));
    let error = session.receive(&bytes(&[ack(43)]), &mut out, &mut Vec::new()).unwrap_err();
    assert!(error.0.contains("out of turn"), "{error}");
}

#[test]
fn a_session_that_fell_behind_pulls_once_from_its_cursor() {
    let mut session = session();
    feed(&mut session, &bytes(&[greeting(), welcome(), caught_up(90)]), 1_000);
    let note: ServerMessage = RoomAt { room: RoomId(3), head: Seq(20), offset: Offset(99) }.into();
    let (out, _) = feed(&mut session, &bytes(&[note.clone(), note.clone()]), 1_000);
    assert_eq!(only_client(&out), ClientMessage::Sync(SyncFrom { cursor: Offset(90) }));
    let (out, events) = feed(&mut session, &bytes(&[caught_up(99), note]), 1_000);
    assert_eq!(only_client(&out), ClientMessage::Sync(SyncFrom { cursor: Offset(99) }));
    assert_eq!(events, []);
}

#[test]
fn the_next_connection_begins_where_the_last_one_ended() {
    let memory = Rc::new(Memory::new(false));
    let hello = |index: u32| {
        let mut session = Native::new(index, token(index), 64, memory.clone());
        let (out, _) = feed(&mut session, &bytes(&[greeting()]), 1_000);
        let ClientMessage::Hello(hello) = only_client(&out) else { panic!("no hello") };
        (hello.epoch, hello.cursor)
    };
    let mut first = Native::new(0, token(0), 64, memory.clone());
    feed(&mut first, &bytes(&[greeting(), welcome(), caught_up(90), caught_up(95)]), 1_000);
    assert_eq!(hello(1), (Some(EPOCH), Offset(90)));
    drop(first);
    assert_eq!(hello(0), (Some(EPOCH), Offset(95)));
}

#[test]
fn what_the_last_connection_heard_is_not_heard_again() {
    let memory = Rc::new(Memory::new(false));
    let heard = message(Stamp { sender: 1, seq: 1 });
    let mut first = Native::new(0, token(0), 64, memory.clone());
    let (_, events) =
        feed(&mut first, &bytes(&[greeting(), welcome(), caught_up(90), heard.clone()]), 1_000);
    assert_eq!(events.len(), 2);
    drop(first);
    let mut second = Native::new(0, token(0), 64, memory);
    let (_, events) =
        feed(&mut second, &bytes(&[greeting(), welcome(), heard, caught_up(91)]), 1_000);
    assert_eq!(events, [Event::Ready]);
}

#[test]
fn what_came_live_is_not_heard_again_while_catching_up() {
    let mut session = session();
    let heard = message(Stamp { sender: 1, seq: 1 });
    let note: ServerMessage = RoomAt { room: RoomId(3), head: Seq(20), offset: Offset(99) }.into();
    let input = [greeting(), welcome(), caught_up(90), heard.clone(), note, heard, caught_up(99)];
    let (_, events) = feed(&mut session, &bytes(&input), 1_000);
    assert_eq!(events.len(), 2, "{events:?}");
}

#[test]
fn pings_and_read_marks_are_what_they_say() {
    let mut session = session();
    let pong: ServerMessage = Pong { time_ms: TimeMs(1) }.into();
    let heard = message(Stamp { sender: 1, seq: 1 });
    feed(&mut session, &bytes(&[greeting(), welcome(), caught_up(90), heard]), 1_000);
    let mut out = Vec::new();
    assert!(session.ping(&mut out));
    assert_eq!(only_client(&out), ClientMessage::Ping(Ping {}));
    assert_eq!(feed(&mut session, &bytes(&[pong]), 1).1, [Event::Pong]);
    out.clear();
    session.mark_read(4, &mut out);
    assert!(out.is_empty());
    session.mark_read(3, &mut out);
    assert_eq!(only_client(&out), ClientMessage::Read(Read { room: RoomId(3), seq: Seq(9) }));
}

#[test]
fn garbage_breaks_the_session() {
    let mut session = session();
    let error = session.receive(&[0xff; 32], &mut Vec::new(), &mut Vec::new()).unwrap_err();
    assert!(error.0.contains("over the limit"), "{error}");
}
