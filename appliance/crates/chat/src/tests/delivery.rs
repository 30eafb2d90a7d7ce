//! Who is told what, when: live, behind, catching up.

use wire::ServerMessage;
use wire::client::{History, SyncFrom};
use wire::ids::{DeviceId, Offset, RoomId, Seq, UserId};
use wire::server::{Reason, SyncMode};

use super::copy::Copy;
use super::harness::{Bench, EPOCH, add, direct, group, hello, remove, text};
use crate::limits::{HELLO_MS, SESSIONS_PER_DEVICE_MAX};
use crate::{ApiCall, Config, Input, SessionId};

fn names(messages: &[ServerMessage]) -> Vec<&'static str> {
    messages.iter().map(ServerMessage::name).collect()
}

fn mode(messages: &[ServerMessage]) -> Option<SyncMode> {
    messages.iter().find_map(|message| match message {
        ServerMessage::Welcome(welcome) => Some(welcome.sync),
        _ => None,
    })
}

fn copy_of(user: u32) -> Copy {
    Copy { me: UserId(user), ..Copy::default() }
}

#[test]
fn a_message_goes_once_to_every_session_of_every_member_and_to_nobody_else() {
    let mut bench = Bench::with_users(4);
    let second = bench.add_device(UserId(1));
    let devices = [DeviceId(1), second, DeviceId(2), DeviceId(3), DeviceId(4)];
    let sessions = devices.map(|device| bench.connect(device, Offset(0)));
    bench.frame(sessions[0], group(1, &[2, 3], History::All));
    sessions.iter().for_each(|session| drop(bench.take(*session)));
    bench.frame(sessions[0], text(2, 1, "hello"));
    let got: Vec<usize> = sessions
        .iter()
        .map(|session| names(&bench.take(*session)).iter().filter(|n| **n == "message").count())
        .collect();
    assert_eq!(got, [1, 1, 1, 1, 0]);
}

#[test]
fn the_cursor_decides_between_resumed_catch_up_and_reset() {
    let mut bench = Bench::with_users(2);
    let one = bench.connect(DeviceId(1), Offset(0));
    bench.frame(one, direct(1, 2));
    bench.frame(one, text(2, 1, "x"));
    let head = bench.chat.state().head();
    let cases = [
        (Some(EPOCH), head, SyncMode::Resumed),
        (Some(EPOCH), Offset(head.0 - 1), SyncMode::CatchUp),
        (Some(EPOCH), head.next(), SyncMode::Reset),
        (Some(wire::ids::Epoch([8; 16])), head, SyncMode::Reset),
        (None, head, SyncMode::Reset),
        (Some(EPOCH), Offset(0), SyncMode::Reset),
    ];
    for (epoch, cursor, expected) in cases {
        let session = bench.open();
        bench.frame(session, wire::client::Hello { epoch, ..hello(DeviceId(2), cursor) });
        let messages = bench.take(session);
        assert_eq!(mode(&messages), Some(expected), "{epoch:?} {cursor}");
        assert_eq!(names(&messages).last(), Some(&"caught_up"));
        bench.input(Input::Disconnected { session });
    }
}

#[test]
fn a_first_sync_brings_users_then_the_newest_rooms_first() {
    let mut bench = Bench::with_users(3);
    let one = bench.connect(DeviceId(1), Offset(0));
    let rooms = 25;
    for room in 1..=rooms {
        bench.frame(one, group(room, &[2], History::All));
    }
    bench.frame(one, text(rooms + 1, 3, "the newest"));
    let fresh = bench.connect(DeviceId(2), Offset(0));
    let messages = bench.take(fresh);
    let order: Vec<u32> = messages
        .iter()
        .filter_map(|message| match message {
            ServerMessage::Room(room) => Some(room.room.0),
            _ => None,
        })
        .collect();
    assert_eq!(names(&messages)[..5], ["greeting", "welcome", "user", "user", "user"]);
    assert_eq!(order[..3], [3, 25, 24]);
    assert_eq!(order.len() as u64, rooms);
    let first = messages.iter().find_map(|message| match message {
        ServerMessage::Room(room) => Some((room.unread, room.last.clone())),
        _ => None,
    });
    assert_eq!(first.map(|(unread, last)| (unread, last.unwrap().text)), {
        Some((1, "the newest".to_owned()))
    });
}

