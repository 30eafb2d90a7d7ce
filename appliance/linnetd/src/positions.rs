//! Where the records since the last checkpoint lie: the disk thread and replay note it, the index
//! thread takes it along into the store. Bounded by what the core leaves un-checkpointed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use log::Position;
use wire::ids::Offset;

/// Shared by the disk and the index thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct Positions(Arc<Mutex<VecDeque<(u64, Position)>>>);

/// What a checkpoint looks up, held still meanwhile only for a moment: a copy.
#[derive(Clone, Debug)]
pub(crate) struct Places(Vec<(u64, Position)>);

impl Positions {
    /// Notes where records lie, from `first` on, in place of all that was noted from there on.
    pub(crate) fn note(&self, first: u64, places: impl IntoIterator<Item = Position>) {
        let mut list = self.lock();
        let end = list.partition_point(|(offset, _)| *offset < first);
        list.truncate(end);
        list.extend((first..).zip(places));
    }

    /// Where the records up to `applied` lie.
    pub(crate) fn up_to(&self, applied: Offset) -> Places {
        let list = self.lock();
        let end = list.partition_point(|(offset, _)| *offset <= applied.0);
        Places(list.range(..end).copied().collect())
    }

    /// Forgets what a checkpoint holds.
    pub(crate) fn forget(&self, applied: Offset) {
        let mut list = self.lock();
        let end = list.partition_point(|(offset, _)| *offset <= applied.0);
        list.drain(..end);
        if list.len() * 4 < list.capacity() {
            let twice = list.len() * 2;
            list.shrink_to(twice);
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(u64, Position)>> {
        self.0.lock().expect("no holder of this lock panics")
    }
}

impl Places {
    /// Where a record lies.
    pub(crate) fn get(&self, offset: Offset) -> Option<Position> {
        let first = self.0.first()?.0;
        let guess = usize::try_from(offset.0.checked_sub(first)?).ok()?;
        match self.0.get(guess) {
            Some((known, position)) if *known == offset.0 => Some(*position),
            // Records that damage took leave gaps.
            _ => {
                let at = self.0.binary_search_by_key(&offset.0, |(known, _)| *known).ok()?;
                Some(self.0[at].1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_takes_what_it_holds_and_leaves_the_rest() {
        let positions = Positions::default();
        let place = |byte| Position { segment: 1, byte, index: 0 };
        positions.note(1, [place(0), place(512)]);
        positions.note(5, [place(1024)]);
        let all = positions.up_to(Offset(5));
        assert_eq!(all.get(Offset(2)), Some(place(512)));
        assert_eq!(all.get(Offset(3)), None);
        assert_eq!(all.get(Offset(5)), Some(place(1024)));
        positions.forget(Offset(2));
        let rest = positions.up_to(Offset(9));
        assert_eq!(rest.get(Offset(2)), None);
        assert_eq!(rest.get(Offset(5)), Some(place(1024)));
    }
}
