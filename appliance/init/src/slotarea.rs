//! The slot area on the card: loads the newest record and stores a changed one. The format and the
//! decisions are in `update::slots`; this file only does the reading and writing.

use std::io;

use update::claim::ProvisioningId;
use update::limits::SLOT_AREA_BYTES;
use update::slots::{DataMark, Found, SlotArea, find, find_older};

use crate::rawdisk::RawDisk;

/// What the card holds, kept in step with every store.
#[derive(Debug)]
pub(crate) struct SlotStore {
    disk: RawDisk,
    offset: u64,
    area: SlotArea,
    /// What the other copy says: it counts when this one's block is lost.
    older: Option<SlotArea>,
    sequence: u64,
    damaged: bool,
}

impl SlotStore {
    /// Reads the area that begins at `offset` bytes of the disk.
    pub(crate) fn load(disk: RawDisk, offset: u64) -> io::Result<Self> {
        let mut bytes = vec![0; SLOT_AREA_BYTES];
        // Each half by itself: a bad block in one copy must not take the other along.
        let (first, second) = bytes.split_at_mut(SLOT_AREA_BYTES / 2);
        let second_at = offset + first.len() as u64;
        match (disk.read(offset, first), disk.read(second_at, second)) {
            (Err(error), Err(_)) => return Err(error),
            (Err(_), Ok(())) => first.fill(0),
            (Ok(()), Err(_)) => second.fill(0),
            (Ok(()), Ok(())) => {}
        }
        let whole = "the buffer has the area's length";
        let (found, older) = (find(&bytes).expect(whole), find_older(&bytes).expect(whole));
        let damaged = found == Found::Damaged;
        let (area, sequence) = match found {
            Found::Record(area, sequence) => (area, sequence),
            Found::Damaged => (SlotArea::after_damage(), 0),
        };
        Ok(Self { disk, offset, area, older, sequence, damaged })
    }

    /// The state as it is on the card.
    pub(crate) fn area(&self) -> &SlotArea {
        &self.area
    }

    /// Whether no record can be read: a card has had one since its image was written.
    pub(crate) fn is_damaged(&self) -> bool {
        self.damaged
    }

    /// Counts ids as used that a lost area may have known as used: what a file orders was perhaps
    /// carried out long ago. They go to the card with the next store.
    pub(crate) fn distrust(&mut self, ids: impl IntoIterator<Item = ProvisioningId>) {
        for id in ids {
            // An area that was lost has an empty list, which has room.
            let _ = self.area.spend(id);
        }
    }

    /// Stores `area` unless it is what the card already holds.
    pub(crate) fn store(&mut self, area: SlotArea) -> io::Result<()> {
        if area == self.area && !self.damaged && self.sequence > 0 {
            return Ok(());
        }
        let write = area.write(self.sequence + 1);
        self.disk.write_verified(self.offset + write.offset as u64, &write.bytes)?;
        self.older = (self.sequence > 0).then(|| self.area.clone());
        self.sequence += 1;
        self.area = area;
        self.damaged = false;
        Ok(())
    }

    /// Orders a factory reset and ends the claim link `id`; an error is a sentence.
    pub(crate) fn order_reset(&mut self, id: Option<ProvisioningId>) -> Result<(), String> {
        let mut area = self.area.clone();
        area.order_reset(id).map_err(|error| format!("The box cannot be reset: {error}."))?;
        match self.store_for_ever(area) {
            // One copy has the order, and it counts: nobody may be told that it was refused.
            Err(_) if self.area.data == DataMark::ResetOrdered => Ok(()),
            stored => {
                stored.map_err(|error| format!("The slot area could not be written: {error}."))
            }
        }
    }

    /// Stores what must never be taken back, the mark of DATA and spent claims, in both copies: one
    /// lost block must not bring a state back in which DATA would be made anew.
    pub(crate) fn store_for_ever(&mut self, area: SlotArea) -> io::Result<()> {
        self.store(area)?;
        if self.older.as_ref() == Some(&self.area) {
            return Ok(());
        }
        let again = self.area.write(self.sequence + 1);
        self.disk.write_verified(self.offset + again.offset as u64, &again.bytes)?;
        self.older = Some(self.area.clone());
        self.sequence += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    use super::*;

    const AT: u64 = 8192;

    fn blank_card() -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(AT + SLOT_AREA_BYTES as u64).unwrap();
        file
    }

