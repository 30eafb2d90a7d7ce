//! Backups and history against a real log in a folder.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::mpsc::sync_channel;

use log::{
    Item, Log, LogReader, OpenFrom, OpenOutcome, Options, Position, RealDisk, Record, Stored,
};
use wire::ids::{BoxId, Epoch};

use crate::import::{Import, verify};
use crate::{ExportHeader, Files, FilesError, HistoryRead, Wanted};

const STACK: usize = 512 * 1024;
const BLOCK: usize = 512;

/// A log of a few small segments with `count` records, three a batch.
fn filled(folder: &Path, count: u64) -> LogReader<RealDisk> {
    let disk = RealDisk::open(folder).unwrap();
    let options = Options { segment_bytes: 64 * 1024, ..Options::new(7) };
    let outcome = Log::open(disk.clone(), options, OpenFrom::default()).unwrap();
    let OpenOutcome::Ready(opened) = outcome else { panic!("a new log is sound") };
    let mut log = opened.log;
    let records: Vec<Record> = (1..=count).map(record).collect();
    for records in records.chunks(3) {
        let mut batch = log.new_batch();
        assert!(batch.push(records).unwrap());
        if !log.has_room_for(&batch) {
            log.shelf().prepare_spare(&disk, &mut || {}).unwrap();
        }
        log.append(&batch).unwrap();
    }
    log.reader().clone()
}

fn record(number: u64) -> Record {
    let long = number.is_multiple_of(10);
    Record {
        kind: 0x0209,
        time_ms: number,
        actor: 1,
        device: 2,
        counter: number,
        payload: vec![u8::try_from(number % 251).unwrap(); if long { 9_000 } else { 30 }],
    }
}

fn header(last_offset: u64) -> ExportHeader {
    ExportHeader { box_id: BoxId([1; 16]), epoch: Epoch([2; 16]), time_ms: 3, last_offset }
}

fn backup(files: &Files, last_offset: u64) -> Vec<u8> {
    let mut chunks = files.backup(header(last_offset)).unwrap();
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.blocking_recv() {
        bytes.extend_from_slice(&chunk.unwrap());
    }
    bytes
}

fn items(bytes: &[u8]) -> Vec<Item> {
    let mut import = Import::begin(bytes).unwrap();
    std::iter::from_fn(|| import.next_item().unwrap()).collect()
}

fn history(files: &Files, wanted: Vec<Wanted>) -> HistoryRead {
    let (sender, receiver) = sync_channel(1);
    let locate = Box::new(move || wanted);
    let deliver = Box::new(move |found| sender.send(found).unwrap());
    files.history(locate, deliver).unwrap();
    receiver.recv().unwrap()
}

fn stored(reader: &LogReader<RealDisk>) -> Vec<Stored> {
    let records = reader.iter_from(1).filter_map(|item| match item.unwrap() {
        Item::Record(stored) => Some(stored),
        Item::Damaged(_) => None,
    });
    records.collect()
}

fn wanted(stored: &Stored) -> Wanted {
    Wanted { offset: stored.offset, position: stored.position }
}

/// Flips a byte in the payload of a record.
fn damage(folder: &Path, reader: &LogReader<RealDisk>, offset: u64) {
    let at = stored(reader)[usize::try_from(offset).unwrap() - 1].position;
    let name = reader.segment_names().into_iter().find(|name| name.id == at.segment).unwrap();
    let file = OpenOptions::new().read(true).write(true).open(folder.join(name.file())).unwrap();
    let mut batch = vec![0; 32 * BLOCK];
    file.read_exact_at(&mut batch, at.byte.into()).unwrap();
    let pattern = record(offset).payload[0];
    let run = batch.windows(30).position(|window| window == [pattern; 30]).unwrap();
    file.write_all_at(&[pattern ^ 1], u64::from(at.byte) + run as u64).unwrap();
}

#[test]
fn a_backup_holds_every_record_up_to_its_offset() {
    let folder = tempfile::tempdir().unwrap();
    let reader = filled(folder.path(), 400);
    assert!(reader.segments().len() > 3);
    let (files, thread) = Files::start(folder.path().into(), reader, STACK).unwrap();
    for last in [400, 250, 1] {
        let bytes = backup(&files, last);
        let summary = verify(&bytes[..]).unwrap();
        assert_eq!((summary.header, summary.records, summary.damaged), (header(last), last, 0));
        for (number, item) in (1..).zip(items(&bytes)) {
            let Item::Record(stored) = item else { panic!("{item:?}") };
            assert_eq!((stored.offset, stored.record), (number, record(number)));
        }
    }
    drop(files);
    thread.join().unwrap();
}

