//! Opening after damage: every bit, every length, stale segments, lost blocks, salvage.

use crate::common::{LOG_ID, append, contents, fill, open, options, outcome, record};
use linnet_log::{
    DamagedRange, Disk, FaultDisk, Log, LogError, OpenFrom, OpenOutcome, ReadFrom, Rescue, format,
};

const SEGMENT: u64 = 4096;

/// Three batches in one small segment: offsets 1-2, 3, 4-6. Returns where they start.
fn three_batches(disk: &FaultDisk) -> [usize; 3] {
    let mut log = open(disk, SEGMENT).log;
    append(&mut log, &[record(1, 40), record(2, 200)]).unwrap();
    append(&mut log, &[record(3, 300)]).unwrap();
    append(&mut log, &[record(4, 100), record(5, 0), record(6, 90)]).unwrap();
    [0, 512, 1024]
}

fn used_bytes(batch: usize) -> usize {
    [96 + 2 * 64 + 240, 96 + 64 + 300, 96 + 3 * 64 + 190][batch]
}

fn tail_file(disk: &FaultDisk) -> String {
    disk.list().unwrap().into_iter().rfind(|name| name.starts_with("seg-")).unwrap()
}

fn rescue(outcome: OpenOutcome<FaultDisk>) -> Rescue<FaultDisk> {
    match outcome {
        OpenOutcome::Rescue(rescue) => rescue,
        OpenOutcome::Ready(opened) => panic!("served: {:?}", opened.report),
    }
}

#[test]
fn every_flipped_bit_is_dropped_as_tail_or_reported_as_damage() {
    let starts = three_batches(&FaultDisk::new(1));
    for (batch, start) in starts.into_iter().enumerate() {
        for byte in start..start + used_bytes(batch) {
            flip_and_check(batch, byte, 0);
            flip_and_check(batch, byte, 5);
        }
    }
}

fn flip_and_check(batch: usize, byte: usize, bit: u8) {
    let disk = FaultDisk::new(1);
    three_batches(&disk);
    assert!(disk.flip_bit(&tail_file(&disk), byte, bit));
    let (good, bad) = match outcome(&disk.power_cut(), SEGMENT, 0) {
        OpenOutcome::Ready(opened) => {
            assert_eq!(batch, 2, "byte {byte}: acknowledged records were dropped");
            assert!(opened.report.dropped.is_some(), "a drop is stated");
            contents(opened.reader())
        }
        OpenOutcome::Rescue(rescue) => {
            assert!(batch < 2, "byte {byte}: a torn tail is not damage");
            contents(rescue.salvage().unwrap().reader())
        }
    };
    check_kept(batch, byte, &good, &bad);
}

/// Everything outside the damaged batch is kept, inside it at most what its hashes prove.
fn check_kept(batch: usize, byte: usize, good: &[u64], bad: &[(u64, u64)]) {
    let batches: [&[u64]; 3] = [&[1, 2], &[3], &[4, 5, 6]];
    let others: Vec<u64> =
        (0..batch).chain(batch + 1..3).flat_map(|b| batches[b]).copied().collect();
    if batch == 2 {
        assert_eq!((good, bad), (others.as_slice(), &[][..]), "byte {byte}");
        return;
    }
    for offset in &others {
        assert!(good.contains(offset), "byte {byte}: {offset} was lost");
    }
    let lost: u64 = bad.iter().map(|(first, last)| last - first + 1).sum();
    assert!(lost >= 1 && good.len() as u64 + lost == 6, "byte {byte}: {good:?} {bad:?}");
}

#[test]
fn a_flipped_payload_loses_one_record_not_its_batch() {
    let disk = FaultDisk::new(1);
    three_batches(&disk);
    disk.flip_bit(&tail_file(&disk), 96 + 128 + 10, 1);
    let rescue = rescue(outcome(&disk, SEGMENT, 0));
    assert_eq!(rescue.damage(), [DamagedRange { segment: 1, first: 1, last: 1 }]);
    assert_eq!(contents(&rescue.reader()), ((2..=6).collect(), vec![(1, 1)]));
    let opened = rescue.salvage().unwrap();
    assert_eq!(contents(opened.reader()), ((2..=6).collect(), vec![(1, 1)]));
}

#[test]
fn every_truncation_keeps_the_whole_batches_before_it() {
    three_batches(&FaultDisk::new(1));
    for len in 0..2048 {
        let disk = FaultDisk::new(1);
        three_batches(&disk);
        disk.truncate(&tail_file(&disk), len);
        let kept = [0, 2, 3, 6][len / 512];
        let mut opened = outcome(&disk, SEGMENT, 0).ready().unwrap();
        assert_eq!(contents(opened.reader()), ((1..=kept).collect(), vec![]), "{len} bytes");
        // A shorter file is never grown: the next batch fits or goes to the next segment.
        fill(&disk, &mut opened.log, 3, 60);
        let all = contents(open(&disk, SEGMENT).reader());
        assert_eq!(all, ((1..=kept + 3).collect(), vec![]), "{len} bytes");
    }
}

