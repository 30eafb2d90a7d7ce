//! The fault disk itself: it must be as bad as it claims, or the other tests prove little.

use std::collections::BTreeSet;

use linnet_log::{Disk, DiskError, FaultDisk};

const OLD: [u8; 2048] = [1; 2048];
const NEW: [u8; 2048] = [2; 2048];

/// A durable file of four old sectors with four new ones in the page cache.
fn half_written(seed: u64) -> FaultDisk {
    let disk = FaultDisk::new(seed);
    let file = disk.create("file").unwrap();
    disk.pwrite(&file, 0, &OLD).unwrap();
    disk.sync_data(&file).unwrap();
    disk.sync_dir().unwrap();
    disk.pwrite(&file, 0, &NEW).unwrap();
    disk
}

fn cached(disk: &FaultDisk) -> Vec<u8> {
    let mut bytes = vec![0; 2048];
    let file = disk.open("file").unwrap();
    let got = disk.pread(&file, 0, &mut bytes).unwrap();
    bytes.truncate(got);
    bytes
}

#[test]
fn a_kill_keeps_the_page_cache_and_voids_old_handles() {
    let disk = half_written(1);
    let next = disk.kill();
    assert_eq!(cached(&next), NEW);
    assert_eq!(disk.open("file").err(), Some(DiskError::Stopped));
    assert_eq!(disk.sync_dir(), Err(DiskError::Stopped));
}

#[test]
fn a_power_cut_keeps_whole_sectors_in_every_combination() {
    let mut seen = BTreeSet::new();
    for seed in 0..400 {
        let bytes = cached(&half_written(seed).power_cut());
        for sector in bytes.chunks(512) {
            assert!(sector == &OLD[..512] || sector == &NEW[..512], "a sector is never torn");
        }
        seen.insert(bytes.chunks(512).map(|sector| sector[0]).collect::<Vec<_>>());
    }
    assert_eq!(seen.len(), 16, "each of the four sectors is kept or lost");
}

#[test]
fn a_power_cut_may_reorder_two_writes_to_one_sector() {
    let outcomes: BTreeSet<u8> = (0..200)
        .map(|seed| {
            let disk = half_written(seed);
            let file = disk.open("file").unwrap();
            disk.pwrite(&file, 0, &[3; 512]).unwrap();
            cached(&disk.power_cut())[0]
        })
        .collect();
    assert_eq!(outcomes, BTreeSet::from([1, 2, 3]));
}

#[test]
fn what_was_synced_survives_any_power_cut() {
    for seed in 0..100 {
        let disk = half_written(seed);
        disk.sync_data(&disk.open("file").unwrap()).unwrap();
        assert_eq!(cached(&disk.power_cut()), NEW);
    }
}

#[test]
fn names_survive_a_power_cut_only_after_the_folder_was_synced() {
    let mut seen = BTreeSet::new();
    for seed in 0..50 {
        let disk = half_written(seed);
        disk.rename("file", "other").unwrap();
        disk.create("third").unwrap();
        seen.insert(disk.power_cut().list().unwrap());
    }
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let prefixes = [names(&["file"]), names(&["other"]), names(&["other", "third"])];
    assert_eq!(seen, BTreeSet::from(prefixes));
}

#[test]
fn a_failed_sync_loses_pages_and_the_next_one_lies() {
    let mut lied = 0;
    for seed in 0..50 {
        let disk = half_written(seed);
        let file = disk.open("file").unwrap();
        disk.fail_next_sync();
        assert!(matches!(disk.sync_data(&file), Err(DiskError::Io { .. })));
        assert_eq!(disk.sync_data(&file), Ok(()), "the second call reports success");
        assert_eq!(cached(&disk), NEW, "the cache still shows what was written");
        let mut direct = vec![0; 2048];
        disk.pread_direct(&file, 0, &mut direct).unwrap();
        let after = cached(&disk.power_cut());
        assert_eq!(direct, after, "only a direct read tells the truth");
        lied += u32::from(after != NEW);
    }
    assert!(lied > 10);
}

#[test]
fn growth_beyond_the_capacity_is_refused_and_overwriting_is_not() {
    let disk = half_written(1);
    disk.set_capacity(2048);
    let file = disk.open("file").unwrap();
    assert_eq!(disk.pwrite(&file, 2047, &[0; 2]), Err(DiskError::NoSpace));
    assert_eq!(disk.pwrite(&file, 0, &OLD), Ok(()));
    assert_eq!(disk.free_bytes(), Ok(0));
}

#[test]
fn the_same_seed_fails_the_same_way() {
    for seed in 0..20 {
        let (a, b) = (half_written(seed).power_cut(), half_written(seed).power_cut());
        assert_eq!(a.device_bytes("file"), b.device_bytes("file"));
    }
}

#[test]
fn a_stopped_process_stays_stopped_until_the_next_one_starts() {
    let disk = half_written(1);
    disk.stop_after(2);
    let file = disk.open("file").unwrap();
    assert_eq!(disk.pwrite(&file, 0, &[5]), Ok(()));
    assert_eq!(disk.sync_data(&file), Err(DiskError::Stopped));
    assert_eq!(disk.open("file").err(), Some(DiskError::Stopped));
    assert_eq!(cached(&disk.kill())[0], 5);
}
