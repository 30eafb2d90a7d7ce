//! Appending: group commit, limits, segment switches, a full card, a failed sync.

use crate::common::{append, contents, fill, open, options, outcome, record};
use linnet_log::{
    Disk, DiskError, FaultDisk, Item, Log, LogError, OpenFrom, OpenOutcome, Position, RealDisk,
    Record, SlowDisk, SlowSpeed, limits,
};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

const SEGMENT: u64 = 16 * 1024;

#[test]
fn one_batch_costs_one_write_and_one_sync() {
    let disk = FaultDisk::new(1);
    let mut log = open(&disk, SEGMENT).log;
    let before = disk.stats();
    let records: Vec<_> = (1..=40).map(|number| record(number, 100)).collect();
    let appended = append(&mut log, &records).unwrap();
    let after = disk.stats();
    assert_eq!((appended.first_offset, appended.last_offset), (1, 40));
    assert_eq!(after.writes - before.writes, 1);
    assert_eq!(after.data_syncs - before.data_syncs, 1);
    assert_eq!(after.dir_syncs, before.dir_syncs);
}

#[test]
fn a_lone_message_writes_one_sector() {
    let disk = FaultDisk::new(1);
    let mut log = open(&disk, SEGMENT).log;
    let before = disk.stats().bytes_written;
    append(&mut log, &[record(1, 192)]).unwrap();
    assert_eq!(disk.stats().bytes_written - before, 512);
}

#[test]
fn records_are_readable_after_append_by_offset_and_by_position() {
    let disk = FaultDisk::new(1);
    let mut log = open(&disk, SEGMENT).log;
    append(&mut log, &[record(1, 0), record(2, 300)]).unwrap();
    let appended = append(&mut log, &[record(3, 9), record(4, 10)]).unwrap();
    let reader = log.reader().clone();
    let stored = std::thread::spawn(move || {
        (reader.read(appended.position(1)).unwrap(), reader.read_offset(2).unwrap())
    });
    let (by_position, by_offset) = stored.join().unwrap();
    assert_eq!((by_position.offset, by_position.record), (4, record(4, 10)));
    assert_eq!((by_offset.offset, &by_offset.record), (2, &record(2, 300)));
    assert_eq!(log.reader().read(by_offset.position).unwrap(), by_offset);
}

#[test]
fn reading_outside_the_log_is_a_stated_error() {
    let disk = FaultDisk::new(1);
    let mut log = open(&disk, SEGMENT).log;
    let appended = append(&mut log, &[record(1, 8)]).unwrap();
    let expected = LogError::NotThere { offset: 2, first: 1, last: 1 };
    assert_eq!(log.reader().read_offset(2), Err(expected));
    assert!(log.reader().read_offset(0).is_err());
    let mut wrong = appended.position(0);
    wrong.byte += 512;
    assert!(matches!(log.reader().read(wrong), Err(LogError::NoRecordAt(_))));
    wrong.byte = u32::MAX;
    assert!(matches!(log.reader().read(wrong), Err(LogError::NoRecordAt(_))));
}

#[test]
fn an_iterator_at_the_end_sees_what_is_appended_later() {
    let disk = FaultDisk::new(1);
    let mut log = open(&disk, SEGMENT).log;
    fill(&disk, &mut log, 3, 20);
    let mut items = log.reader().iter_from(2);
    assert_eq!(items.by_ref().count(), 2);
    fill(&disk, &mut log, 60, 400);
    assert_eq!(items.count(), 60);
}

#[test]
fn a_batch_refuses_what_does_not_fit_and_takes_all_or_nothing() {
    let disk = FaultDisk::new(1);
    let log = open(&disk, SEGMENT).log;
    let mut batch = log.new_batch();
    assert!(batch.push(&[record(1, 8_000)]).unwrap());
    assert!(!batch.push(&[record(2, 10), record(3, 8_200)]).unwrap());
    assert_eq!(batch.records().len(), 1);
    assert!(matches!(batch.push(&[record(4, 17_000)]), Err(LogError::BatchTooLong { .. })));
    let long = limits::PAYLOAD_BYTES_MAX + 1;
    let refused = LogError::PayloadTooLong { bytes: long, max: limits::PAYLOAD_BYTES_MAX };
    assert_eq!(batch.push(&[record(5, long)]), Err(refused));
    batch.clear();
    let many: Vec<_> = (0..=limits::BATCH_RECORDS_MAX as u64).map(|n| record(n, 0)).collect();
    assert!(matches!(batch.push(&many), Err(LogError::BatchTooLong { .. })));
}

