//! The disk thread: the log's only writer. While one batch is being synced the core collects the
//! next; the slower the card, the larger the batches. Nothing is reported before its fdatasync.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use chat::Entry;
use log::{Batch, Log, LogError, RealDisk, Shelf};

use crate::exit;
use crate::limits::KEPT_BACK_BYTES;
use crate::link::Link;
use crate::positions::Positions;
use crate::records::to_record;

/// How long the writer waits for a segment before it looks again.
const ROOM_PAUSE: Duration = Duration::from_millis(20);

/// Bytes that the log is said to have while the card is not full: spares come in time, and the
/// writer's waiting is back-pressure enough.
const ROOM_ENOUGH: u64 = u64::MAX;

/// What the thread owns.
pub(crate) struct DiskThread {
    pub(crate) log: Log<RealDisk>,
    pub(crate) disk: RealDisk,
    pub(crate) batches: Receiver<Vec<Entry>>,
    pub(crate) positions: Positions,
    pub(crate) link: Arc<Link>,
}

impl DiskThread {
    /// Runs until the core is gone and everything it gave is on the card.
    pub(crate) fn run(mut self) {
        self.tell_room();
        while let Ok(entries) = self.batches.recv() {
            self.write(&entries);
            self.tell_room();
        }
    }

    fn write(&mut self, entries: &[Entry]) {
        let mut batch = self.log.new_batch();
        for entry in entries {
            let record = [to_record(entry)];
            match batch.push(&record) {
                Ok(true) => {}
                Ok(false) => {
                    self.append(&mut batch);
                    let pushed = batch.push(&record);
                    assert_eq!(pushed, Ok(true), "the core keeps records below the log's limit");
                }
                Err(error) => unreachable!("the core keeps records below the log's limit: {error}"),
            }
        }
        self.append(&mut batch);
    }

    fn append(&mut self, batch: &mut Batch) {
        if batch.is_empty() {
            return;
        }
        debug_assert!(self.log.next_offset() > 0);
        let appended = loop {
            match self.log.append(batch) {
                Ok(appended) => break appended,
                Err(LogError::Full) => self.use_reserve(),
                Err(LogError::NoSpare) => std::thread::sleep(ROOM_PAUSE),
                Err(error) => exit::card_failed(&error),
            }
        };
        let count = batch.records().len();
        let places = (0..count)
            .map(|index| (appended.first_offset + index as u64, appended.position(index)));
        self.positions.note(places);
        self.link.set_durable(appended.last_offset);
        batch.clear();
    }

    /// The card is full and the segment too: logins and deletes go into the reserve. When that is
    /// used up as well, the box waits for space; the core refuses messages long before.
    fn use_reserve(&mut self) {
        self.tell_room();
        match self.log.shelf().release_reserve(&self.disk) {
            Ok(true) => tracing::warn!("the card is full: the log goes on in its reserve"),
            Ok(false) => std::thread::sleep(ROOM_PAUSE),
            Err(error) => exit::card_failed(&error),
        }
    }

    fn tell_room(&self) {
        let bytes = room(self.log.shelf(), self.log.room_bytes());
        self.link.set_room(bytes);
    }
}

/// What the core may still log. In the reserve nothing is left for messages: just what the core
/// keeps back for sign-ins and deletes.
pub(crate) fn room(shelf: &Shelf, room_bytes: u64) -> u64 {
    match (shelf.card_full(), shelf.reserve_ready()) {
        (false, _) => ROOM_ENOUGH,
        (true, 0) => room_bytes.min(KEPT_BACK_BYTES),
        (true, _) => room_bytes,
    }
}