#[test]
fn nothing_at_or_below_the_applied_offset_is_dropped_silently() {
    for applied in [4, 6, 9] {
        let disk = FaultDisk::new(1);
        three_batches(&disk);
        disk.flip_bit(&tail_file(&disk), 1024, 0);
        let rescue = rescue(outcome(&disk, SEGMENT, applied));
        assert_eq!(rescue.next_offset(), applied + 1);
        assert_eq!(rescue.damage(), [DamagedRange { segment: 1, first: 4, last: applied }]);
        let mut opened = rescue.salvage().unwrap();
        let appended = append(&mut opened.log, &[record(applied + 1, 5)]).unwrap();
        assert_eq!(appended.first_offset, applied + 1);
        let (good, bad) = contents(opened.reader());
        assert_eq!((good, bad), (vec![1, 2, 3, applied + 1], vec![(4, applied)]));
    }
}

#[test]
fn a_lost_folder_is_a_rescue_when_the_store_knows_of_records() {
    let disk = FaultDisk::new(1);
    let rescue = rescue(outcome(&disk, SEGMENT, 41));
    let mut opened = rescue.salvage().unwrap();
    assert_eq!(append(&mut opened.log, &[record(42, 1)]).unwrap().first_offset, 42);
}

#[test]
fn salvage_survives_a_power_cut_and_further_restarts() {
    let disk = FaultDisk::new(1);
    three_batches(&disk);
    disk.flip_bit(&tail_file(&disk), 512, 0);
    let mut opened = rescue(outcome(&disk, SEGMENT, 0)).salvage().unwrap();
    append(&mut opened.log, &[record(7, 5)]).unwrap();
    let disk = disk.power_cut();
    let opened = open(&disk, SEGMENT);
    assert_eq!(contents(opened.reader()), (vec![1, 2, 4, 5, 6, 7], vec![(3, 3)]));
    assert_eq!(opened.report.findings.damage.len(), 1);
}

#[test]
fn a_crash_anywhere_in_salvage_leaves_a_log_that_can_be_salvaged() {
    for stop in 1..16 {
        for seed in 0..10 {
            let disk = FaultDisk::new(seed);
            three_batches(&disk);
            disk.flip_bit(&tail_file(&disk), 512, 0);
            let rescue = rescue(outcome(&disk, SEGMENT, 0));
            disk.stop_after(stop);
            let _ = rescue.salvage();
            let opened = match outcome(&disk.power_cut(), SEGMENT, 0) {
                OpenOutcome::Ready(opened) => opened,
                OpenOutcome::Rescue(rescue) => rescue.salvage().unwrap(),
            };
            let found = contents(opened.reader());
            assert_eq!(found, (vec![1, 2, 4, 5, 6], vec![(3, 3)]), "stop {stop} seed {seed}");
        }
    }
}

#[test]
fn salvage_on_a_full_card_says_so_and_changes_nothing() {
    let disk = FaultDisk::new(1);
    three_batches(&disk);
    disk.flip_bit(&tail_file(&disk), 512, 0);
    disk.set_capacity(SEGMENT);
    let refused = rescue(outcome(&disk, SEGMENT, 0)).salvage();
    assert!(matches!(refused, Err(LogError::Full)));
    assert_eq!(disk.list().unwrap().len(), 1);
}

#[test]
fn damage_in_a_sealed_segment_is_served_around() {
    for byte in (0..SEGMENT as usize).step_by(37) {
        let disk = FaultDisk::new(1);
        fill(&disk, &mut open(&disk, SEGMENT).log, 30, 100);
        let sealed = disk.list().unwrap().into_iter().find(|n| n.starts_with("seg-00000002"));
        disk.flip_bit(&sealed.unwrap(), byte, 3);
        let opened = open(&disk, SEGMENT);
        let (good, bad) = contents(opened.reader());
        let hit = 9 + byte as u64 / 512;
        if byte % 512 < 96 + 64 + 100 {
            assert_eq!(bad, [(hit, hit)], "byte {byte}");
            assert_eq!(opened.report.findings.damage[0].first, hit);
            let damaged = DamagedRange { segment: 2, first: hit, last: hit };
            assert_eq!(opened.reader().read_offset(hit), Err(LogError::Damaged(damaged)));
            assert_eq!(opened.reader().scrub(2).unwrap().damage, [damaged]);
        } else {
            assert_eq!(bad, [], "padding means nothing");
        }
        assert_eq!(good.len() + bad.len(), 30);
    }
}