    /// As the image writes it.
    fn card() -> File {
        let file = blank_card();
        for write in SlotArea::shipped() {
            file.write_all_at(&write.bytes, AT + write.offset as u64).unwrap();
        }
        file
    }

    /// A card whose both copies say something else than a record.
    fn damaged_card() -> File {
        let file = card();
        for copy in [0, SLOT_AREA_BYTES / 2] {
            file.write_all_at(b"LINSLOT1 but torn", AT + copy as u64).unwrap();
        }
        file
    }

    fn load(file: &File) -> SlotStore {
        SlotStore::load(RawDisk::from(file.try_clone().unwrap()), AT).unwrap()
    }

    #[test]
    fn what_a_lost_area_may_have_known_as_used_stays_used_for_ever() {
        let file = damaged_card();
        let mut slots = load(&file);
        let id = ProvisioningId::from_random([5; 16]);
        slots.distrust([id]);
        assert!(slots.is_damaged());
        let area = slots.area().clone();
        slots.store_for_ever(area).unwrap();
        let again = load(&file);
        assert!(!again.is_damaged() && again.area().is_spent(&id));
        assert_eq!(again.area().data, DataMark::Made);
    }

    #[test]
    fn stored_state_is_there_after_the_next_start() {
        let file = card();
        let mut store = load(&file);
        assert!(store.area().data.is_to_be_made() && !store.is_damaged());
        for mark in [DataMark::Made, DataMark::NotMade, DataMark::Made] {
            let mut area = store.area().clone();
            area.data = mark;
            store.store(area).unwrap();
            assert_eq!(load(&file).area(), store.area());
        }
        assert_eq!(load(&file).sequence, 5);
        store.store(store.area().clone()).unwrap();
        assert_eq!(load(&file).sequence, 5, "an unchanged state costs no write");
    }

    #[test]
    fn mark_of_data_outlives_the_loss_of_either_copy() {
        for lost in [0, SLOT_AREA_BYTES / 2] {
            let file = card();
            let mut store = load(&file);
            let mut area = store.area().clone();
            area.data = DataMark::Made;
            store.store_for_ever(area.clone()).unwrap();
            file.write_all_at(&[0x55; 4096], AT + lost as u64).unwrap();
            let store = load(&file);
            assert!(!store.is_damaged());
            assert_eq!(store.area(), &area, "lost at {lost}");
        }
    }

    #[test]
    fn state_in_both_copies_costs_no_write_and_a_copy_left_behind_catches_up() {
        let file = card();
        let mut area = load(&file).area().clone();
        area.data = DataMark::Made;
        load(&file).store(area.clone()).unwrap();
        // The power went between the two writes.
        let mut store = load(&file);
        store.store_for_ever(area.clone()).unwrap();
        assert_eq!(load(&file).sequence, 4);
        load(&file).store_for_ever(area).unwrap();
        assert_eq!(load(&file).sequence, 4);
    }

    #[test]
    fn record_stored_over_damage_never_says_that_data_was_not_made() {
        let file = damaged_card();
        let mut store = load(&file);
        let mut area = store.area().clone();
        area.set_slot(update::slots::Slot::B, update::slots::SlotState::Written);
        store.store(area).unwrap();
        assert_eq!(load(&file).area().data, DataMark::Made);
    }

    #[test]
    fn blank_area_never_says_that_data_was_not_made() {
        for fill in [0, 0xff] {
            let file = blank_card();
            file.write_all_at(&[fill; SLOT_AREA_BYTES], AT).unwrap();
            let store = load(&file);
            assert!(store.is_damaged() && !store.area().data.is_to_be_made(), "{fill:#x}");
        }
    }

    #[test]
    fn damage_is_told_from_a_fresh_card_and_repaired_by_a_store() {
        let file = damaged_card();
        let mut store = load(&file);
        assert!(store.is_damaged());
        store.store(store.area().clone()).unwrap();
        assert!(!load(&file).is_damaged());
    }

    #[test]
    fn ordered_reset_outlives_the_loss_of_either_copy_and_its_claim_link_is_dead() {
        for lost in [0, SLOT_AREA_BYTES / 2] {
            let file = card();
            let id = ProvisioningId::from_random([7; 16]);
            load(&file).order_reset(Some(id)).unwrap();
            file.write_all_at(&[0x55; 4096], AT + lost as u64).unwrap();
            let store = load(&file);
            assert_eq!(store.area().data, DataMark::ResetOrdered);
            assert!(store.area().is_spent(&id));
        }
    }
}
