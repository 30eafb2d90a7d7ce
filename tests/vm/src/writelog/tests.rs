//! Replays of small logs made here byte by byte.

use super::*;
use std::collections::BTreeSet;

const SECTOR: u64 = 512;

/// A log of (sector, content byte or none, sectors, flags), with QEMU's layout.
fn log(requests: &[(u64, u8, u64, u64)]) -> (tempfile::NamedTempFile, WriteLog) {
    let mut bytes = Vec::new();
    let mut block = |words: &[u64], tail: &[u8]| {
        let mut sector: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        sector.extend_from_slice(tail);
        sector.resize(SECTOR as usize, 0);
        bytes.extend_from_slice(&sector);
    };
    block(&[MAGIC, VERSION, requests.len() as u64], &512u32.to_le_bytes());
    for (sector, content, sectors, flags) in requests {
        block(&[*sector, *sectors, *flags, 0], &[]);
        if flags & DISCARD == 0 {
            (0..*sectors).for_each(|_| block(&[], &[*content; SECTOR as usize]));
        }
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let log = WriteLog::open(file.path()).unwrap();
    (file, log)
}

fn card_after(log: &WriteLog, flush: usize, seed: u64) -> Vec<u8> {
    let card = tempfile::tempfile().unwrap();
    card.set_len(8 * SECTOR).unwrap();
    log.replay(&card, Cut { flush, seed }).unwrap();
    let mut bytes = vec![0; 8 * SECTOR as usize];
    card.read_exact_at(&mut bytes, 0).unwrap();
    bytes.chunks(SECTOR as usize).map(|sector| sector[0]).collect()
}

#[test]
fn what_was_flushed_is_there_whatever_the_seed() {
    let (_file, log) = log(&[(0, 1, 1, 0), (1, 2, 1, 0), (0, 0, 0, FLUSH), (2, 3, 1, 0)]);
    assert_eq!(log.flushes(), 1);
    for seed in 0..50 {
        assert_eq!(card_after(&log, 1, seed)[..2], [1, 2]);
    }
}

#[test]
fn un_flushed_writes_are_kept_lost_torn_and_reordered() {
    let (_file, log) = log(&[(0, 1, 4, 0), (0, 2, 4, 0), (0, 0, 0, FLUSH)]);
    let seen: BTreeSet<Vec<u8>> = (0..3000).map(|seed| card_after(&log, 0, seed)).collect();
    let expected = [
        [0, 0, 0, 0], // both lost
        [1, 1, 1, 1], // first kept, second lost; or both kept, in the other order
        [2, 2, 2, 2],
        [1, 2, 2, 1], // second torn over the first
        [2, 1, 1, 2], // the same, in the other order
    ];
    for state in expected {
        let state: Vec<u8> = state.iter().chain(&[0; 4]).copied().collect();
        assert!(seen.contains(&state), "{state:?}");
    }
}

#[test]
fn a_write_with_force_unit_access_is_never_lost_once_a_later_one_is_there() {
    let (_file, log) = log(&[(0, 1, 1, FUA), (1, 2, 1, 0), (0, 0, 0, FLUSH)]);
    for seed in 0..100 {
        let card = card_after(&log, 0, seed);
        assert!(card[1] == 0 || card[0] == 1, "{card:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_card() {
    let (_file, log) = log(&[(0, 1, 4, 0), (4, 2, 4, 0), (2, 3, 4, 0)]);
    for seed in 0..20 {
        assert_eq!(card_after(&log, 0, seed), card_after(&log, 0, seed));
    }
}

#[test]
fn a_part_of_the_card_gets_only_its_own_writes_at_their_place_in_it() {
    let (_file, log) = log(&[(1, 1, 1, 0), (4, 2, 2, 0), (6, 3, 1, 0), (0, 0, 0, FLUSH)]);
    let copy = tempfile::tempfile().unwrap();
    copy.set_len(2 * SECTOR).unwrap();
    let part = Extent { start: 4 * SECTOR, bytes: 2 * SECTOR };
    log.replay_part(&copy, part, Cut { flush: 1, seed: 0 }).unwrap();
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut &copy, &mut bytes).unwrap();
    assert_eq!(bytes, [2; 2 * SECTOR as usize]);
}

#[test]
fn discards_become_zeros_and_carry_no_data_in_the_log() {
    let (_file, log) = log(&[(0, 1, 2, 0), (0, 0, 1, DISCARD), (3, 4, 1, 0), (0, 0, 0, FLUSH)]);
    assert_eq!(card_after(&log, 1, 0)[..4], [0, 1, 0, 4]);
}

#[test]
fn a_log_cut_short_ends_at_its_last_whole_entry() {
    let (file, whole) = log(&[(0, 1, 1, 0), (1, 2, 4, 0)]);
    let length = file.as_file().metadata().unwrap().len();
    file.as_file().set_len(length - 2 * SECTOR).unwrap();
    let cut = WriteLog::open(file.path()).unwrap();
    assert_eq!((whole.entries.len(), cut.entries.len()), (2, 1));
}

#[test]
fn a_damaged_log_is_refused() {
    let (file, _) = log(&[(0, 1, 1, 0)]);
    file.as_file().write_all_at(&u64::MAX.to_le_bytes(), SECTOR + 8).unwrap();
    assert!(WriteLog::open(file.path()).unwrap_err().to_string().contains("damaged"));
    std::fs::write(file.path(), [0; 512]).unwrap();
    assert!(WriteLog::open(file.path()).is_err());
}