#[test]
fn a_missing_or_empty_sealed_segment_is_a_damaged_range() {
    for remove in [true, false] {
        let disk = FaultDisk::new(1);
        fill(&disk, &mut open(&disk, SEGMENT).log, 30, 100);
        let names = disk.list().unwrap();
        let sealed = names.iter().find(|name| name.starts_with("seg-00000002")).unwrap();
        if remove {
            disk.remove(sealed).unwrap();
        } else {
            disk.truncate(sealed, 0);
        }
        let opened = open(&disk, SEGMENT);
        let expected: Vec<u64> = (1..=8).chain(17..=30).collect();
        assert_eq!(contents(opened.reader()), (expected, vec![(9, 16)]));
        assert_eq!(opened.report.findings.damage[0].records(), 8);
    }
}

#[test]
fn blocks_that_cannot_be_read_are_damage_not_an_end() {
    let disk = FaultDisk::new(1);
    fill(&disk, &mut open(&disk, 16_384).log, 70, 100);
    let names = disk.list().unwrap();
    assert!(disk.fail_reads(&names[0], 5_000..5_001));
    let opened = open(&disk, 16_384);
    let expected: Vec<u64> = (1..=8).chain(17..=70).collect();
    assert_eq!(contents(opened.reader()), (expected, vec![(9, 16)]));
    assert!(opened.reader().read_offset(12).is_err());

    // In the tail segment nobody can say whether the lost block was acknowledged.
    assert!(disk.fail_reads(&names[2], 4_000..4_001));
    let damage = rescue(outcome(&disk, 16_384, 0)).damage().to_vec();
    assert_eq!(damage.len(), 1);
}

#[test]
fn a_recycled_segment_does_not_bring_old_batches_back() {
    let disk = FaultDisk::new(1);
    let mut log = open(&disk, SEGMENT).log;
    fill(&disk, &mut log, 16, 100);
    // The index thread recycles segment 1 without zeroing it.
    let old = disk.list().unwrap().remove(0);
    disk.rename(&old, "spare-00000009").unwrap();
    disk.sync_dir().unwrap();
    let mut log = open(&disk, SEGMENT).log;
    append(&mut log, &[record(17, 100)]).unwrap();
    let mut opened =
        Log::open(disk.kill(), options(SEGMENT), OpenFrom::default()).unwrap().ready().unwrap();
    assert_eq!(opened.report.last_offset, 17);
    assert_eq!(opened.reader().first_offset(), 9);
    append(&mut opened.log, &[record(18, 100)]).unwrap();
}

#[test]
fn a_batch_that_breaks_the_chain_is_not_taken() {
    // Two logs with the same ids and other contents; the second's third batch is put behind the
    // first's second: right segment, right offset, valid checks, wrong history.
    let disk = FaultDisk::new(1);
    let other = FaultDisk::new(2);
    let mut log = open(&disk, SEGMENT).log;
    let mut foreign = open(&other, SEGMENT).log;
    fill(&disk, &mut log, 2, 100);
    fill(&other, &mut foreign, 3, 101);
    let stale = other.device_bytes(&tail_file(&other)).unwrap()[1024..1536].to_vec();
    let file = disk.open(&tail_file(&disk)).unwrap();
    disk.pwrite(&file, 1024, &stale).unwrap();
    let opened = open(&disk, SEGMENT);
    assert_eq!(contents(opened.reader()), (vec![1, 2], vec![]));
    assert_eq!(opened.report.dropped.unwrap().byte, 1024);
}

#[test]
fn the_first_batch_of_a_log_continues_nothing() {
    for (previous, served) in [(format::GENESIS, 1), ([1; 32], 0)] {
        let disk = FaultDisk::new(1);
        drop(open(&disk, SEGMENT));
        let identity = format::Identity { log_id: LOG_ID, segment: 1 };
        let place = format::Place { identity, first_offset: 1, durable_up_to: 0, previous };
        let mut batch = Vec::new();
        format::encode(&place, &[record(1, 10)], &mut batch);
        disk.pwrite(&disk.open(&tail_file(&disk)).unwrap(), 0, &batch).unwrap();
        assert_eq!(open(&disk, SEGMENT).report.last_offset, served);
    }
}

#[test]
fn a_payload_cannot_pass_for_a_batch() {
    // A user sends a whole batch as a message and the power is cut so that only the payload lands.
    let disk = FaultDisk::new(1);
    let mut log = open(&disk, SEGMENT).log;
    fill(&disk, &mut log, 1, 100);
    let mut forged = disk.device_bytes(&tail_file(&disk)).unwrap()[..512].to_vec();
    forged[8..16].copy_from_slice(&[0xee; 8]); // the log's id is what a user cannot know
    let file = disk.open(&tail_file(&disk)).unwrap();
    disk.pwrite(&file, 1024, &forged).unwrap();
    let opened = open(&disk, SEGMENT);
    assert_eq!(opened.report.last_offset, 1);
}