#[test]
fn catching_up_brings_each_missed_thing_once_in_its_final_state() {
    let mut bench = Bench::with_users(4);
    let one = bench.connect(DeviceId(1), Offset(0));
    bench.frame(one, direct(1, 2));
    bench.frame(one, group(2, &[2], History::All));
    bench.frame(one, group(3, &[2], History::All));
    bench.frame(one, text(4, 1, "seen"));
    let away = bench.connect(DeviceId(2), Offset(0));
    let mut copy = copy_of(2);
    bench.update(away, &mut copy);
    bench.input(Input::Disconnected { session: away });
    bench.frame(one, text(5, 1, "missed"));
    bench.frame(one, text(6, 2, "missed too"));
    bench.frame(one, add(7, 2, 3));
    bench.frame(one, remove(8, 3, 2));
    bench.frame(one, group(9, &[2], History::All));
    bench.frame(one, text(10, 4, "new room"));
    let back = bench.connect(DeviceId(2), copy.cursor);
    let messages = bench.take(back);
    assert_eq!(mode(&messages), Some(SyncMode::CatchUp));
    let mut kinds = names(&messages);
    kinds.sort_unstable();
    assert_eq!(
        kinds,
        [
            "caught_up",
            "greeting",
            "member_change",
            "message",
            "message",
            "read_mark",
            "read_mark",
            "read_mark",
            "room",
            "room_gone",
            "welcome"
        ]
    );
    messages.iter().for_each(|message| copy.apply(message));
    assert_eq!(copy.repeats, []);
    let mut fresh = copy_of(2);
    let session = bench.connect(DeviceId(2), Offset(0));
    bench.update(session, &mut fresh);
    assert_eq!(copy.normal_rooms(), fresh.normal_rooms());
    assert_eq!(copy.cursor, fresh.cursor);
}

#[test]
fn whoever_left_and_came_back_while_away_drops_the_old_copy_first() {
    let mut bench = Bench::with_users(2);
    let one = bench.connect(DeviceId(1), Offset(0));
    bench.frame(one, group(1, &[2], History::SinceJoin));
    bench.frame(one, text(2, 1, "first stay"));
    let cursor = bench.chat.state().head();
    bench.frame(one, remove(3, 1, 2));
    bench.frame(one, text(4, 1, "not for two"));
    bench.frame(one, add(5, 1, 2));
    let back = bench.connect(DeviceId(2), cursor);
    let messages = bench.take(back);
    assert_eq!(names(&messages)[2..], ["room_gone", "room", "caught_up"]);
    let ServerMessage::Room(room) = &messages[3] else { panic!("a room") };
    assert_eq!((room.first, room.head, room.unread), (Seq(1), Seq(2), 0));
    assert_eq!(room.last.as_ref().map(|last| last.text.as_str()), Some("first stay"));
}

#[test]
fn a_session_that_catches_up_gets_no_live_events_but_misses_nothing() {
    let mut bench = Bench::with_users(2);
    let one = bench.connect(DeviceId(1), Offset(0));
    bench.frame(one, direct(1, 2));
    let cursor = bench.chat.state().head();
    let big = "x".repeat(10_000);
    (2..22).for_each(|counter| bench.frame(one, text(counter, 1, &big)));
    bench.flush = false;
    let slow = bench.connect(DeviceId(2), cursor);
    let mut copy = copy_of(2);
    copy.apply(&room_stub());
    let page = bench.take(slow);
    assert_eq!(names(&page).iter().filter(|name| **name == "message").count(), 4);
    page.iter().for_each(|message| copy.apply(message));
    bench.frame(one, text(22, 1, "while catching up"));
    assert_eq!(bench.take(slow), []);
    for _ in 0..20 {
        bench.input(Input::Flushed { session: slow });
        bench.update(slow, &mut copy);
    }
    assert_eq!((copy.messages.len(), copy.repeats.len()), (21, 0));
    assert_eq!(copy.cursor, bench.chat.state().head());
    bench.frame(one, text(23, 1, "live"));
    assert_eq!(names(&bench.take(slow)), ["message", "caught_up"]);
}

fn room_stub() -> ServerMessage {
    wire::server::Room {
        offset: Offset(0),
        room: RoomId(1),
        room_kind: wire::server::RoomKind::Direct,
        name: String::new(),
        history: History::All,
        members: Vec::new(),
        first: Seq(1),
        head: Seq(0),
        read: Seq(0),
        unread: 0,
        last: None,
    }
    .into()
}

#[test]
fn a_session_that_overflowed_gets_notes_only_until_it_syncs() {
    let mut bench = Bench::with_users(2);
    let one = bench.connect(DeviceId(1), Offset(0));
    let two = bench.connect(DeviceId(2), Offset(0));
    bench.frame(one, direct(1, 2));
    let mut copy = copy_of(2);
    bench.update(two, &mut copy);
    bench.flush = false;
    bench.input(Input::Overflowed { session: two });
    for counter in 2..300 {
        bench.frame(one, text(counter, 1, "x"));
    }
    assert_eq!(bench.take(two), []);
    bench.tick(100);
    assert_eq!(names(&bench.take(two)), ["room_at", "room_at"]);
    bench.frame(one, text(300, 1, "x"));
    bench.tick(100);
    assert_eq!(bench.take(two), [], "no second note before the first was taken");
    bench.input(Input::Flushed { session: two });
    bench.tick(100);
    assert_eq!(names(&bench.take(two)), ["room_at"]);
    bench.input(Input::Flushed { session: two });
    bench.flush = true;
    bench.frame(two, SyncFrom { cursor: copy.cursor });
    bench.update(two, &mut copy);
    assert_eq!((copy.messages.len(), copy.repeats.len()), (299, 0));
    bench.frame(one, text(301, 1, "live"));
    assert_eq!(names(&bench.take(two)), ["message", "caught_up"]);
}

