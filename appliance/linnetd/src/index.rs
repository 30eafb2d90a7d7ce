//! The index thread: writes checkpoints into the store, keeps spare segments ready, watches the
//! card's space. Everything slow that nobody waits for.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use chat::Change;
use log::{Disk as _, LogError, RealDisk, Shelf};
use store::Store;
use wire::ids::Offset;

use crate::health::Status;
use crate::limits::CARE_INTERVAL;
use crate::link::{CheckpointEnd, Link};
use crate::positions::Positions;

/// Pause between two steps of a spare's preparation, so that the writer's fdatasync gets through.
const STEP_PAUSE: Duration = Duration::from_millis(5);

/// Space that must be free beyond a segment before another try on a card that was full.
const SPARE_MARGIN_BYTES: u64 = 1024 * 1024;

/// One checkpoint of the core.
pub(crate) struct Checkpoint {
    pub(crate) applied: Offset,
    pub(crate) changes: Vec<Change>,
}

/// What the thread owns.
pub(crate) struct IndexThread {
    pub(crate) store: Store,
    pub(crate) shelf: Shelf,
    pub(crate) disk: RealDisk,
    pub(crate) checkpoints: Receiver<Checkpoint>,
    pub(crate) positions: Positions,
    pub(crate) link: Arc<Link>,
    pub(crate) status: Arc<Status>,
}

impl IndexThread {
    /// Runs until the core and the disk thread are gone.
    pub(crate) fn run(mut self) {
        loop {
            let wait = if self.care() { Duration::ZERO } else { CARE_INTERVAL };
            match self.checkpoints.recv_timeout(wait) {
                Ok(checkpoint) => self.write(&checkpoint),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn write(&mut self, checkpoint: &Checkpoint) {
        let Checkpoint { applied, changes } = checkpoint;
        let places = self.positions.up_to(*applied);
        let written = self.store.checkpoint(*applied, changes, |offset| places.get(offset));
        let done = match written {
            Ok(()) => {
                self.positions.forget(*applied);
                true
            }
            Err(error) => {
                tracing::warn!(%error, %applied, "a checkpoint failed; the log keeps everything");
                false
            }
        };
        self.status.set_index_trouble(!done);
        self.link.checkpoint_end(CheckpointEnd { applied: *applied, done });
    }

    /// True when the next look should come at once: the writer takes spares as fast as they come.
    fn care(&self) -> bool {
        let mut more = false;
        let free = self.disk.free_bytes().unwrap_or(0);
        self.status.set_free_bytes(free);
        let full = self.shelf.card_full();
        if self.shelf.wants_work()
            && (!full || free > log::limits::SEGMENT_BYTES + SPARE_MARGIN_BYTES)
        {
            more = self.prepare() && self.shelf.wants_work();
        }
        if full != self.shelf.card_full() {
            let text = if full { "the card has space again" } else { "the card is full" };
            tracing::warn!(free_bytes = free, "{text}");
        }
        if !self.shelf.card_full() {
            self.link.set_room(crate::disk::room(&self.shelf, 0));
        }
        self.status.set_card_full(self.shelf.card_full());
        more
    }

    /// Spares first: the writer waits for them. The reserve needs to be whole before the box
    /// takes messages on a card that was full. True when something was prepared.
    fn prepare(&self) -> bool {
        let mut pause = || {
            // Without a spare the writer has nothing to gain from waiting for its turn.
            if self.shelf.spares_ready() > 0 {
                std::thread::sleep(STEP_PAUSE);
            }
        };
        let spare = if self.shelf.spares_ready() < log::limits::SPARES_WANTED {
            self.shelf.prepare_spare(&self.disk, &mut pause)
        } else {
            Ok(())
        };
        match spare.and_then(|()| self.shelf.fill_reserve(&self.disk, &mut pause)) {
            Ok(()) => true,
            Err(LogError::Full) => false,
            Err(error) => {
                tracing::error!(%error, "no spare segment could be prepared");
                false
            }
        }
    }
}