#[test]
fn a_dropped_batch_is_not_completed_by_a_later_torn_write() {
    let (disk, other) = (FaultDisk::new(1), FaultDisk::new(2));
    append(&mut open(&other, SEGMENT).log, &[record(1, 800)]).unwrap();
    let whole = other.device_bytes(&tail_file(&other)).unwrap();
    // Only the first of the batch's two sectors landed: it is dropped, and the owner is told.
    drop(open(&disk, SEGMENT));
    let file = disk.open(&tail_file(&disk)).unwrap();
    disk.pwrite(&file, 0, &whole[..512]).unwrap();
    assert_eq!(open(&disk, SEGMENT).report.dropped.unwrap().records, Some(1));
    // Of the next batch only the second sector lands, and it happens to carry the same bytes.
    disk.pwrite(&file, 512, &whole[512..1024]).unwrap();
    assert_eq!(open(&disk, SEGMENT).report.last_offset, 0);
}

#[test]
fn a_sealed_segment_ends_where_the_next_one_begins() {
    let disk = FaultDisk::new(1);
    fill(&disk, &mut open(&disk, SEGMENT).log, 3, 100);
    let next = "seg-00000002-0000000000000003-1122334455667788";
    let file = disk.create(next).unwrap();
    disk.pwrite(&file, 0, &[0; SEGMENT as usize]).unwrap();
    let mut opened = open(&disk, SEGMENT);
    assert_eq!(opened.report.last_offset, 2, "the third batch lies in the next one's range");
    assert_eq!(opened.report.findings.batches, 2);
    let appended = append(&mut opened.log, &[record(3, 5)]).unwrap();
    assert_eq!((appended.segment, appended.first_offset), (2, 3));
    assert_eq!(opened.reader().read_offset(3).unwrap().record, record(3, 5));
    assert_eq!(contents(open(&disk, SEGMENT).reader()), (vec![1, 2, 3], vec![]));
}

#[test]
fn segments_of_another_log_are_left_alone() {
    let disk = FaultDisk::new(1);
    fill(&disk, &mut open(&disk, SEGMENT).log, 10, 100);
    let foreign = "seg-00000007-0000000000000050-00000000000000aa";
    disk.create(foreign).unwrap();
    let opened = open(&disk, SEGMENT);
    assert_eq!((opened.report.foreign_segments, opened.report.last_offset), (1, 10));
    assert!(disk.list().unwrap().iter().any(|name| name == foreign));
}

#[test]
fn recovery_makes_a_batch_durable_that_only_the_page_cache_held() {
    for seed in 0..30 {
        let disk = FaultDisk::new(seed);
        let mut log = open(&disk, SEGMENT).log;
        append(&mut log, &[record(1, 10)]).unwrap();
        // The process dies between the write and the sync of the second batch.
        disk.stop_after(2);
        assert!(append(&mut log, &[record(2, 10)]).is_err());
        let disk = disk.kill();
        let report = open(&disk, SEGMENT).report;
        assert_eq!((report.last_offset, report.rewritten_bytes), (2, 512));
        assert_eq!(open(&disk.power_cut(), SEGMENT).report.last_offset, 2, "seed {seed}");
    }
}

#[test]
fn recovery_from_the_device_does_not_believe_the_page_cache() {
    let served = |seed, read_from| {
        let disk = FaultDisk::new(seed);
        let mut log = open(&disk, SEGMENT).log;
        disk.fail_next_sync();
        assert!(append(&mut log, &[record(1, 800)]).is_err());
        let from = OpenFrom { applied_offset: 0, read_from };
        let opened = Log::open(disk.kill(), options(SEGMENT), from).unwrap().ready().unwrap();
        opened.report.last_offset
    };
    let by_device: u64 = (0..30).map(|seed| served(seed, ReadFrom::Device)).sum();
    let by_cache: u64 = (0..30).map(|seed| served(seed, ReadFrom::Cache)).sum();
    assert_eq!(by_cache, 30, "the cache still shows every batch whose sync failed");
    assert!((1..30).contains(&by_device), "the device has only some: {by_device}");
}

#[test]
fn reading_through_the_cache_gives_the_same_log() {
    let disk = FaultDisk::new(1);
    fill(&disk, &mut open(&disk, SEGMENT).log, 20, 100);
    let from = OpenFrom { applied_offset: 0, read_from: ReadFrom::Cache };
    let opened = Log::open(disk, options(SEGMENT), from).unwrap().ready().unwrap();
    assert_eq!(opened.report.last_offset, 20);
}
