//! Large rooms: who joins is told in lists, an announcement costs as much as it has readers.

use wire::ServerMessage;
use wire::client::History;
use wire::ids::{DeviceId, Offset, RoomId};

use super::harness::{Bench, add, group, remove, text};
use crate::limits::{CROWD_MEMBERS, CROWD_WAIT_MS, CURSOR_WAIT_MS};
use crate::{Entry, SessionId};

/// More than what is told one by one.
const CROWD: u32 = CROWD_MEMBERS as u32 + 6;

/// Users 1 to `members` in room 1, and three more who are not; all connected, nothing to take.
fn crowd(members: u32) -> (Bench, Vec<SessionId>) {
    let mut bench = Bench::with_users(members + 3);
    let one = bench.connect(DeviceId(1), Offset(0));
    let first: Vec<u32> = (2..=members).take(999).collect();
    bench.frame(one, group(1, &first, History::All));
    for user in 1_001..=members {
        bench.frame(one, add(u64::from(user) - 999, 1, user));
    }
    bench.tick(CROWD_WAIT_MS);
    let (mut sessions, head) = (vec![one], bench.chat.state().head());
    sessions.extend((2..=members + 3).map(|user| bench.connect(DeviceId(user), head)));
    sessions.iter().for_each(|session| drop(bench.take(*session)));
    (bench, sessions)
}

fn lists(events: &[ServerMessage]) -> Vec<Vec<(u32, bool)>> {
    let lists = events.iter().filter_map(|event| match event {
        ServerMessage::MembersChanged(changed) => Some(&changed.members),
        _ => None,
    });
    lists.map(|list| list.iter().map(|moved| (moved.user.0, moved.joined)).collect()).collect()
}

fn cursors(events: &[ServerMessage]) -> Vec<Offset> {
    let cursors = events.iter().filter_map(|event| match event {
        ServerMessage::CaughtUp(caught_up) => Some(caught_up.cursor),
        _ => None,
    });
    cursors.collect()
}

#[test]
fn joins_and_leaves_in_a_large_room_come_as_one_list_in_order() {
    let (mut bench, sessions) = crowd(CROWD);
    bench.frame(sessions[0], add(2, 1, CROWD + 1));
    bench.frame(sessions[0], remove(3, 1, 5));
    bench.frame(sessions[0], add(4, 1, CROWD + 2));
    bench.frame(sessions[0], remove(5, 1, CROWD + 1));
    assert_eq!(bench.take(sessions[1]), [], "nothing before the time");
    bench.tick(CROWD_WAIT_MS);
    let told = bench.take(sessions[1]);
    let expected = vec![(5, false), (CROWD + 2, true), (CROWD + 1, false)];
    assert_eq!(lists(&told), [expected]);
    assert_eq!(cursors(&told), [bench.chat.state().head()]);
    let newcomer: Vec<_> = bench.take(sessions[CROWD as usize + 1]);
    assert!(matches!(newcomer.first(), Some(ServerMessage::Room(_))), "at once");
}

#[test]
fn no_cursor_goes_beyond_a_change_that_waits_and_none_waits_for_ever() {
    let (mut bench, sessions) = crowd(CROWD);
    bench.frame(sessions[0], text(2, 1, "before"));
    let before = bench.chat.state().head();
    bench.frame(sessions[0], add(3, 1, CROWD + 1));
    bench.frame(sessions[0], text(4, 1, "while it waits"));
    assert_eq!(cursors(&bench.take(sessions[2])), [before], "of the message before");
    for round in 0..5 {
        // Changes come all the time; the cursor moves with each list all the same.
        let known = bench.chat.state().head();
        bench.tick(CROWD_WAIT_MS);
        match round % 2 {
            0 => bench.frame(sessions[0], remove(5 + round, 1, CROWD + 1)),
            _ => bench.frame(sessions[0], add(5 + round, 1, CROWD + 1)),
        }
        let told = cursors(&bench.take(sessions[2]));
        let last = told.last().copied();
        assert!(last.is_some_and(|cursor| cursor >= known), "{told:?} after {known}");
    }
}

#[test]
fn a_reader_who_comes_back_with_the_last_cursor_misses_no_member() {
    let (mut bench, sessions) = crowd(CROWD);
    let cursor = bench.chat.state().head();
    bench.frame(sessions[0], add(2, 1, CROWD + 1));
    bench.frame(sessions[0], text(3, 1, "hello"));
    assert_eq!(cursors(&bench.take(sessions[2])), []);
    let again = bench.connect(DeviceId(3), cursor);
    let events = bench.take(again);
    let joined = |event: &ServerMessage| match event {
        ServerMessage::MemberChange(change) => change.user.0 == CROWD + 1,
        _ => false,
    };
    assert!(events.iter().any(joined), "{events:?}");
}

/// The record in the log, its header's share included.
fn log_bytes(entries: &[Entry]) -> usize {
    const SECTOR: usize = 512;
    let bytes = entries.iter().map(|entry| {
        let mut body = Vec::new();
        entry.body.write_postcard(&mut body);
        (96 + 64 + body.len()).next_multiple_of(SECTOR)
    });
    bytes.sum()
}

#[test]
fn an_announcement_to_4000_readers_is_linear_in_frames_and_small_in_the_log() {
    let readers = 4_000;
    let (mut bench, sessions) = crowd(readers);
    let logged = bench.log.len();
    bench.frame(sessions[0], text(u64::from(readers) - 998, 1, "to everybody"));
    for session in &sessions[1..readers as usize] {
        bench.read(*session, 1, 1);
    }
    for _ in 0..4 {
        bench.tick(CURSOR_WAIT_MS);
    }
    let frames: Vec<Vec<ServerMessage>> =
        sessions.iter().map(|session| bench.take(*session)).collect();
    let messages = frames.iter().flatten().filter(|event| event.name() == "message").count();
    assert_eq!(messages, readers as usize);
    let most = frames.iter().map(Vec::len).max().unwrap();
    assert!(most <= 6, "a reader got {most} frames");
    let bytes = log_bytes(&bench.log[logged..]);
    assert!(bytes < 64_000, "{bytes} bytes of log");
    let room = bench.chat.state().room(RoomId(1)).unwrap();
    assert!(room.present_members().all(|member| member.read.0 == 1), "all have read it");
}
