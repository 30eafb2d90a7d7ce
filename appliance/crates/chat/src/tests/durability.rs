//! Nothing leaves before its record is durable; what was not durable is not missed.

use wire::ServerMessage;
use wire::client::ReadHistory;
use wire::ids::{BoxId, DeviceId, Epoch, Offset, RoomId, TimeMs, UserId};
use wire::server::Reason;

use super::copy::Copy;
use super::harness::{Bench, direct, text};
use crate::{ApiCall, Chat, Config, Input, Output, State, Ticket};

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
    bench.frame(two, ReadHistory { room: RoomId(1), before: None, limit: 5 });
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
fn lost_records_ask_for_a_new_epoch_once() {
    let mut bench = Bench::with_users(2);
    let session = bench.connect(DeviceId(1), Offset(0));
    bench.frame(session, direct(1, 2));
    (2..6).for_each(|counter| bench.frame(session, text(counter, 1, "x")));
    let entries = bench.log.clone();
    let (damaged, kept) = entries.split_last().expect("records");
    let mut chat = Chat::new(State::new(), Config::default());
    kept.iter().for_each(|entry| chat.replay(entry));
    assert!(!chat.needs_new_epoch());
    chat.replay_damaged(damaged.offset);
    assert!(chat.needs_new_epoch());
    let call = ApiCall::BeginEpoch { box_id: BoxId([1; 16]), epoch: Epoch([9; 16]) };
    chat.handle(bench.now, Input::Api { ticket: Ticket(1), call });
    assert!(!chat.needs_new_epoch());
    let Some(Output::Append(begun)) = chat.poll_output() else { panic!("a record") };
    assert_eq!(begun.offset, damaged.offset.next());
}

#[test]
fn outputs_that_wait_for_the_card_are_bounded_and_recover() {
    let mut config = Config::default();
    config.shares.pending_bytes_max = 4_000;
    let mut bench = Bench::with(config);
    bench.add_users(2);
    let one = bench.connect(DeviceId(1), Offset(0));
    let two = bench.connect(DeviceId(2), Offset(0));
    bench.frame(one, direct(1, 2));
    bench.take(one);
    bench.sync = false;
    let page = ReadHistory { room: RoomId(1), before: None, limit: 9 };
    (2..12).for_each(|counter| bench.frame(one, text(counter, 1, &"x".repeat(500))));
    let taken = bench.log.len();
    bench.frame(one, text(99, 1, "x"));
    assert_eq!(bench.log.len(), taken);
    (0..500).for_each(|_| bench.frame(two, page.clone()));
    bench.sync = true;
    bench.input(Input::Durable { up_to: bench.chat.state().head() });
    assert_eq!(bench.closed.get(&two).map(|closing| closing.reason), Some(Reason::Busy));
    assert!(bench.take(two).iter().any(is_busy), "pages are refused before that");
    assert!(bench.take(one).iter().any(is_busy));
    let last = bench.chat.state().device(DeviceId(1)).expect("a device").last_counter.0;
    let next = bench.ask(one, text(last + 1, 1, "goes on"));
    assert!(matches!(next, ServerMessage::Ack(_)));
}

fn is_busy(message: &ServerMessage) -> bool {
    let ServerMessage::Error(error) = message else { return false };
    error.reason == Reason::Busy
}

#[test]
fn waiting_goes_on_when_the_wall_clock_is_set_back_or_forth() {
    let mut bench = Bench::with_users(2);
    let one = bench.connect(DeviceId(1), Offset(0));
    bench.frame(one, direct(1, 2));
    bench.frame(one, text(2, 1, "x"));
    let two = bench.connect(DeviceId(2), Offset(0));
    bench.now = TimeMs(10);
    bench.tick(0);
    bench.read(two, 1, 1);
    let records = bench.log.len();
    bench.tick(999);
    assert_eq!(bench.log.len(), records);
    bench.tick(1);
    assert_eq!(bench.log.len(), records + 1, "a second after the clock was set back");
    let stranger = bench.open();
    bench.now = TimeMs(u64::MAX >> 12);
    bench.tick(0);
    assert_eq!(bench.closed.get(&stranger).map(|closing| closing.reason), Some(Reason::HelloFirst));
}

#[test]
fn a_checkpoint_that_failed_goes_into_the_next_one() {
    let mut bench = Bench::with_users(2);
    let session = bench.connect(DeviceId(1), Offset(0));
    bench.frame(session, direct(1, 2));
    bench.chat.handle(bench.now, Input::Tick);
    bench.now.0 += crate::limits::CHECKPOINT_MS;
    bench.chat.handle(bench.now, Input::Tick);
    let Some(Output::Checkpoint { applied, changes }) = bench.chat.poll_output() else {
        panic!("a checkpoint by time");
    };
    bench.input(Input::CheckpointFailed { applied });
    assert!(bench.store.is_empty());
    bench.tick(crate::limits::CHECKPOINT_RETRY_MS);
    assert_eq!(bench.store, changes);
}

#[test]
fn an_orderly_end_puts_everything_into_the_store_once() {
    let mut bench = Bench::with_users(2);
    let session = bench.connect(DeviceId(1), Offset(0));
    bench.frame(session, direct(1, 2));
    bench.chat.handle(bench.now, Input::Stopping);
    let Some(Output::Checkpoint { applied, .. }) = bench.chat.poll_output() else {
        panic!("a checkpoint long before its time");
    };
    assert_eq!(applied, bench.chat.state().head());
    bench.chat.handle(bench.now, Input::Stopping);
    assert_eq!(bench.chat.poll_output(), None, "one is under way");
    bench.chat.handle(bench.now, Input::CheckpointDone { applied });
    bench.chat.handle(bench.now, Input::Stopping);
    assert_eq!(bench.chat.poll_output(), None, "the card is not worn for nothing");
}
