//! A card as the image builder makes it, and broken ones.

use std::collections::BTreeMap;

use super::*;

const P4: u64 = 329_728;
const EBR6: u64 = P4 + 250_000;
const EBR7: u64 = P4 + 500_000;
const DISK: u64 = 4_000_123;

type Card = BTreeMap<u64, Sector>;

fn put(sector: &mut Sector, index: usize, kind: u8, start: u64, sectors: u64) {
    let at = 446 + 16 * index;
    sector[at + 4] = kind;
    sector[at + 8..at + 12].copy_from_slice(&(start as u32).to_le_bytes());
    sector[at + 12..at + 16].copy_from_slice(&(sectors as u32).to_le_bytes());
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
}

fn card() -> Card {
    let mut sectors: Card = [0, P4, EBR6, EBR7].map(|at| (at, [0; 512])).into();
    put(sectors.get_mut(&0).unwrap(), 0, 0x0c, 2048, 65_536);
    put(sectors.get_mut(&0).unwrap(), 3, 0x05, P4, 600_000);
    put(sectors.get_mut(&P4).unwrap(), 0, 0x83, 2048, 245_760);
    put(sectors.get_mut(&P4).unwrap(), 1, 0x05, EBR6 - P4, 247_808);
    put(sectors.get_mut(&EBR6).unwrap(), 0, 0x83, 2048, 245_760);
    put(sectors.get_mut(&EBR6).unwrap(), 1, 0x05, EBR7 - P4, 100_000);
    put(sectors.get_mut(&EBR7).unwrap(), 0, 0x83, 2048, 97_952);
    sectors
}

fn plan_of(card: &Card, disk: u64) -> Result<Plan, TableError> {
    plan(disk, |at| card.get(&at).copied().ok_or_else(|| "no such sector".to_owned()))
}

#[test]
fn data_grows_to_the_aligned_end_of_the_card_in_three_writes() {
    let plan = plan_of(&card(), DISK).unwrap();
    let end = DISK / 2048 * 2048;
    assert_eq!(plan.start, EBR7 + 2048);
    assert_eq!(plan.start + plan.sectors, end);
    assert_eq!(plan.writes.iter().map(|write| write.0).collect::<Vec<_>>(), [0, EBR6, EBR7]);
    assert_eq!(u64::from(Entry::read(&plan.writes[0].1, 3).sectors), end - P4);
    assert_eq!(u64::from(Entry::read(&plan.writes[2].1, 0).sectors), plan.sectors);
    // Nothing but lengths changed.
    for (at, sector) in &plan.writes {
        let changed = sector.iter().zip(&card()[at]).filter(|(a, b)| a != b).count();
        assert!(changed <= 4, "sector {at}");
    }
}

#[test]
fn cut_after_any_write_is_finished_by_the_next_boot() {
    let whole = plan_of(&card(), DISK).unwrap();
    for done in 0..=whole.writes.len() {
        let mut cut = card();
        cut.extend(whole.writes[..done].iter().copied());
        let rest = plan_of(&cut, DISK).unwrap();
        assert_eq!(rest.writes, whole.writes[done..]);
        assert_eq!((rest.start, rest.sectors), (whole.start, whole.sectors));
    }
}

#[test]
fn full_card_and_smaller_card_are_left_alone() {
    let mut grown = card();
    grown.extend(plan_of(&card(), DISK).unwrap().writes);
    assert!(plan_of(&grown, DISK).unwrap().writes.is_empty());
    assert_eq!(plan_of(&grown, DISK - 500_000), Err(TableError::Bounds(EBR7)));
}

#[test]
fn table_of_two_tebibytes_is_the_end() {
    let plan = plan_of(&card(), 1 << 33).unwrap();
    assert!(plan.start + plan.sectors <= u64::from(u32::MAX));
}

#[test]
fn foreign_and_damaged_tables_are_refused() {
    let mut no_signature = card();
    no_signature.get_mut(&P4).unwrap()[510] = 0;
    assert_eq!(plan_of(&no_signature, DISK), Err(TableError::Signature(P4)));
    let mut primary = card();
    put(primary.get_mut(&0).unwrap(), 3, 0x83, P4, 600_000);
    assert_eq!(plan_of(&primary, DISK), Err(TableError::NotExtended));
    let mut short = card();
    put(short.get_mut(&EBR6).unwrap(), 1, 0, 0, 0);
    assert_eq!(plan_of(&short, DISK), Err(TableError::NoSeventh));
    let mut looping = card();
    put(looping.get_mut(&EBR6).unwrap(), 1, 0x05, 0, 100);
    assert_eq!(plan_of(&looping, DISK), Err(TableError::Bounds(EBR6)));
    let mut outside = card();
    put(outside.get_mut(&P4).unwrap(), 1, 0x05, 3_000_000, 100);
    assert!(matches!(plan_of(&outside, DISK), Err(TableError::Read(..))));
}
