//! The replay guard: a record that crashes the program three times is skipped.

use crate::common::{fill, open};
use linnet_log::{Disk, FaultDisk, Item, ReplayGuard, Replayed, Verdict};

/// Replays offsets 1 to 5; the program dies while it interprets `poison`.
fn replay(disk: &FaultDisk, poison: u64) -> Result<Vec<u64>, u64> {
    let mut guard = ReplayGuard::open(disk.clone()).unwrap();
    let mut interpreted = Vec::new();
    for offset in 1..=5 {
        if guard.enter(offset).unwrap() == Verdict::Quarantined {
            continue;
        }
        if offset == poison {
            return Err(offset);
        }
        interpreted.push(offset);
    }
    guard.finish().unwrap();
    Ok(interpreted)
}

#[test]
fn a_record_that_crashes_replay_three_times_is_skipped_for_ever() {
    let mut disk = FaultDisk::new(1);
    for _ in 0..3 {
        assert_eq!(replay(&disk, 3), Err(3));
        disk = disk.kill();
    }
    assert_eq!(replay(&disk, 3), Ok(vec![1, 2, 4, 5]));
    let disk = disk.power_cut();
    assert_eq!(replay(&disk, 3), Ok(vec![1, 2, 4, 5]));
    assert_eq!(ReplayGuard::open(disk).unwrap().quarantined(), [3]);
}

#[test]
fn two_crashes_and_a_success_start_the_count_anew() {
    let disk = FaultDisk::new(1);
    for _ in 0..2 {
        for _ in 0..2 {
            assert_eq!(replay(&disk, 3), Err(3));
        }
        assert_eq!(replay(&disk, 0), Ok(vec![1, 2, 3, 4, 5]));
    }
}

#[test]
fn an_end_between_two_records_is_no_record_s_fault() {
    let disk = FaultDisk::new(1);
    for _ in 0..5 {
        let mut guard = ReplayGuard::open(disk.clone()).unwrap();
        assert_eq!(guard.enter(3).unwrap(), Verdict::Interpret);
        guard.rest().unwrap();
    }
    assert_eq!(replay(&disk, 0), Ok(vec![1, 2, 3, 4, 5]));
}

#[test]
fn a_rest_before_it_does_not_save_a_record_that_crashes() {
    let disk = FaultDisk::new(1);
    for _ in 0..3 {
        let mut guard = ReplayGuard::open(disk.clone()).unwrap();
        guard.enter(2).unwrap();
        guard.rest().unwrap();
        guard.enter(3).unwrap();
    }
    assert_eq!(replay(&disk, 3), Ok(vec![1, 2, 4, 5]));
}

#[test]
fn a_damaged_guard_counts_as_no_attempts() {
    let disk = FaultDisk::new(1);
    for _ in 0..3 {
        assert_eq!(replay(&disk, 3), Err(3));
    }
    assert!(disk.flip_bit("replay-guard", 8, 0));
    assert_eq!(replay(&disk, 0), Ok(vec![1, 2, 3, 4, 5]));
}

#[test]
fn quarantine_can_be_cleared_and_survives_nonsense_in_its_file() {
    let disk = FaultDisk::new(1);
    let file = disk.create("quarantine").unwrap();
    disk.pwrite(&file, 0, b"4\nnonsense\n2\n4\n-1\n").unwrap();
    assert_eq!(replay(&disk, 0), Ok(vec![1, 3, 5]));
    let mut guard = ReplayGuard::open(disk.clone()).unwrap();
    assert_eq!(guard.quarantined(), [2, 4]);
    guard.clear_quarantine().unwrap();
    assert_eq!(replay(&disk, 0), Ok(vec![1, 2, 3, 4, 5]));
}

#[test]
fn replay_yields_all_but_quarantined_records_and_says_what_is_damaged() {
    let disk = FaultDisk::new(1);
    fill(&disk, &mut open(&disk, 4096).log, 20, 100);
    disk.flip_bit(&disk.list().unwrap()[0], 512 * 2, 0);
    let file = disk.create("quarantine").unwrap();
    disk.pwrite(&file, 0, b"7\n").unwrap();
    let log = open(&disk, 4096).log;
    let guard = ReplayGuard::open(disk).unwrap();
    let mut offsets = Vec::new();
    let mut interpret = |item| match item {
        Item::Record(stored) => offsets.push(stored.offset),
        Item::Damaged(range) => assert_eq!((range.first, range.last), (3, 3)),
    };
    let replayed = guard.replay(log.reader(), 2, &mut interpret).unwrap();
    assert_eq!(replayed, Replayed { records: 17, damaged: 1, quarantined: vec![7] });
    assert_eq!(offsets, [2, 4, 5, 6].into_iter().chain(8..=20).collect::<Vec<_>>());
}