#[test]
fn an_empty_batch_is_refused() {
    let disk = FaultDisk::new(1);
    let mut log = open(&disk, SEGMENT).log;
    let batch = log.new_batch();
    assert_eq!(log.append(&batch), Err(LogError::EmptyBatch));
}

#[test]
fn without_a_spare_nothing_is_written_and_the_log_stays_usable() {
    let disk = FaultDisk::new(1);
    let mut log = open(&disk, 4096).log;
    for number in 1..=8 {
        append(&mut log, &[record(number, 100)]).unwrap();
    }
    assert_eq!(log.room_bytes(), 0);
    let before = disk.stats();
    assert_eq!(append(&mut log, &[record(9, 100)]), Err(LogError::NoSpare));
    assert_eq!(disk.stats(), before);
    log.shelf().prepare_spare(&disk, &mut || {}).unwrap();
    assert_eq!(log.room_bytes(), 4096);
    assert_eq!(append(&mut log, &[record(9, 100)]).unwrap().segment, 2);
    assert_eq!(contents(log.reader()).0, (1..=9).collect::<Vec<_>>());
}

#[test]
fn a_full_card_is_said_and_the_reserve_lets_deletes_through() {
    let disk = FaultDisk::new(1);
    let mut log = open(&disk, 4096).log;
    let shelf = log.shelf().clone();
    shelf.fill_reserve(&disk, &mut || {}).unwrap();
    disk.set_capacity(3 * 4096 - 1);
    for number in 1..=8 {
        append(&mut log, &[record(number, 100)]).unwrap();
    }
    assert_eq!(shelf.prepare_spare(&disk, &mut || {}), Err(LogError::Full));
    assert_eq!(append(&mut log, &[record(9, 100)]), Err(LogError::Full));
    assert!(!disk.list().unwrap().iter().any(|name| name.starts_with("new-")));

    assert!(shelf.release_reserve(&disk).unwrap());
    assert!(!shelf.release_reserve(&disk).unwrap());
    append(&mut log, &[record(9, 100)]).unwrap();
    disk.set_capacity(u64::MAX);
    assert!(shelf.wants_work());
    shelf.fill_reserve(&disk, &mut || {}).unwrap();
    shelf.prepare_spare(&disk, &mut || {}).unwrap();
    assert!(!shelf.card_full());
    assert_eq!(contents(log.reader()).0, (1..=9).collect::<Vec<_>>());
}

#[test]
fn spares_and_reserve_survive_a_restart_and_unfinished_files_do_not() {
    let disk = FaultDisk::new(1);
    let log = open(&disk, 4096).log;
    log.shelf().prepare_spare(&disk, &mut || {}).unwrap();
    log.shelf().fill_reserve(&disk, &mut || {}).unwrap();
    disk.create("new-00000009").unwrap();
    disk.sync_dir().unwrap();
    let disk = disk.power_cut();
    let opened = open(&disk, 4096);
    assert_eq!(opened.report.removed_files, 1);
    assert_eq!(opened.log.shelf().spares_ready(), 1);
    assert_eq!(opened.log.shelf().reserve_ready(), 1);
}

#[test]
fn after_a_failed_sync_every_append_is_poisoned_and_recovery_asks_the_device() {
    for seed in 0..200 {
        let disk = FaultDisk::new(seed);
        let mut log = open(&disk, SEGMENT).log;
        fill(&disk, &mut log, 5, 700);
        disk.fail_next_sync();
        let failed = append(&mut log, &[record(6, 3_000)]);
        assert!(matches!(failed, Err(LogError::SyncFailed(DiskError::Io { .. }))));
        assert_eq!(append(&mut log, &[record(6, 10)]), Err(LogError::Poisoned));
        assert_eq!(log.reader().last_offset(), 5, "readers never see the batch that failed");
        let failed_at = Position { segment: 1, byte: 5 * 1024, index: 0 };
        assert_eq!(log.reader().read(failed_at), Err(LogError::NoRecordAt(failed_at)));
        // Whatever recovery decides to serve must survive a power cut.
        let disk = disk.kill();
        let served = open(&disk, SEGMENT).log.reader().last_offset();
        assert!(served == 5 || served == 6);
        let disk = disk.power_cut();
        let opened = open(&disk, SEGMENT);
        let expected: Vec<_> = (1..=served).collect();
        assert_eq!(contents(opened.reader()), (expected, vec![]), "seed {seed}");
    }
}

