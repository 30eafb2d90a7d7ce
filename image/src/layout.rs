//! Where everything lies on the card, computed from the manifest and the card's size (pure).
//!
//! Partitions are in disk order with all FAT first, each aligned to 1 MiB; every logical partition
//! has its EBR one MiB before its data, so that growing DATA rewrites two single sectors.

use crate::manifest::Manifest;
use thiserror::Error;

pub const SECTOR_BYTES: u64 = 512;
pub const MIB: u64 = 1 << 20;
const KIB: u64 = 1 << 10;
/// Alignment that suits every card's erase block divisor and every tool.
const ALIGN: u64 = MIB;
/// `zstd --long=27` finds the second slot only within this distance.
const SLOT_DISTANCE_MAX: u64 = 1 << 27;
/// Below this ext4 has no room for a journal, the log's segments and the reserve.
const DATA_BYTES_MIN: u64 = 64 * MIB;
/// An MBR counts sectors in 32 bits.
const CARD_BYTES_MAX: u64 = (u32::MAX as u64) * SECTOR_BYTES;

/// A run of bytes on the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    pub start: u64,
    pub bytes: u64,
}

impl Extent {
    pub fn end(self) -> u64 {
        self.start + self.bytes
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    pub disk_id: u32,
    pub card_bytes: u64,
    pub autoboot: Extent,
    pub boot: [Extent; 2],
    pub slot_area: Extent,
    /// From the first EBR to the end of DATA.
    pub extended: Extent,
    /// Sectors that hold the chain of logical partitions: ROOT-A, ROOT-B, DATA.
    pub ebr: [u64; 3],
    pub root: [Extent; 2],
    pub data: Extent,
}

#[derive(Debug, Error, PartialEq, Eq)]
pub enum LayoutError {
    #[error("the card has {have} MiB; this image needs at least {need} MiB")]
    CardTooSmall { have: u64, need: u64 },
    #[error("the card is larger than the 2 TiB that an MBR can describe")]
    CardTooLarge,
    #[error("the slots lie {0} bytes apart; zstd finds copies only within 2^27")]
    SlotsTooFarApart(u64),
}

impl Layout {
    pub fn compute(manifest: &Manifest, card_bytes: u64) -> Result<Self, LayoutError> {
        let sizes = &manifest.partitions;
        let autoboot = Extent { start: ALIGN, bytes: sizes.autoboot_mib * MIB };
        let boot = pair(autoboot.end(), sizes.boot_mib * MIB, 0);
        let slot_area = Extent { start: boot[1].end(), bytes: sizes.slot_area_kib * KIB };
        let extended_start = slot_area.end().next_multiple_of(ALIGN);
        let root = pair(extended_start + ALIGN, sizes.root_mib * MIB, ALIGN);
        let data_start = root[1].end() + ALIGN;
        check(card_bytes, data_start, &root)?;
        let end = card_bytes / ALIGN * ALIGN;
        Ok(Self {
            disk_id: manifest.card.disk_id,
            card_bytes,
            autoboot,
            boot,
            slot_area,
            extended: Extent { start: extended_start, bytes: end - extended_start },
            ebr: [extended_start, root[0].end(), root[1].end()],
            root,
            data: Extent { start: data_start, bytes: end - data_start },
        })
    }

    /// Primary and logical partitions by their number, as the kernel counts them.
    pub fn partition(&self, number: u32) -> Option<Extent> {
        match number {
            1 => Some(self.autoboot),
            2 | 3 => Some(self.boot[number as usize - 2]),
            4 => Some(self.extended),
            5 | 6 => Some(self.root[number as usize - 5]),
            7 => Some(self.data),
            _ => None,
        }
    }
}

/// Two equal extents with `gap` bytes between them.
fn pair(start: u64, bytes: u64, gap: u64) -> [Extent; 2] {
    [Extent { start, bytes }, Extent { start: start + bytes + gap, bytes }]
}

fn check(card_bytes: u64, data_start: u64, root: &[Extent; 2]) -> Result<(), LayoutError> {
    let need = data_start + DATA_BYTES_MIN;
    if card_bytes < need {
        return Err(LayoutError::CardTooSmall { have: card_bytes / MIB, need: need.div_ceil(MIB) });
    }
    if card_bytes > CARD_BYTES_MAX {
        return Err(LayoutError::CardTooLarge);
    }
    let distance = root[1].start - root[0].start;
    if distance >= SLOT_DISTANCE_MAX {
        return Err(LayoutError::SlotsTooFarApart(distance));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(card_mib: u64) -> Result<Layout, LayoutError> {
        Layout::compute(&Manifest::load().unwrap(), card_mib * MIB)
    }

    #[test]
    fn partitions_are_in_disk_order_and_never_overlap() {
        let layout = layout(512).unwrap();
        let [a, b] = layout.boot;
        let [ra, rb] = layout.root;
        let order = [layout.autoboot, a, b, layout.slot_area, ra, rb, layout.data];
        for two in order.windows(2) {
            assert!(two[0].end() <= two[1].start, "{two:?}");
        }
        assert_eq!(layout.data.end(), layout.card_bytes);
        assert_eq!(layout.extended.end(), layout.data.end());
    }

    #[test]
    fn every_ebr_lies_in_the_gap_before_its_partition() {
        let layout = layout(512).unwrap();
        let data = [layout.root[0], layout.root[1], layout.data];
        for (ebr, data) in layout.ebr.iter().zip(data) {
            assert_eq!(ebr + ALIGN, data.start);
        }
    }

    #[test]
    fn a_larger_card_only_makes_data_larger() {
        let (small, large) = (layout(512).unwrap(), layout(2048).unwrap());
        assert_eq!(small.root, large.root);
        assert_eq!(small.data.start, large.data.start);
        assert_eq!(large.data.bytes - small.data.bytes, 1536 * MIB);
    }

    #[test]
    fn a_card_that_is_too_small_or_too_large_is_refused_with_the_reason() {
        assert!(matches!(layout(256), Err(LayoutError::CardTooSmall { have: 256, .. })));
        assert_eq!(layout(3 << 20), Err(LayoutError::CardTooLarge));
    }

    #[test]
    fn slots_out_of_the_compressors_reach_are_refused() {
        let mut manifest = Manifest::load().unwrap();
        manifest.partitions.root_mib = 200;
        let error = Layout::compute(&manifest, 1024 * MIB).unwrap_err();
        assert!(matches!(error, LayoutError::SlotsTooFarApart(_)));
    }
}
