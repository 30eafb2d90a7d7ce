//! The raw slot area: 64 KiB outside every file system that survive updates and factory resets.
//! Two copies of one record; a write goes to the copy that does not hold the newest one, so a torn
//! write leaves the previous state. Callers do the I/O, synchronously, and read back.
//! An image ships with both copies written: a blank area is no fresh card but one that lost blocks.
//!
//! Copy: magic (8), sequence u64, body length u32, zero u32, SHA-256 of all that and the body (32),
//! body (postcard of the state), zeros up to a multiple of 4096. All numbers little endian.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Slot, SlotState};
use crate::claim::ProvisioningId;
use crate::cut;
use crate::limits::{
    REASON_BYTES_MAX, SLOT_AREA_BYTES, SLOT_COPY_B_OFFSET, SLOT_COPY_BYTES, SPENT_IDS_MAX,
};

const MAGIC: [u8; 8] = *b"LINSLOT1";
const HEAD_BYTES: usize = 24;
const BODY_OFFSET: usize = HEAD_BYTES + 32;
/// Copies are written in whole blocks of what cards and O_DIRECT like.
const BLOCK_BYTES: usize = 4096;

/// What must outlive everything else on the card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotArea {
    /// The slots, A first.
    pub slots: [SlotState; 2],
    /// Whether DATA may be made.
    pub data: DataMark,
    spent_ids: Vec<ProvisioningId>,
}

/// What is known about the file system of DATA. On the card it is one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DataMark {
    /// It was not made yet: the first boot makes it.
    NotMade,
    /// Set after mkfs and its sync: from then on DATA is never made again by itself.
    Made,
    /// The owner ordered a factory reset: the next boot makes it anew, and if that is cut, the one
    /// after it.
    ResetOrdered,
}

impl DataMark {
    /// Whether a file system has to be made, whatever lies on the partition.
    pub fn is_to_be_made(self) -> bool {
        self != Self::Made
    }
}

/// The record could not be used or extended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AreaError {
    /// Fewer bytes than the area has.
    #[error("the slot area has {bytes} bytes instead of {SLOT_AREA_BYTES}")]
    Length {
        /// How many were handed in.
        bytes: usize,
    },
    /// No more room for spent ids.
    #[error("this card was claimed {SPENT_IDS_MAX} times, its list is full; flash a new card")]
    SpentIdsFull,
}

/// What a look at the area found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The newest valid record and its sequence number.
    Record(SlotArea, u64),
    /// No copy is valid, be they blank or not. DATA must not be made anew on this ground.
    Damaged,
}

/// One synchronous write that makes a record durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Where, in bytes from the start of the area.
    pub offset: usize,
    /// What, a multiple of 4096 bytes.
    pub bytes: Vec<u8>,
}

impl SlotArea {
    /// The state of a freshly flashed card: both slots are shipped filled and good.
    pub fn fresh() -> Self {
        Self {
            slots: [SlotState::Good, SlotState::Good],
            data: DataMark::NotMade,
            spent_ids: Vec::new(),
        }
    }

    /// What an image writes into the area: only these words allow the first boot to make DATA. In
    /// both copies, so that one bad block does not keep a new card from starting.
    pub fn shipped() -> [Write; 2] {
        [1, 2].map(|sequence| Self::fresh().write(sequence))
    }

    /// What counts while no copy can be read: DATA may hold years of somebody's life, so whatever
    /// is stored on this ground says that it was made.
    pub fn after_damage() -> Self {
        Self { data: DataMark::Made, ..Self::fresh() }
    }

    /// State of one slot.
    pub fn slot(&self, slot: Slot) -> &SlotState {
        &self.slots[slot.index()]
    }

    /// Changes the state of one slot; a reason is cut to its limit.
    pub fn set_slot(&mut self, slot: Slot, state: SlotState) {
        self.slots[slot.index()] = match state {
            SlotState::Bad { reason } => {
                SlotState::Bad { reason: cut(&reason, REASON_BYTES_MAX).to_owned() }
            }
            state => state,
        };
    }

    /// Whether a claim with this provisioning was already made.
    pub fn is_spent(&self, id: &ProvisioningId) -> bool {
        self.spent_ids.contains(id)
    }