#[test]
fn a_stopped_process_cannot_write_any_more() {
    let disk = FaultDisk::new(1);
    let mut log = open(&disk, SEGMENT).log;
    let next = disk.kill();
    let failed = append(&mut log, &[record(1, 10)]);
    assert_eq!(failed, Err(LogError::SyncFailed(DiskError::Stopped)));
    assert_eq!(open(&next, SEGMENT).log.next_offset(), 1);
}

#[test]
fn a_slow_card_waits_for_every_sync_and_for_its_bytes() {
    let slept = Arc::new(AtomicU64::new(0));
    let total = slept.clone();
    let disk = SlowDisk::new(FaultDisk::new(1), SlowSpeed::default(), 9, move |time| {
        total.fetch_add(u64::try_from(time.as_micros()).unwrap(), Ordering::Relaxed);
    });
    let mut log = open(&disk, 1024 * 1024).log;
    slept.store(0, Ordering::Relaxed);
    for number in 0..1_000 {
        append(&mut log, &[record(number, 10)]).unwrap();
    }
    let seconds = slept.load(Ordering::Relaxed) as f64 / 1e6;
    assert!((11.0..17.0).contains(&seconds), "1,000 syncs took {seconds} s");
}

#[test]
fn a_real_folder_can_be_as_slow_as_a_card() {
    let slept = Arc::new(AtomicU64::new(0));
    let total = slept.clone();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let disk = RealDisk::open(folder.path()).unwrap();
    let disk = disk.slowed(SlowSpeed::default(), 9, move |time| {
        total.fetch_add(u64::try_from(time.as_micros()).unwrap(), Ordering::Relaxed);
    });
    let file = disk.create("file").unwrap();
    disk.pwrite(&file, 0, &[7; 20_000]).unwrap();
    disk.sync_data(&file).unwrap();
    disk.sync_dir().unwrap();
    assert_eq!(slept.load(Ordering::Relaxed), 10_000 + 1_000 + 10_000);
}

#[test]
fn a_real_folder_keeps_the_log_across_openings() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let disk = RealDisk::open(folder.path()).unwrap();
    let mut log = open(&disk, limits::SEGMENT_BYTES).log;
    assert!(matches!(disk.create("../evil"), Err(DiskError::BadName(_))));
    log.shelf().prepare_spare(&disk, &mut || {}).unwrap();
    for number in 1..=20 {
        append(&mut log, &[record(number, 60_000)]).unwrap();
    }
    drop(log);
    let opened = open(&disk, limits::SEGMENT_BYTES);
    assert_eq!(opened.report.last_offset, 20);
    assert_eq!(contents(opened.reader()).0, (1..=20).collect::<Vec<_>>());
    assert!(disk.free_bytes().unwrap() > 0);
}

#[test]
fn direct_reads_agree_with_cached_ones_at_any_alignment() {
    for folder in [env!("CARGO_TARGET_TMPDIR"), "/dev/shm"] {
        let Ok(folder) = tempfile::tempdir_in(folder) else {
            println!("skipped: {folder} is not writable here");
            continue;
        };
        let disk = RealDisk::open(folder.path()).unwrap();
        let file = disk.create("bytes").unwrap();
        let bytes: Vec<u8> = (0..10_000_u32).map(|n| (n % 253) as u8).collect();
        disk.pwrite(&file, 0, &bytes).unwrap();
        disk.sync_data(&file).unwrap();
        println!("{folder:?}: direct reads reach the device: {}", disk.reads_device(&file));
        for (at, len) in [(0, 10_000), (0, 512), (1, 1), (4_095, 2), (8_191, 5_000), (9_999, 9)] {
            let (mut direct, mut cached) = (vec![0; len], vec![0; len]);
            let got = disk.pread_direct(&file, at, &mut direct).unwrap();
            assert_eq!(got, disk.pread(&file, at, &mut cached).unwrap());
            assert_eq!(direct, cached, "{len} bytes at {at}");
        }
        assert_eq!(disk.pread_direct(&file, 20_000, &mut [0; 8]).unwrap(), 0);
        let reads_device = disk.reads_device(&file);
        assert!(open(&disk, SEGMENT).report.created);
        assert_eq!(open(&disk, SEGMENT).report.read_device, reads_device, "the fallback is said");
    }
}

#[test]
fn a_locked_folder_refuses_a_second_process() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let disk = RealDisk::open(folder.path()).unwrap();
    disk.lock().unwrap();
    let other = RealDisk::open(folder.path()).unwrap();
    assert!(matches!(other.lock(), Err(DiskError::Exists(_))));
    drop(disk);
    other.lock().unwrap();
}

