//! What the box knows about its own state, for the health page, init and the LED.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use crate::limits::CARD_LOW_BYTES;

/// Findings of recovery that are kept for the health page.
const NOTES_MAX: usize = 32;

/// Shared by all threads; written rarely.
#[derive(Debug, Default)]
pub(crate) struct Status {
    free_bytes: AtomicU64,
    card_full: AtomicBool,
    index_trouble: AtomicBool,
    progress: AtomicU64,
    notes: Mutex<Vec<String>>,
    probe: Mutex<Option<String>>,
}

/// One line of the health page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) ok: bool,
    pub(crate) text: String,
}

impl Status {
    pub(crate) fn set_free_bytes(&self, bytes: u64) {
        self.free_bytes.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn set_card_full(&self, full: bool) {
        self.card_full.store(full, Ordering::Relaxed);
    }

    pub(crate) fn set_index_trouble(&self, trouble: bool) {
        self.index_trouble.store(trouble, Ordering::Relaxed);
    }

    /// Finished work: it only grows.
    pub(crate) fn progress(&self) -> u64 {
        self.progress.load(Ordering::Relaxed)
    }

    pub(crate) fn advance(&self) {
        self.progress.fetch_add(1, Ordering::Relaxed);
    }

    /// Something that recovery found, once; shown until the next start.
    pub(crate) fn note(&self, text: String) {
        let mut notes = lock(&self.notes);
        if notes.len() < NOTES_MAX && !notes.contains(&text) {
            notes.push(text);
        }
    }

    /// Result of the last look through the health device: what is wrong, or nothing.
    pub(crate) fn set_probe(&self, trouble: Option<String>) {
        *lock(&self.probe) = trouble;
    }

    pub(crate) fn card_low(&self) -> bool {
        self.card_full.load(Ordering::Relaxed)
            || self.free_bytes.load(Ordering::Relaxed) < CARD_LOW_BYTES
    }

    /// The health page.
    pub(crate) fn lines(&self) -> Vec<Line> {
        let mut lines = vec![self.card_space(), self.index(), self.round_trip()];
        let notes = lock(&self.notes);
        lines.extend(notes.iter().map(|text| Line {
            name: "recovery",
            ok: false,
            text: text.clone(),
        }));
        lines
    }

    fn card_space(&self) -> Line {
        let megabytes = self.free_bytes.load(Ordering::Relaxed) / 1_000_000;
        let text = if self.card_full.load(Ordering::Relaxed) {
            "The card is full: new messages are refused. Restore a backup to a larger card."
                .to_owned()
        } else {
            format!("{megabytes} MB are free on the card.")
        };
        Line { name: "card_space", ok: !self.card_low(), text }
    }

    fn index(&self) -> Line {
        let trouble = self.index_trouble.load(Ordering::Relaxed);
        let text = if trouble {
            "The index could not be written; nothing is lost and it is tried again."
        } else {
            "The index is up to date."
        };
        Line { name: "index", ok: !trouble, text: text.into() }
    }

    fn round_trip(&self) -> Line {
        let trouble = lock(&self.probe).clone();
        let ok = trouble.is_none();
        let text = trouble.unwrap_or_else(|| "A message of the box to itself came back.".into());
        Line { name: "round_trip", ok, text }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no holder of these locks panics")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_card_and_a_lost_probe_are_not_healthy() {
        let status = Status::default();
        status.set_free_bytes(2 * CARD_LOW_BYTES);
        assert!(status.lines().iter().all(|line| line.ok));
        status.set_card_full(true);
        status.set_probe(Some("no answer".into()));
        let ill: Vec<_> =
            status.lines().into_iter().filter(|line| !line.ok).map(|line| line.name).collect();
        assert_eq!(ill, ["card_space", "round_trip"]);
    }

    #[test]
    fn notes_of_recovery_are_bounded() {
        let status = Status::default();
        (0..2 * NOTES_MAX).for_each(|n| status.note(n.to_string()));
        assert_eq!(status.lines().len(), 3 + NOTES_MAX);
    }
}
