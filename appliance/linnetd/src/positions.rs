//! Where the records since the last checkpoint lie: the disk thread and replay note it, the index
//! thread takes it along into the store. Bounded by what the core leaves un-checkpointed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use log::Position;
use wire::ids::Offset;

/// Shared by the disk and the index thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct Positions(Arc<Mutex<BTreeMap<u64, Position>>>);

impl Positions {
    /// Notes where records lie.
    pub(crate) fn note(&self, places: impl IntoIterator<Item = (u64, Position)>) {
        self.lock().extend(places);
    }

    /// Where a record lies.
    pub(crate) fn get(&self, offset: Offset) -> Option<Position> {
        self.lock().get(&offset.0).copied()
    }

    /// Forgets what a checkpoint holds.
    pub(crate) fn forget(&self, applied: Offset) {
        let mut map = self.lock();
        *map = map.split_off(&(applied.0 + 1));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Position>> {
        self.0.lock().expect("no holder of this lock panics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_takes_what_it_holds_and_leaves_the_rest() {
        let positions = Positions::default();
        let place = |byte| Position { segment: 1, byte, index: 0 };
        positions.note([(1, place(0)), (2, place(512)), (5, place(1024))]);
        positions.forget(Offset(2));
        assert_eq!(positions.get(Offset(2)), None);
        assert_eq!(positions.get(Offset(5)), Some(place(1024)));
    }
}
