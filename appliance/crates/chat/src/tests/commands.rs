//! Numbers, windows, refusals.

use wire::client::History;
use wire::ids::{Counter, DeviceId, Offset, RoomId, Seq, UserId};
use wire::server::{Ack, Reason};
use wire::{ClientMessage, ServerMessage};

use super::harness::{Bench, add, direct, group, remove, text};
use crate::Input;

/// An answer without what every answer has.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Ack { room: u32, seq: u64 },
    Refused(Reason, &'static str),
    Error(Reason),
    Gap(u64),
    AlreadyApplied,
    Other,
}

fn answer(message: &ServerMessage) -> Answer {
    match message {
        ServerMessage::Ack(ack) => Answer::Ack { room: ack.room.0, seq: ack.seq.0 },
        ServerMessage::Refused(refused) => {
            Answer::Refused(refused.reason, refused.field.clone().leak())
        }
        ServerMessage::Error(error) => match error.expected {
            Some(expected) => Answer::Gap(expected.0),
            None => Answer::Error(error.reason),
        },
        ServerMessage::AlreadyApplied(_) => Answer::AlreadyApplied,
        _ => Answer::Other,
    }
}

#[test]
fn each_command_gets_its_answer_and_the_same_one_again() {
    use Answer::{Ack, Refused};
    let long = "x".repeat(16 * 1024 + 1);
    let wide = "é".repeat(65);
    let named = |counter, name: &str| {
        let mut room = group(counter, &[], History::All);
        name.clone_into(&mut room.name);
        room
    };
    // User 1 (the owner) is in rooms 1 and 2; room 3 belongs to users 2 and 3.
    let cases: Vec<(ClientMessage, Answer)> = vec![
        (text(1, 1, "hello").into(), Ack { room: 1, seq: 1 }),
        (text(2, 1, "").into(), Refused(Reason::Empty, "text")),
        (text(3, 1, " \n").into(), Refused(Reason::Empty, "text")),
        (text(4, 1, &long).into(), Refused(Reason::OverLimit, "text")),
        (text(5, 1, &long[1..]).into(), Ack { room: 1, seq: 2 }),
        (text(6, 3, "hello").into(), Refused(Reason::NoSuchRoom, "room")),
        (text(7, 99, "hello").into(), Refused(Reason::NoSuchRoom, "room")),
        (text(8, u32::MAX, "hello").into(), Refused(Reason::NoSuchRoom, "room")),
        (direct(9, 2).into(), Ack { room: 1, seq: 0 }),
        (direct(10, 3).into(), Ack { room: 4, seq: 0 }),
        (direct(11, 1).into(), Ack { room: 5, seq: 0 }),
        (direct(12, 1).into(), Ack { room: 5, seq: 0 }),
        (direct(13, 9).into(), Refused(Reason::NoSuchUser, "user")),
        (direct(14, u32::MAX).into(), Refused(Reason::NoSuchUser, "user")),
        (named(15, "").into(), Refused(Reason::Empty, "name")),
        (named(16, &wide).into(), Refused(Reason::OverLimit, "name")),
        (named(17, "a\u{7}b").into(), Refused(Reason::NotAllowed, "name")),
        (group(18, &[2, 9], History::All).into(), Refused(Reason::NoSuchUser, "members")),
        (group(19, &[2, 2, 1], History::All).into(), Ack { room: 6, seq: 0 }),
        (add(20, 1, 3).into(), Refused(Reason::NotAllowed, "room")),
        (add(21, 2, 3).into(), Ack { room: 2, seq: 0 }),
        (add(22, 2, 3).into(), Ack { room: 2, seq: 0 }),
        (add(23, 2, 9).into(), Refused(Reason::NoSuchUser, "user")),
        (add(24, 3, 1).into(), Refused(Reason::NoSuchRoom, "room")),
        (remove(25, 2, 3).into(), Ack { room: 2, seq: 0 }),
        (remove(26, 2, 3).into(), Ack { room: 2, seq: 0 }),
        (remove(27, 3, 3).into(), Refused(Reason::NoSuchRoom, "room")),
        (remove(28, 1, 2).into(), Refused(Reason::NotAllowed, "room")),
        (remove(29, 2, 1).into(), Ack { room: 2, seq: 0 }),
        (text(30, 2, "gone").into(), Refused(Reason::NoSuchRoom, "room")),
    ];
    let mut bench = Bench::with_users(3);
    let other = bench.connect(DeviceId(2), Offset(0));
    bench.frame(other, direct(1, 1));
    bench.frame(other, group(2, &[1], History::All));
    bench.frame(other, group(3, &[3], History::All));
    let session = bench.connect(DeviceId(1), Offset(0));
    for (command, expected) in cases {
        let first = bench.ask(session, command.clone());
        assert_eq!(answer(&first), expected, "{command:?}");
        let records = bench.log.len();
        assert_eq!(bench.ask(session, command), first, "the same answer again");
        assert_eq!(bench.log.len(), records, "and no record");
    }
}