#[test]
fn a_backup_of_an_empty_log_is_a_backup() {
    let folder = tempfile::tempdir().unwrap();
    let reader = filled(folder.path(), 0);
    let (files, _thread) = Files::start(folder.path().into(), reader, STACK).unwrap();
    assert_eq!(verify(&backup(&files, 0)[..]).unwrap().records, 0);
}

#[test]
fn damaged_records_are_named_and_the_rest_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let reader = filled(folder.path(), 200);
    damage(folder.path(), &reader, 41);
    let (files, _thread) = Files::start(folder.path().into(), reader, STACK).unwrap();
    let bytes = backup(&files, 200);
    let summary = verify(&bytes[..]).unwrap();
    assert_eq!((summary.records, summary.damaged), (199, 1));
    let lost = items(&bytes).into_iter().find_map(|item| match item {
        Item::Damaged(range) => Some((range.first, range.last)),
        Item::Record(_) => None,
    });
    assert_eq!(lost, Some((41, 41)));
}

#[test]
fn a_lost_header_costs_its_batch_only() {
    let folder = tempfile::tempdir().unwrap();
    let reader = filled(folder.path(), 200);
    let first = stored(&reader)[60].position;
    let name = reader.segment_names().into_iter().find(|name| name.id == first.segment).unwrap();
    let file = OpenOptions::new().write(true).open(folder.path().join(name.file())).unwrap();
    file.write_all_at(&[0; BLOCK], first.byte.into()).unwrap();
    let (files, _thread) = Files::start(folder.path().into(), reader, STACK).unwrap();
    let summary = verify(&backup(&files, 200)[..]).unwrap();
    assert_eq!((summary.records, summary.damaged), (197, 3));
}

#[test]
fn history_gives_records_in_the_order_asked_and_counts_what_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let reader = filled(folder.path(), 300);
    let all = stored(&reader);
    damage(folder.path(), &reader, 41);
    let (files, _thread) = Files::start(folder.path().into(), reader, STACK).unwrap();
    let asked: Vec<&Stored> = [250, 39, 40, 41, 42, 0].map(|index| &all[index]).to_vec();
    let found = history(&files, asked.iter().map(|stored| wanted(stored)).collect());
    let offsets: Vec<u64> = found.records.iter().map(|stored| stored.offset).collect();
    assert_eq!((offsets, found.damaged), (vec![251, 40, 42, 43, 1], 1));
    assert_eq!(found.records[0], all[250]);
}

#[test]
fn a_position_that_holds_another_record_is_damage_not_a_wrong_answer() {
    let folder = tempfile::tempdir().unwrap();
    let reader = filled(folder.path(), 30);
    let all = stored(&reader);
    let (files, _thread) = Files::start(folder.path().into(), reader, STACK).unwrap();
    let elsewhere = |position| Wanted { offset: 5, position };
    let cases = [
        all[9].position,
        Position { index: 9, ..all[4].position },
        Position { byte: 7, ..all[4].position },
        Position { segment: 99, ..all[4].position },
        Position { byte: u32::MAX - 511, ..all[4].position },
    ];
    let found = history(&files, cases.map(elsewhere).to_vec());
    assert_eq!((found.records.len(), found.damaged), (0, 5));
}

#[test]
fn a_second_backup_at_once_is_told_to_wait() {
    let folder = tempfile::tempdir().unwrap();
    let reader = filled(folder.path(), 400);
    let (files, _thread) = Files::start(folder.path().into(), reader, STACK).unwrap();
    // Its chunks are not taken, so it stays under way.
    let first = files.backup(header(400)).unwrap();
    let mut second = files.backup(header(400)).unwrap();
    let answer = second.blocking_recv();
    assert!(
        matches!(answer, Some(Err(FilesError::Busy))),
        "{:?}",
        answer.map(|chunk| chunk.is_ok())
    );
    drop(first);
}

#[test]
fn every_cut_and_every_flipped_byte_of_a_backup_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let reader = filled(folder.path(), 9);
    let (files, _thread) = Files::start(folder.path().into(), reader, STACK).unwrap();
    let good = backup(&files, 9);
    assert!(verify(&good[..]).is_ok());
    for cut in 0..good.len() {
        assert!(verify(&good[..cut]).is_err(), "cut at {cut}");
    }
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 0x04;
        assert!(verify(&bytes[..]).is_err(), "flipped at {at}");
    }
    let mut longer = good;
    longer.push(0);
    assert!(matches!(verify(&longer[..]), Err(FilesError::Damaged(_))));
    assert!(matches!(verify(&b"PK"[..]), Err(FilesError::NotABackup)));
}
