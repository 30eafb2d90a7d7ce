//! Nothing leaves before its record is durable; what was not durable is not missed.

use wire::ServerMessage;
use wire::ids::{DeviceId, Offset, RoomId, UserId};

use super::copy::Copy;
use super::harness::{Bench, direct, text};
use crate::{Config, Input};

fn two_in_a_room() -> (Bench, crate::SessionId, crate::SessionId) {
    let mut bench = Bench::with_users(2);
    let one = bench.connect(DeviceId(1), Offset(0));
    let two = bench.connect(DeviceId(2), Offset(0));
    bench.frame(one, direct(1, 2));
    bench.take(one);
    bench.take(two);
    bench.sync = false;
    (bench, one, two)
}

#[test]
fn acks_and_deliveries_wait_for_the_card_and_keep_their_order() {
    let (mut bench, one, two) = two_in_a_room();
    bench.frame(one, text(2, 1, "first"));
    bench.frame(one, text(3, 1, "second"));
    bench.frame(one, text(2, 1, "first"));
    assert_eq!((bench.take(one), bench.take(two)), (vec![], vec![]));
    let head = bench.chat.state().head();
    bench.input(Input::Durable { up_to: Offset(head.0 - 1) });
    let names = |messages: Vec<ServerMessage>| -> Vec<&str> {
        messages.iter().map(ServerMessage::name).collect()
    };
    assert_eq!(names(bench.take(one)), ["message", "ack", "caught_up"]);
    assert_eq!(names(bench.take(two)), ["message", "caught_up"]);
    bench.input(Input::Durable { up_to: head });
    assert_eq!(names(bench.take(one)), ["message", "ack", "ack", "caught_up"]);
    assert_eq!(names(bench.take(two)), ["message", "caught_up"]);
}

#[test]
fn snapshots_errors_and_history_that_reflect_an_unsynced_record_wait_too() {
    let (mut bench, one, two) = two_in_a_room();
    bench.frame(one, text(2, 1, "unsynced"));
    bench.frame(two, text(5, 1, "skips"));
    bench.frame(two, wire::client::ReadHistory { room: RoomId(1), before: None, limit: 5 });
    let late = bench.connect(DeviceId(2), Offset(0));
    let seen: Vec<&str> = bench.take(late).iter().map(ServerMessage::name).collect();
    assert_eq!(seen, ["greeting"]);
    assert_eq!(bench.take(two), []);
    bench.input(Input::Durable { up_to: bench.chat.state().head() });
    assert_eq!(bench.take(two).len(), 4);
    let mut copy = Copy { me: UserId(2), ..Copy::default() };
    bench.update(late, &mut copy);
    assert_eq!(copy.messages.len(), 1);
}

#[test]
fn a_cut_takes_back_what_nobody_saw() {
    let (mut bench, one, _) = two_in_a_room();
    bench.frame(one, text(2, 1, "lost"));
    bench.restart();
    bench.sync = true;
    let again = bench.connect(DeviceId(1), Offset(0));
    let welcome = bench.take(again);
    let last = welcome.iter().find_map(|message| match message {
        ServerMessage::Welcome(welcome) => Some(welcome.last_counter.0),
        _ => None,
    });
    assert_eq!(last, Some(1));
    let ack = bench.ask(again, text(2, 1, "lost"));
    assert!(matches!(ack, ServerMessage::Ack(ack) if ack.seq.0 == 1));
}

#[test]
fn a_checkpoint_waits_for_the_card_and_replay_completes_it() {
    let mut config = Config::default();
    config.shares.checkpoint_records = 10;
    let mut bench = Bench::with(config);
    bench.add_users(3);
    let session = bench.connect(DeviceId(1), Offset(0));
    bench.frame(session, direct(1, 2));
    for counter in 2..40 {
        bench.frame(session, text(counter, 1, "x"));
    }
    assert!(bench.applied > Offset(30));
    let before = bench.chat.state().clone();
    bench.restart();
    assert_eq!(*bench.chat.state(), before);
    bench.sync = false;
    let session = bench.connect(DeviceId(1), Offset(0));
    let applied = bench.applied;
    for counter in 40..60 {
        bench.frame(session, text(counter, 1, "x"));
    }
    assert_eq!(bench.applied, applied, "nothing is durable, so nothing is checkpointed");
}

#[test]
fn a_checkpoint_that_failed_goes_into_the_next_one() {
    let mut bench = Bench::with_users(2);
    let session = bench.connect(DeviceId(1), Offset(0));
    bench.frame(session, direct(1, 2));
    bench.chat.handle(bench.now, Input::Tick);
    bench.now.0 += crate::limits::CHECKPOINT_MS;
    bench.chat.handle(bench.now, Input::Tick);
    let Some(crate::Output::Checkpoint { applied, changes }) = bench.chat.poll_output() else {
        panic!("a checkpoint by time");
    };
    bench.input(Input::CheckpointFailed { applied });
    assert!(bench.store.is_empty());
    bench.tick(crate::limits::CHECKPOINT_RETRY_MS);
    assert_eq!(bench.store, changes);
}