#[test]
fn members_other_than_the_maker_may_add_and_leave_but_not_remove() {
    let mut bench = Bench::with_users(4);
    let maker = bench.connect(DeviceId(2), Offset(0));
    let member = bench.connect(DeviceId(3), Offset(0));
    bench.frame(maker, group(1, &[3], History::All));
    let cases: Vec<(ClientMessage, Answer)> = vec![
        (add(1, 1, 4).into(), Answer::Ack { room: 1, seq: 0 }),
        (remove(2, 1, 4).into(), Answer::Refused(Reason::NotAllowed, "user")),
        (remove(3, 1, 3).into(), Answer::Ack { room: 1, seq: 0 }),
        (add(4, 1, 3).into(), Answer::Refused(Reason::NoSuchRoom, "room")),
    ];
    for (command, expected) in cases {
        assert_eq!(answer(&bench.ask(member, command)), expected);
    }
    assert_eq!(answer(&bench.ask(maker, remove(2, 1, 4))), Answer::Ack { room: 1, seq: 0 });
}

#[test]
fn numbers_that_skip_clash_or_are_long_gone_change_nothing() {
    let mut bench = Bench::with_users(1);
    let session = bench.connect(DeviceId(1), Offset(0));
    bench.frame(session, direct(1, 1));
    for counter in 2..=70 {
        bench.frame(session, text(counter, 1, &format!("message {counter}")));
    }
    let before = (bench.chat.state().clone(), bench.log.len());
    let cases = [
        (text(72, 1, "skips"), Answer::Gap(71)),
        (text(0, 1, "zero"), Answer::AlreadyApplied),
        (text(7, 1, "other"), Answer::Error(Reason::Conflict)),
        (text(7, 1, "message 7"), Answer::Ack { room: 1, seq: 6 }),
        (text(6, 1, "message 6"), Answer::AlreadyApplied),
        (text(u64::MAX >> 11, 1, "far"), Answer::Gap(71)),
    ];
    for (command, expected) in cases {
        assert_eq!(answer(&bench.ask(session, command)), expected);
    }
    assert_eq!((bench.chat.state().clone(), bench.log.len()), before);
}

#[test]
fn both_sessions_of_a_device_see_results_and_a_second_one_continues_the_numbers() {
    let mut bench = Bench::with_users(1);
    let one = bench.connect(DeviceId(1), Offset(0));
    let two = bench.connect(DeviceId(1), Offset(0));
    bench.frame(one, direct(1, 1));
    bench.take(one);
    bench.take(two);
    bench.frame(one, text(2, 1, "from one"));
    let acks = |messages: Vec<ServerMessage>| -> Vec<Counter> {
        let ack = |message| match message {
            ServerMessage::Ack(Ack { counter, .. }) => Some(counter),
            _ => None,
        };
        messages.into_iter().filter_map(ack).collect()
    };
    assert_eq!(acks(bench.take(one)), [Counter(2)]);
    assert_eq!(acks(bench.take(two)), [Counter(2)]);
    assert_eq!(answer(&bench.ask(two, text(3, 1, "x"))), Answer::Ack { room: 1, seq: 2 });
}

#[test]
fn a_device_with_64_commands_under_way_has_to_wait() {
    let mut bench = Bench::with_users(1);
    let session = bench.connect(DeviceId(1), Offset(0));
    bench.frame(session, direct(1, 1));
    bench.take(session);
    bench.sync = false;
    for counter in 2..=65 {
        bench.frame(session, text(counter, 1, "x"));
    }
    bench.frame(session, text(66, 1, "one too many"));
    assert_eq!(bench.take(session), []);
    let head = bench.chat.state().head();
    bench.input(Input::Durable { up_to: head });
    let answers: Vec<Answer> = bench.take(session).iter().map(answer).collect();
    assert_eq!(answers.iter().filter(|a| matches!(a, Answer::Ack { .. })).count(), 64);
    assert!(answers.contains(&Answer::Error(Reason::Busy)));
    bench.sync = true;
    assert_eq!(answer(&bench.ask(session, text(66, 1, "again"))), Answer::Ack { room: 1, seq: 65 });
}

#[test]
fn a_full_card_uses_up_no_number_and_lets_logins_and_reads_pass() {
    let mut bench = Bench::with_users(2);
    let session = bench.connect(DeviceId(1), Offset(0));
    bench.frame(session, direct(1, 2));
    bench.input(Input::LogRoom { bytes: 512 * 1024 });
    let refused = bench.ask(session, text(2, 1, "no room"));
    assert_eq!(answer(&refused), Answer::Error(Reason::CardFull));
    bench.add_device(UserId(2));
    let page = wire::client::ReadHistory { room: RoomId(1), before: None, limit: 10 };
    assert!(matches!(bench.ask(session, page), ServerMessage::HistoryPage(_)));
    bench.input(Input::LogRoom { bytes: 16 * 1024 * 1024 });
    let accepted = bench.ask(session, text(2, 1, "room again"));
    assert_eq!(answer(&accepted), Answer::Ack { room: 1, seq: 1 });
}

#[test]
fn results_survive_a_restart() {
    let mut bench = Bench::with_users(2);
    let session = bench.connect(DeviceId(1), Offset(0));
    bench.frame(session, direct(1, 2));
    let sent = bench.ask(session, text(2, 1, "before"));
    let refused = bench.ask(session, text(3, 9, "nowhere"));
    bench.restart();
    let session = bench.connect(DeviceId(1), Offset(0));
    assert_eq!(bench.ask(session, text(2, 1, "before")), sent);
    assert_eq!(bench.ask(session, text(3, 9, "nowhere")), refused);
    assert_eq!(bench.chat.state().room_head(RoomId(1)), Seq(1));
}