    /// Marks a provisioning as used; doing it twice changes nothing.
    ///
    /// # Errors
    /// [`AreaError::SpentIdsFull`]; nothing changes then.
    pub fn spend(&mut self, id: ProvisioningId) -> Result<(), AreaError> {
        if self.is_spent(&id) {
            return Ok(());
        }
        if self.spent_ids.len() >= SPENT_IDS_MAX {
            return Err(AreaError::SpentIdsFull);
        }
        self.spent_ids.push(id);
        Ok(())
    }

    /// Orders a factory reset and, with it, ends the claim link with this id.
    ///
    /// # Errors
    /// [`AreaError::SpentIdsFull`]; nothing changes then.
    pub fn order_reset(&mut self, id: Option<ProvisioningId>) -> Result<(), AreaError> {
        if let Some(id) = id {
            self.spend(id)?;
        }
        self.data = DataMark::ResetOrdered;
        Ok(())
    }

    /// The write that stores this state under `sequence` (the one found, plus one).
    pub fn write(&self, sequence: u64) -> Write {
        let body = postcard::to_allocvec(self).expect("states, a flag and ids are postcard");
        let mut bytes = Vec::with_capacity(BODY_OFFSET + body.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&sequence.to_le_bytes());
        let length = u32::try_from(body.len()).expect("limits.rs: a body fits into a copy");
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        let checksum = checksum(&bytes, &body);
        bytes.extend_from_slice(&checksum);
        bytes.extend_from_slice(&body);
        bytes.resize(bytes.len().next_multiple_of(BLOCK_BYTES), 0);
        assert!(bytes.len() <= SLOT_COPY_BYTES, "limits.rs: a record fits into a copy");
        Write { offset: if sequence % 2 == 1 { 0 } else { SLOT_COPY_B_OFFSET }, bytes }
    }
}

/// Finds the newest valid record in the area's bytes.
///
/// # Errors
/// [`AreaError::Length`].
pub fn find(area: &[u8]) -> Result<Found, AreaError> {
    let copies = copies(area)?;
    let newest = copies.iter().filter_map(|copy| read_copy(copy)).max_by_key(|(_, seq)| *seq);
    Ok(match newest {
        Some((state, sequence)) => Found::Record(state, sequence),
        None => Found::Damaged,
    })
}

/// The state that counts when the newest copy is lost: none with fewer than two valid copies.
///
/// # Errors
/// [`AreaError::Length`].
pub fn find_older(area: &[u8]) -> Result<Option<SlotArea>, AreaError> {
    let [a, b] = copies(area)?.map(read_copy);
    let older = a.zip(b).map(|(a, b)| if a.1 < b.1 { a.0 } else { b.0 });
    Ok(older)
}

fn copies(area: &[u8]) -> Result<[&[u8]; 2], AreaError> {
    if area.len() != SLOT_AREA_BYTES {
        return Err(AreaError::Length { bytes: area.len() });
    }
    Ok([&area[..SLOT_COPY_BYTES], &area[SLOT_COPY_B_OFFSET..][..SLOT_COPY_BYTES]])
}

fn read_copy(copy: &[u8]) -> Option<(SlotArea, u64)> {
    let (head, rest) = copy.split_at(HEAD_BYTES);
    let (stored, rest) = rest.split_at(32);
    let sequence = u64::from_le_bytes(head[8..16].try_into().ok()?);
    let length = u32::from_le_bytes(head[16..20].try_into().ok()?);
    let body = rest.get(..usize::try_from(length).ok()?)?;
    if head[..8] != MAGIC || stored != checksum(head, body).as_slice() {
        return None;
    }
    match postcard::take_from_bytes(body) {
        Ok((state, [])) => Some((state, sequence)),
        _ => None,
    }
}

