//! The partition table as sectors, and back (pure): one MBR and a chain of three EBRs.
//!
//! Cylinder-head-sector fields are filled with the "use LBA" value; nothing that boots a Pi reads
//! them. The reader accepts any table that this writer or a partitioning tool makes, in bounds.

use crate::layout::{Extent, Layout, SECTOR_BYTES};
use thiserror::Error;

pub const SECTOR: usize = SECTOR_BYTES as usize;
pub const FAT16_LBA: u8 = 0x0e;
pub const EXTENDED_LBA: u8 = 0x0f;
pub const LINUX: u8 = 0x83;

const DISK_ID: usize = 440;
const TABLE: usize = 446;
const ENTRY: usize = 16;
const SIGNATURE: [u8; 2] = [0x55, 0xaa];
/// What tools write when an address does not fit a cylinder-head-sector field.
const CHS_USE_LBA: [u8; 3] = [0xfe, 0xff, 0xff];
/// More logical partitions than this is not a card of ours, and bounds a looping chain.
const LOGICAL_MAX: usize = 16;

/// One partition as found in a table, numbered as the kernel numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    pub number: u32,
    pub kind: u8,
    pub extent: Extent,
}

#[derive(Debug, Error)]
pub enum TableError {
    #[error("sector {0} does not end in 55 AA: this is not a partitioned card")]
    NoSignature(u64),
    #[error("the chain of logical partitions does not end")]
    EndlessChain,
    #[error("reading the partition table: {0}")]
    Read(#[from] std::io::Error),
}

/// Every sector of the table with its place on the card.
pub fn encode(layout: &Layout) -> Vec<(u64, [u8; SECTOR])> {
    let mut sectors = vec![(0, master(layout))];
    let parts = [layout.root[0], layout.root[1], layout.data];
    for (index, part) in parts.into_iter().enumerate() {
        let here = layout.ebr[index];
        let mut sector = [0; SECTOR];
        put(&mut sector, 0, LINUX, part.start - here, part.bytes);
        if let (Some(next), Some(next_part)) = (layout.ebr.get(index + 1), parts.get(index + 1)) {
            let bytes = next_part.end() - next;
            put(&mut sector, 1, EXTENDED_LBA, next - layout.extended.start, bytes);
        }
        sign(&mut sector);
        sectors.push((here, sector));
    }
    sectors
}

fn master(layout: &Layout) -> [u8; SECTOR] {
    let mut sector = [0; SECTOR];
    sector[DISK_ID..DISK_ID + 4].copy_from_slice(&layout.disk_id.to_le_bytes());
    let fats = [layout.autoboot, layout.boot[0], layout.boot[1]];
    for (index, fat) in fats.into_iter().enumerate() {
        put(&mut sector, index, FAT16_LBA, fat.start, fat.bytes);
    }
    put(&mut sector, 3, EXTENDED_LBA, layout.extended.start, layout.extended.bytes);
    sign(&mut sector);
    sector
}

/// `start` is relative to whatever the entry counts from; both fields are sectors on the card.
fn put(sector: &mut [u8; SECTOR], index: usize, kind: u8, start: u64, bytes: u64) {
    let sectors = |bytes: u64| {
        u32::try_from(bytes / SECTOR_BYTES).expect("layouts end below 2^32 sectors").to_le_bytes()
    };
    let entry = &mut sector[TABLE + index * ENTRY..][..ENTRY];
    entry[1..4].copy_from_slice(&CHS_USE_LBA);
    entry[4] = kind;
    entry[5..8].copy_from_slice(&CHS_USE_LBA);
    entry[8..12].copy_from_slice(&sectors(start));
    entry[12..16].copy_from_slice(&sectors(bytes));
}

fn sign(sector: &mut [u8; SECTOR]) {
    sector[SECTOR - 2..].copy_from_slice(&SIGNATURE);
}

/// Reads the table through `read_sector(byte offset)`.
pub fn decode(
    mut read_sector: impl FnMut(u64) -> std::io::Result<[u8; SECTOR]>,
) -> Result<Vec<Partition>, TableError> {
    let mut found = primary(&read_sector(0)?)?;
    if let Some(extended) = found.iter().find(|part| matches!(part.kind, 5 | EXTENDED_LBA)) {
        let base = extended.extent.start;
        found.extend(logical(base, read_sector)?);
    }
    Ok(found)
}

/// The partitions that the card's first sector names itself.
pub fn primary(master: &[u8; SECTOR]) -> Result<Vec<Partition>, TableError> {
    let master = signed(0, *master)?;
    let entries = (0..4).filter_map(|index| Some((index as u32 + 1, entry(&master, index)?)));
    Ok(entries.map(|(number, (kind, extent))| Partition { number, kind, extent }).collect())
}

/// What tells one disk from another; ours all have the manifest's.
pub fn disk_id(master: &[u8; SECTOR]) -> u32 {
    let bytes = master[DISK_ID..].first_chunk().expect("the id lies inside the sector");
    u32::from_le_bytes(*bytes)
}

fn logical(
    base: u64,
    mut read_sector: impl FnMut(u64) -> std::io::Result<[u8; SECTOR]>,
) -> Result<Vec<Partition>, TableError> {
    let mut found = Vec::new();
    let mut here = base;
    for number in 5..5 + LOGICAL_MAX as u32 {
        let sector = signed(here, read_sector(here)?)?;
        if let Some((kind, extent)) = entry(&sector, 0) {
            let extent = Extent { start: here + extent.start, ..extent };
            found.push(Partition { number, kind, extent });
        }
        match entry(&sector, 1) {
            Some((_, next)) => here = base + next.start,
            None => return Ok(found),
        }
    }
    Err(TableError::EndlessChain)
}

fn signed(offset: u64, sector: [u8; SECTOR]) -> Result<[u8; SECTOR], TableError> {
    let ok = sector.ends_with(&SIGNATURE);
    ok.then_some(sector).ok_or(TableError::NoSignature(offset / SECTOR_BYTES))
}

fn entry(sector: &[u8; SECTOR], index: usize) -> Option<(u8, Extent)> {
    let entry = &sector[TABLE + index * ENTRY..][..ENTRY];
    let field = |at: usize| {
        let bytes = entry[at..].first_chunk::<4>().expect("an entry has 16 bytes");
        u64::from(u32::from_le_bytes(*bytes)) * SECTOR_BYTES
    };
    let extent = Extent { start: field(8), bytes: field(12) };
    (entry[4] != 0 && extent.bytes != 0).then_some((entry[4], extent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::MIB;
    use crate::manifest::Manifest;
    use std::collections::HashMap;

    fn table() -> (Layout, HashMap<u64, [u8; SECTOR]>) {
        let layout = Layout::compute(&Manifest::load().unwrap(), 512 * MIB).unwrap();
        let sectors = encode(&layout).into_iter().collect();
        (layout, sectors)
    }

    #[test]
    fn what_is_written_is_read_back_as_the_layout() {
        let (layout, sectors) = table();
        let found = decode(|offset| Ok(sectors[&offset])).unwrap();
        assert_eq!(found.len(), 7);
        for part in found {
            assert_eq!(Some(part.extent), layout.partition(part.number), "p{}", part.number);
        }
    }

    #[test]
    fn a_blank_card_is_refused() {
        let error = decode(|_| Ok([0; SECTOR])).unwrap_err();
        assert!(matches!(error, TableError::NoSignature(0)));
    }

    #[test]
    fn a_chain_that_points_at_itself_ends_with_an_error() {
        let (layout, mut sectors) = table();
        let first = sectors.get_mut(&layout.ebr[0]).unwrap();
        put(first, 1, EXTENDED_LBA, 0, MIB);
        let error = decode(|offset| Ok(sectors[&offset])).unwrap_err();
        assert!(matches!(error, TableError::EndlessChain));
    }
}
