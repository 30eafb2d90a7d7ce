//! Records on their way from the core to the disk thread. Whatever lies here when the disk is free
//! goes into one batch: the core never waits, and a sync carries all that came during the last.
//!
//! What is not durable yet is bounded by the core, which refuses commands beyond its share.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use chat::Entry;

/// Both ends; the core closes it by dropping its [`Tray`].
#[derive(Default)]
struct Shared {
    records: Mutex<Records>,
    filled: Condvar,
}

#[derive(Default)]
struct Records {
    entries: Vec<Entry>,
    closed: bool,
}

/// The core's end.
pub(crate) struct Tray(Arc<Shared>);

/// The disk thread's end.
pub(crate) struct Taker(Arc<Shared>);

/// Makes a tray.
pub(crate) fn tray() -> (Tray, Taker) {
    let shared = Arc::<Shared>::default();
    (Tray(Arc::clone(&shared)), Taker(shared))
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Records> {
        // A panic ends the process, so nobody sees a half-made change.
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tray {
    /// Puts records down, in order, behind those that lie there.
    pub(crate) fn put(&self, entries: &mut Vec<Entry>) {
        let mut records = self.0.lock();
        if records.entries.is_empty() {
            std::mem::swap(&mut records.entries, entries);
            self.0.filled.notify_one();
        } else {
            records.entries.append(entries);
        }
    }
}

impl Drop for Tray {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.filled.notify_one();
    }
}

impl Taker {
    /// Waits for records and takes all of them; none when the core is gone and nothing is left.
    pub(crate) fn take(&self) -> Option<Vec<Entry>> {
        let records = self.0.lock();
        let waiting = |records: &mut Records| records.entries.is_empty() && !records.closed;
        let filled = self.0.filled.wait_while(records, waiting);
        let mut records = filled.unwrap_or_else(PoisonError::into_inner);
        let entries = std::mem::take(&mut records.entries);
        (!entries.is_empty()).then_some(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::ids::{Counter, DeviceId, Offset, TimeMs, UserId};
    use wire::record::CursorsMoved;

    fn entry(offset: u64) -> Entry {
        let (actor, device, counter) = (UserId(0), DeviceId(0), Counter(0));
        let body = CursorsMoved { cursors: Vec::new() }.into();
        Entry { offset: Offset(offset), time: TimeMs(1), actor, device, counter, body }
    }

    fn offsets(taken: Option<Vec<Entry>>) -> Option<Vec<u64>> {
        taken.map(|entries| entries.iter().map(|entry| entry.offset.0).collect())
    }

    #[test]
    fn all_that_was_put_is_taken_at_once_in_order_and_the_end_comes_after_the_last() {
        let (tray, taker) = tray();
        tray.put(&mut vec![entry(1), entry(2)]);
        tray.put(&mut vec![entry(3)]);
        assert_eq!(offsets(taker.take()), Some(vec![1, 2, 3]));
        tray.put(&mut vec![entry(4)]);
        drop(tray);
        assert_eq!(offsets(taker.take()), Some(vec![4]));
        assert_eq!(offsets(taker.take()), None);
    }

    #[test]
    fn who_waits_is_woken_by_records_and_by_the_end() {
        let (tray, taker) = tray();
        let waiter = std::thread::spawn(move || (offsets(taker.take()), offsets(taker.take())));
        std::thread::sleep(std::time::Duration::from_millis(10));
        tray.put(&mut vec![entry(1)]);
        std::thread::sleep(std::time::Duration::from_millis(10));
        drop(tray);
        assert_eq!(waiter.join().unwrap(), (Some(vec![1]), None));
    }
}
