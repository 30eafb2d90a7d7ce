//! Growing DATA (p7) to the end of the card, as a pure function over sectors. The extended
//! partition p4 grows in the MBR first, then the link to p7's EBR, then p7's own entry: each is one
//! sector, and a cut between them leaves a table that is valid and is grown further next time.

use crate::limits::PARTITION_ALIGN_SECTORS;

/// Bytes in a sector of the partition table, whatever the card's own block is.
pub(crate) const SECTOR_BYTES: usize = 512;

pub(crate) type Sector = [u8; SECTOR_BYTES];

/// Where p7 lies, and what to write so that it reaches the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Sector writes in their order: (sector number, content). Empty when p7 is as large as can be.
    pub(crate) writes: Vec<(u64, Sector)>,
    /// First sector of p7.
    pub(crate) start: u64,
    /// Sectors of p7 after the writes.
    pub(crate) sectors: u64,
}

/// The table is not the one that the image has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TableError {
    #[error("sector {0} holds no partition table (its signature is missing)")]
    Signature(u64),
    #[error("the fourth partition is not an extended one")]
    NotExtended,
    #[error("the chain of logical partitions does not reach the seventh")]
    NoSeventh,
    #[error("the partition table points outside of itself at sector {0}")]
    Bounds(u64),
    #[error("sector {0} could not be read: {1}")]
    Read(u64, String),
}

/// Plans the growth. `read` hands out one sector; `disk_sectors` is the size of the card.
pub(crate) fn plan(
    disk_sectors: u64,
    mut read: impl FnMut(u64) -> Result<Sector, String>,
) -> Result<Plan, TableError> {
    let mut sector = |number| {
        let sector = read(number).map_err(|why| TableError::Read(number, why))?;
        let signed = sector[510..] == [0x55, 0xaa];
        if signed { Ok(sector) } else { Err(TableError::Signature(number)) }
    };
    // A table of 32-bit sector numbers ends at 2 TiB.
    let disk_end =
        disk_sectors.min(u64::from(u32::MAX)) / PARTITION_ALIGN_SECTORS * PARTITION_ALIGN_SECTORS;
    let mut mbr = sector(0)?;
    let mut p4 = Entry::read(&mbr, 3);
    if !p4.is_extended() {
        return Err(TableError::NotExtended);
    }
    let base = u64::from(p4.start);
    let (link_at, mut link_sector, ebr_at) = seventh(base, &mut sector)?;
    let mut ebr = sector(ebr_at)?;
    let mut p7 = Entry::read(&ebr, 0);
    let start = ebr_at + u64::from(p7.start);
    let end = disk_end.max(start + u64::from(p7.sectors));
    if p7.sectors == 0 || start <= ebr_at || end > disk_sectors {
        return Err(TableError::Bounds(ebr_at));
    }
    let mut link = Entry::read(&link_sector, 1);
    let mut writes = Vec::new();
    if p4.grow_to(end - base) {
        p4.write(&mut mbr, 3);
        writes.push((0, mbr));
    }
    if link.grow_to(end - ebr_at) {
        link.write(&mut link_sector, 1);
        writes.push((link_at, link_sector));
    }
    if p7.grow_to(end - start) {
        p7.write(&mut ebr, 0);
        writes.push((ebr_at, ebr));
    }
    Ok(Plan { writes, start, sectors: u64::from(p7.sectors) })
}

/// Follows p5 and p6 to the sector whose link entry names p7's EBR.
fn seventh(
    base: u64,
    sector: &mut impl FnMut(u64) -> Result<Sector, TableError>,
) -> Result<(u64, Sector, u64), TableError> {
    let mut at = base;
    for _ in 5..6 {
        let link = Entry::read(&sector(at)?, 1);
        at = follow(base, at, link)?;
    }
    let holder = sector(at)?;
    let next = follow(base, at, Entry::read(&holder, 1))?;
    Ok((at, holder, next))
}

/// The chain only goes forward, so it cannot loop.
fn follow(base: u64, at: u64, link: Entry) -> Result<u64, TableError> {
    if !link.is_extended() {
        return Err(TableError::NoSeventh);
    }
    let next = base + u64::from(link.start);
    if next > at { Ok(next) } else { Err(TableError::Bounds(at)) }
}

/// The parts of a table entry that matter here.
#[derive(Debug, Clone, Copy)]
struct Entry {
    kind: u8,
    start: u32,
    sectors: u32,
}

impl Entry {
    fn read(sector: &Sector, index: usize) -> Self {
        let at = 446 + 16 * index;
        let number = |at: usize| {
            u32::from_le_bytes([sector[at], sector[at + 1], sector[at + 2], sector[at + 3]])
        };
        Self { kind: sector[at + 4], start: number(at + 8), sectors: number(at + 12) }
    }

    /// Changes the length only: everything else stays as the image builder wrote it.
    fn write(self, sector: &mut Sector, index: usize) {
        let at = 446 + 16 * index + 12;
        sector[at..at + 4].copy_from_slice(&self.sectors.to_le_bytes());
    }

    fn is_extended(self) -> bool {
        matches!(self.kind, 0x05 | 0x0f | 0x85)
    }

    fn grow_to(&mut self, sectors: u64) -> bool {
        let grown = u32::try_from(sectors).unwrap_or(u32::MAX);
        let larger = grown > self.sectors;
        if larger {
            self.sectors = grown;
        }
        larger
    }
}

#[cfg(test)]
mod tests;
