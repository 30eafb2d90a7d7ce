//! The connection table: slots that are reused, told apart by generations.
//!
//! A slot is freed only after its last operation ended; a stale key finds nothing.

use wire::session::GENERATION_MASK;

/// One use of one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) generation: u32,
    pub(crate) slot: u32,
}

/// Slots up to a limit; memory is taken as they are used.
pub(crate) struct Table<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    slots_max: u32,
}

struct Slot<T> {
    generation: u32,
    value: Option<Box<T>>,
}

impl<T> Table<T> {
    pub(crate) fn new(slots_max: u32) -> Self {
        Self { slots: Vec::new(), free: Vec::new(), slots_max }
    }

    /// Puts a value into a free slot; gives it back when there is none.
    pub(crate) fn insert(&mut self, value: Box<T>) -> Result<Key, Box<T>> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => match u32::try_from(self.slots.len()) {
                Ok(slot) if slot < self.slots_max => {
                    self.slots.push(Slot { generation: 0, value: None });
                    slot
                }
                _ => return Err(value),
            },
        };
        let place = &mut self.slots[slot as usize];
        place.value = Some(value);
        Ok(Key { generation: place.generation, slot })
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let place = self.slots.get_mut(key.slot as usize)?;
        (place.generation == key.generation).then_some(place.value.as_deref_mut()).flatten()
    }

    /// Frees the slot; keys to its value are stale from now on.
    pub(crate) fn remove(&mut self, key: Key) -> Option<Box<T>> {
        self.get_mut(key)?;
        let place = &mut self.slots[key.slot as usize];
        place.generation = (place.generation + 1) & GENERATION_MASK as u32;
        self.free.push(key.slot);
        place.value.take()
    }

    /// Keys of all values, in order of their slots.
    pub(crate) fn keys(&self) -> Vec<Key> {
        let keys = self.slots.iter().zip(0..).filter(|(place, _)| place.value.is_some());
        keys.map(|(place, slot)| Key { generation: place.generation, slot }).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_reused_and_its_old_key_finds_nothing() {
        let mut table = Table::new(1);
        let old = table.insert(Box::new('a')).unwrap();
        assert_eq!(table.insert(Box::new('b')), Err(Box::new('b')));
        assert_eq!(table.remove(old), Some(Box::new('a')));
        assert_eq!(table.remove(old), None);
        let new = table.insert(Box::new('b')).unwrap();
        assert_eq!((new.slot, new.generation), (old.slot, old.generation + 1));
        assert_eq!(table.get_mut(old), None);
        assert_eq!(table.get_mut(new), Some(&mut 'b'));
        assert_eq!((table.len(), table.keys()), (1, vec![new]));
    }

    #[test]
    fn generations_wrap_within_their_bits() {
        let mut table = Table::new(1);
        let key = table.insert(Box::new(())).unwrap();
        table.slots[0].generation = GENERATION_MASK as u32;
        let last = Key { generation: GENERATION_MASK as u32, ..key };
        assert!(table.remove(last).is_some());
        assert_eq!(table.insert(Box::new(())).unwrap().generation, 0);
    }
}
