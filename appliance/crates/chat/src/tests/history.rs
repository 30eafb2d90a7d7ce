//! Pages of the past: bounded, visible parts only, damage counted.

use wire::ServerMessage;
use wire::client::{History, ReadHistory};
use wire::ids::{DeviceId, Offset, RoomId, Seq};
use wire::server::{HistoryPage, Reason};

use super::harness::{Bench, add, group, remove, text};
use crate::{Config, Input, SessionId};

fn page(bench: &mut Bench, session: SessionId, before: Option<u64>, limit: u32) -> HistoryPage {
    let ask = ReadHistory { room: RoomId(1), before: before.map(Seq), limit };
    match bench.ask(session, ask) {
        ServerMessage::HistoryPage(page) => page,
        other => panic!("{other:?}"),
    }
}

fn seqs(page: &HistoryPage) -> (Vec<u64>, Option<u64>) {
    (page.messages.iter().map(|message| message.seq.0).collect(), page.before.map(|seq| seq.0))
}

/// A box whose checkpoints come every 8 records and leave nothing in memory.
fn cold_box(users: u32) -> Bench {
    let mut config = Config::default();
    config.shares.hot_bytes_max = 0;
    config.shares.checkpoint_records = 8;
    let mut bench = Bench::with(config);
    bench.add_users(users);
    bench
}

#[test]
fn pages_follow_one_another_across_memory_and_card() {
    let mut bench = cold_box(1);
    let one = bench.connect(DeviceId(1), Offset(0));
    bench.frame(one, group(1, &[], History::All));
    (2..25).for_each(|counter| bench.frame(one, text(counter, 1, "x")));
    assert_eq!(seqs(&page(&mut bench, one, None, 10)), ((14..=23).collect(), Some(14)));
    assert_eq!(seqs(&page(&mut bench, one, Some(14), 10)), ((4..=13).collect(), Some(4)));
    assert_eq!(seqs(&page(&mut bench, one, Some(4), 10)), (vec![1, 2, 3], None));
    assert_eq!(seqs(&page(&mut bench, one, Some(1), 10)), (vec![], None));
    assert_eq!(seqs(&page(&mut bench, one, Some(99), 1)), (vec![23], Some(23)));
    assert!(bench.reads.is_empty());
}

#[test]
fn only_the_stretches_of_a_membership_are_shown() {
    let mut bench = cold_box(2);
    let one = bench.connect(DeviceId(1), Offset(0));
    let two = bench.connect(DeviceId(2), Offset(0));
    bench.frame(one, group(1, &[2], History::SinceJoin));
    bench.frame(one, text(2, 1, "seen 1"));
    bench.frame(one, remove(3, 1, 2));
    bench.frame(one, text(4, 1, "hidden 2"));
    let ask = ReadHistory { room: RoomId(1), before: None, limit: 5 };
    let refused = bench.ask(two, ask);
    assert!(matches!(refused, ServerMessage::Error(error) if error.reason == Reason::NoSuchRoom));
    bench.frame(one, add(5, 1, 2));
    assert_eq!(seqs(&page(&mut bench, two, None, 5)), (vec![1], None));
    bench.frame(one, text(6, 1, "seen 3"));
    assert_eq!(seqs(&page(&mut bench, two, None, 5)), (vec![3], Some(3)));
    assert_eq!(seqs(&page(&mut bench, two, Some(3), 5)), (vec![1], None));
    assert_eq!(seqs(&page(&mut bench, one, None, 5)), (vec![1, 2, 3], None));
}

#[test]
fn whoever_leaves_while_the_card_is_read_gets_nothing() {
    let mut bench = cold_box(2);
    let one = bench.connect(DeviceId(1), Offset(0));
    let two = bench.connect(DeviceId(2), Offset(0));
    bench.frame(one, group(1, &[2], History::All));
    (2..20).for_each(|counter| bench.frame(one, text(counter, 1, "x")));
    bench.serve_reads = false;
    bench.take(two);
    bench.frame(two, ReadHistory { room: RoomId(1), before: Some(Seq(3)), limit: 5 });
    bench.frame(one, remove(20, 1, 2));
    bench.serve_reads = true;
    let done = bench.next_read().expect("a read is under way");
    bench.input(done);
    let names: Vec<&str> = bench.take(two).iter().map(ServerMessage::name).collect();
    assert_eq!(names, ["room_gone", "caught_up", "error"]);
}

#[test]
fn damage_is_counted_and_does_not_end_the_paging() {
    let mut bench = cold_box(1);
    let one = bench.connect(DeviceId(1), Offset(0));
    bench.frame(one, group(1, &[], History::All));
    (2..20).for_each(|counter| bench.frame(one, text(counter, 1, "x")));
    bench.serve_reads = false;
    bench.take(one);
    bench.frame(one, ReadHistory { room: RoomId(1), before: Some(Seq(6)), limit: 2 });
    let (ticket, ..) = bench.reads.pop_front().expect("a read is under way");
    bench.input(Input::ReadDone { ticket, messages: Vec::new(), damaged: 2 });
    let messages = bench.take(one);
    let [ServerMessage::HistoryPage(page)] = &messages[..] else { panic!("{messages:?}") };
    assert_eq!((page.damaged, page.before, page.messages.len()), (2, Some(Seq(4)), 0));
}

#[test]
fn a_page_of_longest_texts_fits_one_frame_in_both_encodings() {
    let mut bench = Bench::with_users(1);
    let one = bench.connect(DeviceId(1), Offset(0));
    bench.frame(one, group(1, &[], History::All));
    let worst = "\u{1}".repeat(16 * 1024);
    (2..40).for_each(|counter| bench.frame(one, text(counter, 1, &worst)));
    let page = page(&mut bench, one, None, 200);
    assert_eq!(seqs(&page), (vec![36, 37, 38], Some(36)));
    let (mut json, mut binary) = (Vec::new(), Vec::new());
    wire::json::write_server(&page.clone().into(), 1, &mut json);
    wire::binary::write_server(&page.into(), 1, &mut binary);
    assert!(json.len().max(binary.len()) <= wire::limits::SERVER_FRAME_BYTES_MAX);
}

#[test]
fn limits_of_a_page_and_reads_at_once_are_stated_errors() {
    let mut bench = cold_box(1);
    let one = bench.connect(DeviceId(1), Offset(0));
    bench.frame(one, group(1, &[], History::All));
    (2..30).for_each(|counter| bench.frame(one, text(counter, 1, "x")));
    for limit in [0, 201] {
        let ask = ReadHistory { room: RoomId(1), before: None, limit };
        let answer = bench.ask(one, ask);
        assert!(matches!(answer, ServerMessage::Error(error) if error.field == "limit"));
    }
    bench.serve_reads = false;
    let ask = ReadHistory { room: RoomId(1), before: Some(Seq(3)), limit: 1 };
    (0..4).for_each(|_| bench.frame(one, ask.clone()));
    let busy = bench.ask(one, ask);
    assert!(matches!(busy, ServerMessage::Error(error) if error.reason == Reason::Busy));
}