#[test]
fn what_arrives_during_a_sync_rides_the_next_one() {
    let speed = SlowSpeed { sync: Duration::from_millis(2), ..SlowSpeed::default() };
    let disk = SlowDisk::new(FaultDisk::new(1), speed, 1, std::thread::sleep);
    let mut log = open(&disk, 1024 * 1024).log;
    let syncs_before = disk.inner().stats().data_syncs;
    let (sender, queue) = mpsc::sync_channel::<(Record, mpsc::Sender<u64>)>(64);
    let clients: Vec<_> = (0..8).map(|client| spawn_client(client, sender.clone())).collect();
    drop(sender);
    let mut batch = log.new_batch();
    while let Ok(first) = queue.recv() {
        let waiting: Vec<_> = std::iter::once(first).chain(queue.try_iter()).collect();
        batch.clear();
        for (record, _) in &waiting {
            assert!(batch.push(std::slice::from_ref(record)).unwrap());
        }
        let appended = log.append(&batch).unwrap();
        for (offset, (_, acknowledge)) in (appended.first_offset..).zip(waiting) {
            acknowledge.send(offset).unwrap();
        }
    }
    for client in clients {
        client.join().unwrap();
    }
    assert_eq!(log.next_offset(), 161);
    let syncs = disk.inner().stats().data_syncs - syncs_before;
    assert!(syncs < 80, "160 waiting clients' records took {syncs} syncs");
}

/// Sends 20 records, each after the acknowledgement of the one before.
fn spawn_client(
    client: u64,
    queue: mpsc::SyncSender<(Record, mpsc::Sender<u64>)>,
) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let mut last = 0;
        for number in 0..20 {
            let (acknowledge, acknowledged) = mpsc::channel();
            queue.send((record(client * 20 + number, 50), acknowledge)).unwrap();
            let offset = acknowledged.recv().unwrap();
            assert!(offset > last, "a client's records keep their order");
            last = offset;
        }
    })
}

#[test]
fn an_iterator_can_start_at_a_position() {
    let disk = FaultDisk::new(1);
    let mut log = open(&disk, SEGMENT).log;
    append(&mut log, &[record(1, 9), record(2, 9)]).unwrap();
    let appended = append(&mut log, &[record(3, 9), record(4, 9)]).unwrap();
    fill(&disk, &mut log, 40, 400);
    let items = log.reader().iter_at(appended.position(1)).unwrap();
    let offsets: Vec<u64> = items
        .map(|item| match item.unwrap() {
            Item::Record(stored) => stored.offset,
            Item::Damaged(range) => panic!("{range:?}"),
        })
        .collect();
    assert_eq!(offsets, (4..=44).collect::<Vec<_>>());
}

#[test]
fn a_reader_on_another_thread_follows_the_writer_across_segments() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let disk = RealDisk::open(folder.path()).unwrap();
    let mut log = open(&disk, SEGMENT).log;
    let mut items = log.reader().iter_from(1);
    let follower = std::thread::spawn(move || {
        for expected in 1..=300 {
            let item = loop {
                match items.next() {
                    Some(item) => break item.unwrap(),
                    None => std::thread::yield_now(),
                }
            };
            let Item::Record(stored) = item else { panic!("{item:?}") };
            assert_eq!((stored.offset, stored.record), (expected, record(expected, 700)));
        }
    });
    fill(&disk, &mut log, 300, 700);
    follower.join().unwrap();
    assert!(log.reader().segments().len() > 10);
}

#[test]
fn options_out_of_range_are_refused() {
    for bytes in [0, 4095, 4097, 2 << 30] {
        let opened = Log::open(FaultDisk::new(1), options(bytes), OpenFrom::default());
        assert!(matches!(opened, Err(LogError::Options(_))), "{bytes}");
    }
}

#[test]
fn recovery_starts_at_the_segment_of_the_checkpoint() {
    let disk = FaultDisk::new(1);
    let mut log = open(&disk, 4096).log;
    fill(&disk, &mut log, 40, 100);
    let OpenOutcome::Ready(opened) = outcome(&disk, 4096, 17) else { panic!("rescue") };
    assert_eq!((opened.report.segments, opened.report.segments_read), (5, 3));
    let first = opened.reader().iter_from(18).next().unwrap().unwrap();
    assert!(matches!(first, Item::Record(stored) if stored.offset == 18));
}