#[test]
fn read_marks_go_to_all_members_of_small_rooms_and_ride_with_other_records() {
    let mut bench = Bench::with_users(3);
    let second = bench.add_device(UserId(2));
    let one = bench.connect(DeviceId(1), Offset(0));
    let two = bench.connect(DeviceId(2), Offset(0));
    let other = bench.connect(second, Offset(0));
    bench.frame(one, direct(1, 2));
    bench.frame(one, text(2, 1, "x"));
    for session in [one, two, other] {
        bench.take(session);
    }
    let records = bench.log.len();
    bench.read(two, 1, 1);
    bench.read(two, 1, 1);
    bench.tick(100);
    assert_eq!(bench.log.len(), records, "nothing to ride with yet");
    bench.frame(one, text(3, 1, "y"));
    assert_eq!(bench.log.len(), records + 2);
    for session in [one, two, other] {
        assert!(names(&bench.take(session)).contains(&"read_mark"));
    }
    bench.read(two, 1, 2);
    bench.tick(1_000);
    assert_eq!(bench.log.len(), records + 3, "after a second they go alone");
    let beyond = bench.ask(two, wire::client::Read { room: RoomId(1), seq: Seq(9) });
    assert!(matches!(beyond, ServerMessage::Error(error) if error.reason == Reason::OverLimit));
}

#[test]
fn rooms_above_64_members_show_no_read_marks_and_show_them_again_when_small() {
    let mut bench = Bench::with_users(66);
    let one = bench.connect(DeviceId(1), Offset(0));
    let two = bench.connect(DeviceId(2), Offset(0));
    let members: Vec<u32> = (2..=65).collect();
    bench.frame(one, group(1, &members, History::All));
    bench.frame(one, text(2, 1, "x"));
    let mut copy = copy_of(1);
    bench.update(one, &mut copy);
    bench.read(two, 1, 1);
    bench.tick(1_000);
    assert!(!names(&bench.take(one)).contains(&"read_mark"));
    assert!(names(&bench.take(two)).contains(&"read_mark"));
    bench.frame(one, remove(3, 1, 65));
    bench.update(one, &mut copy);
    assert_eq!(copy.rooms[&RoomId(1)].members[&UserId(2)], Seq(1));
}

#[test]
fn a_removed_device_a_wrong_token_and_a_silent_stranger_are_closed_with_a_reason() {
    let mut bench = Bench::with_users(2);
    let one = bench.connect(DeviceId(1), Offset(0));
    let wrong = bench.connect(DeviceId(77), Offset(0));
    let silent = bench.open();
    let early = bench.ask(silent, text(1, 1, "x"));
    assert!(matches!(early, ServerMessage::Error(error) if error.reason == Reason::HelloFirst));
    bench.call(ApiCall::RemoveDevice { device: DeviceId(1) }).unwrap();
    bench.tick(HELLO_MS + 1);
    let reason = |session: SessionId| bench.closed.get(&session).map(|closing| closing.reason);
    assert_eq!(reason(one), Some(Reason::BadToken));
    assert_eq!(reason(wrong), Some(Reason::BadToken));
    assert_eq!(reason(silent), Some(Reason::HelloFirst));
    let gone = bench.connect(DeviceId(1), Offset(0));
    assert_eq!(bench.closed[&gone].reason, Reason::BadToken);
}

#[test]
fn connections_are_limited_per_box_and_per_device() {
    let mut config = Config::default();
    config.shares.sessions_max = SESSIONS_PER_DEVICE_MAX + 1;
    let mut bench = Bench::with(config);
    bench.add_users(1);
    let sessions: Vec<SessionId> =
        (0..=SESSIONS_PER_DEVICE_MAX).map(|_| bench.connect(DeviceId(1), Offset(0))).collect();
    assert_eq!(bench.closed.keys().collect::<Vec<_>>(), [&sessions[0]], "the oldest goes");
    bench.open();
    let refused = bench.open();
    assert_eq!(bench.closed[&refused].reason, Reason::Busy);
}

#[test]
fn a_newcomer_whose_room_is_cold_is_told_to_pull() {
    let mut config = Config::default();
    config.shares.hot_bytes_max = 0;
    config.shares.checkpoint_records = 1;
    let mut bench = Bench::with(config);
    bench.add_users(2);
    let one = bench.connect(DeviceId(1), Offset(0));
    let two = bench.connect(DeviceId(2), Offset(0));
    bench.frame(one, group(1, &[], History::All));
    bench.frame(one, text(2, 1, "cold"));
    let mut copy = copy_of(2);
    bench.update(two, &mut copy);
    bench.frame(one, add(3, 1, 2));
    bench.tick(100);
    let note = bench.take(two);
    assert_eq!(names(&note), ["room_at"]);
    bench.frame(two, SyncFrom { cursor: copy.cursor });
    bench.update(two, &mut copy);
    assert_eq!(copy.messages[&(RoomId(1), Seq(1))].text, "cold");
}