fn checksum(head: &[u8], body: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(head).chain_update(body).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blank() -> Vec<u8> {
        vec![0; SLOT_AREA_BYTES]
    }

    fn apply(area: &mut [u8], write: &Write) {
        area[write.offset..][..write.bytes.len()].copy_from_slice(&write.bytes);
    }

    fn id(number: u32) -> ProvisioningId {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&number.to_le_bytes());
        ProvisioningId::from_random(bytes)
    }

    #[test]
    fn only_a_shipped_area_says_that_data_was_not_made_and_a_blank_one_does_not() {
        let mut area = blank();
        SlotArea::shipped().iter().for_each(|write| apply(&mut area, write));
        assert_eq!(find(&area), Ok(Found::Record(SlotArea::fresh(), 2)));
        assert_eq!(find_older(&area), Ok(Some(SlotArea::fresh())));
        assert_eq!(find(&blank()), Ok(Found::Damaged));
        assert_eq!(find(&vec![0xff; SLOT_AREA_BYTES]), Ok(Found::Damaged));
        assert_eq!(find(&[0; 512]), Err(AreaError::Length { bytes: 512 }));
    }

    #[test]
    fn newest_record_wins_and_the_write_spares_it() {
        let mut area = blank();
        let mut state = SlotArea::fresh();
        for sequence in 1..6 {
            let write = state.write(sequence);
            assert_eq!(write.bytes.len() % BLOCK_BYTES, 0);
            apply(&mut area, &write);
            assert_eq!(find(&area), Ok(Found::Record(state.clone(), sequence)));
            state.spend(id(sequence as u32)).unwrap();
            state.data = DataMark::Made;
        }
    }

    #[test]
    fn older_state_is_what_stays_when_the_newest_copy_is_lost() {
        let mut area = blank();
        let (first, second) = (SlotArea::fresh(), SlotArea::after_damage());
        assert_eq!(find_older(&area), Ok(None));
        apply(&mut area, &first.write(1));
        assert_eq!(find_older(&area), Ok(None));
        apply(&mut area, &second.write(2));
        assert_eq!(find_older(&area), Ok(Some(first)));
        apply(&mut area, &second.write(3));
        assert_eq!(find_older(&area), Ok(Some(second)));
    }

    #[test]
    fn write_torn_at_any_sector_leaves_the_state_before_or_after() {
        let mut area = blank();
        let before = SlotArea::fresh();
        apply(&mut area, &before.write(1));
        let mut after = before.clone();
        (0..SPENT_IDS_MAX as u32).for_each(|n| after.spend(id(n)).unwrap());
        let write = after.write(2);
        for sectors in 0..=write.bytes.len() / 512 {
            let mut torn = area.clone();
            torn[write.offset..][..sectors * 512].copy_from_slice(&write.bytes[..sectors * 512]);
            match find(&torn).unwrap() {
                Found::Record(state, 1) => assert_eq!(state, before),
                Found::Record(state, 2) => assert_eq!(state, after),
                other => panic!("{sectors} sectors: {other:?}"),
            }
        }
    }

    #[test]
    fn every_flipped_bit_of_the_record_is_noticed() {
        let mut area = blank();
        let state = SlotArea::fresh();
        let write = state.write(1);
        apply(&mut area, &write);
        let body = postcard::to_allocvec(&state).unwrap().len();
        for bit in 0..(BODY_OFFSET + body) * 8 {
            let mut flipped = area.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(find(&flipped), Ok(Found::Damaged), "bit {bit}");
        }
    }

    #[test]
    fn order_to_reset_ends_the_claim_link_or_changes_nothing() {
        let mut state = SlotArea::after_damage();
        state.order_reset(Some(id(7))).unwrap();
        assert!(state.data.is_to_be_made() && state.is_spent(&id(7)));
        let mut full = SlotArea::after_damage();
        (0..SPENT_IDS_MAX as u32).for_each(|number| full.spend(id(number)).unwrap());
        assert_eq!(full.order_reset(Some(id(9999))), Err(AreaError::SpentIdsFull));
        assert_eq!(full.data, DataMark::Made);
        assert_eq!(full.order_reset(Some(id(3))), Ok(()));
    }

    #[test]
    fn mark_is_one_byte_on_the_card_as_documented() {
        for (mark, byte) in
            [(DataMark::NotMade, 0), (DataMark::Made, 1), (DataMark::ResetOrdered, 2)]
        {
            assert_eq!(postcard::to_allocvec(&mark).unwrap(), [byte]);
        }
    }

    #[test]
    fn largest_record_fits_into_a_copy() {
        let mut state = SlotArea::fresh();
        for number in 0..SPENT_IDS_MAX as u32 {
            state.spend(id(number)).unwrap();
        }
        assert_eq!(state.spend(id(9999)), Err(AreaError::SpentIdsFull));
        assert_eq!(state.spend(id(0)), Ok(()));
        for slot in Slot::ALL {
            state.set_slot(slot, SlotState::Bad { reason: "é".repeat(REASON_BYTES_MAX) });
        }
        assert!(state.write(1).bytes.len() <= SLOT_COPY_BYTES);
        assert!(state.is_spent(&id(77)));
    }
}
