//! The disk thread: the log's only writer. While one batch is being synced the core collects the
//! next; the slower the card, the larger the batches. Nothing is reported before its fdatasync.
//!
//! Storage that syncs faster than a card would sync for every few records, at a busy box's cost:
//! there the next batch is taken [`SYNC_SPACING`] after the last one began.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use chat::Entry;
use log::{Batch, Log, LogError, RealDisk, Shelf};
use wire::RecordBody;

use crate::exit;
use crate::index::Checkpoint;
use crate::limits::{DRAIN, KEPT_BACK_BYTES, SPACED_RECORDS_MIN, SYNC_SPACING};
use crate::link::Link;
use crate::positions::Positions;
use crate::tray::Taker;
use store::records::to_record;

/// How long the writer waits for a segment before it looks again.
const ROOM_PAUSE: Duration = Duration::from_millis(2);

/// Bytes that the log is said to have while the card is not full: spares come in time, and the
/// writer's waiting is back-pressure enough.
const ROOM_ENOUGH: u64 = u64::MAX;

/// What the thread owns.
pub(crate) struct DiskThread {
    pub(crate) log: Log<RealDisk>,
    pub(crate) disk: RealDisk,
    pub(crate) records: Taker,
    pub(crate) positions: Positions,
    pub(crate) link: Arc<Link>,
    /// Keeps the index thread alive, which prepares the segments that this one may wait for.
    pub(crate) _index: SyncSender<Checkpoint>,
}

impl DiskThread {
    /// Runs until the core is gone and everything it gave is on the card, or can't get there.
    pub(crate) fn run(mut self) {
        self.tell_room();
        while let Some(entries) = self.records.take() {
            let begun = Instant::now();
            if self.write(&entries).is_none() {
                break;
            }
            self.tell_room();
            if entries.len() >= SPACED_RECORDS_MIN && !self.link.stopping() {
                std::thread::sleep(SYNC_SPACING.saturating_sub(begun.elapsed()));
            }
        }
    }

    /// None: the process ends and there is no room.
    fn write(&mut self, entries: &[Entry]) -> Option<()> {
        let mut batch = self.log.new_batch();
        let mut records = Vec::new();
        for together in entries.chunk_by(|_, next| ends_a_claim(next)) {
            records.extend(together.iter().map(to_record));
            match batch.take(&mut records) {
                Ok(true) => {}
                Ok(false) => {
                    self.append(&mut batch)?;
                    let pushed = batch.take(&mut records);
                    assert_eq!(pushed, Ok(true), "the core keeps records below the log's limit");
                }
                Err(error) => unreachable!("the core keeps records below the log's limit: {error}"),
            }
        }
        self.append(&mut batch)
    }

    fn append(&mut self, batch: &mut Batch) -> Option<()> {
        if batch.is_empty() {
            return Some(());
        }
        debug_assert!(self.log.next_offset() > 0);
        let mut give_up = None;
        let appended = loop {
            if give_up.is_some_and(|give_up| Instant::now() > give_up) {
                let records = batch.records().len();
                tracing::warn!(records, "no room came: what nobody got an ack for is given up");
                return None;
            }
            if self.link.stopping() {
                give_up = give_up.or_else(|| Some(Instant::now() + DRAIN));
            }
            match self.log.append(batch) {
                Ok(appended) => break appended,
                Err(LogError::Full) => self.use_reserve(),
                Err(LogError::NoSpare) => std::thread::sleep(ROOM_PAUSE),
                Err(error) => exit::card_failed(&error),
            }
        };
        let places = (0..batch.records().len()).map(|index| appended.position(index));
        self.positions.note(appended.first_offset, places);
        self.link.set_durable(appended.last_offset);
        batch.clear();
        Some(())
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

/// The new owner's account comes right before this record: with the account alone,
/// a power cut would leave an owner's account on a box that nobody owns, under a taken name.
const fn ends_a_claim(entry: &Entry) -> bool {
    matches!(entry.body, RecordBody::Claimed(_))
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use log::{Item, OpenFrom, OpenOutcome, Options};
    use wire::ids::{Counter, DeviceId, Offset, ProvisionId, TimeMs, UserId};
    use wire::record::{Claimed, UserAdded};
    use wire::server::Role;

    use super::*;

    fn open(folder: &std::path::Path, segment_bytes: u64) -> (Log<RealDisk>, RealDisk) {
        let disk = RealDisk::open(folder).unwrap();
        let options = Options { segment_bytes, ..Options::new(1) };
        let opened = Log::open(disk.clone(), options, OpenFrom::default()).unwrap();
        let OpenOutcome::Ready(opened) = opened else { panic!("a new log is whole") };
        (opened.log, disk)
    }

    fn entry(offset: u64, body: RecordBody) -> Entry {
        let (actor, device, counter) = (UserId(0), DeviceId(0), Counter(0));
        Entry { offset: Offset(offset), time: TimeMs(1), actor, device, counter, body }
    }

    fn account(offset: u64, role: Role) -> Entry {
        let (name, password_hash) = (format!("ann{offset}"), "x".repeat(400));
        let user = UserId(u32::try_from(offset).unwrap());
        entry(offset, UserAdded { user, name, role, password_hash }.into())
    }

    /// Gives the thread these entries and the word to stop; returns what reached the log.
    fn written(segment_bytes: u64, mut entries: Vec<Entry>) -> Vec<(u64, u64)> {
        let folder = tempfile::tempdir().unwrap();
        let (log, disk) = open(folder.path(), segment_bytes);
        let reader = log.reader().clone();
        let (tray, records) = crate::tray::tray();
        let (link, _inbox) = crate::link::link(Offset(0));
        let (index, _checkpoints) = sync_channel(1);
        let positions = Positions::default();
        link.stop();
        tray.put(&mut entries);
        drop(tray);
        DiskThread { log, disk, records, positions, link, _index: index }.run();
        let items = reader.iter_from(1).map(|item| item.unwrap());
        items
            .map(|item| match item {
                Item::Record(stored) => (stored.offset, stored.position.byte.into()),
                Item::Damaged(range) => panic!("{range:?}"),
            })
            .collect()
    }

    #[test]
    fn an_orderly_stop_does_not_wait_for_ever_for_a_segment_that_never_comes() {
        let entries = (1..=20).map(|offset| account(offset, Role::Member)).collect();
        let written = written(8192, entries);
        assert!((1..20).contains(&written.len()), "{written:?}");
    }

    #[test]
    fn a_claim_s_account_and_its_owner_are_in_one_batch_also_at_the_end_of_a_full_one() {
        let others = log::limits::BATCH_RECORDS_MAX as u64 - 1;
        let mut entries: Vec<_> = (1..=others).map(|n| account(n, Role::Member)).collect();
        entries.push(account(others + 1, Role::Owner));
        let (provision, user) = (ProvisionId([1; 16]), UserId(1024));
        entries.push(entry(others + 2, Claimed { provision, user }.into()));
        let written = written(log::limits::SEGMENT_BYTES, entries);
        let [.., (_, before), (_, account), (last, owner)] = written[..] else { panic!() };
        assert_eq!((last, account), (others + 2, owner));
        assert_ne!(before, account, "the others filled a batch");
    }
}
