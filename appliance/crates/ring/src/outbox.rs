//! What the core wants of the rings in one turn: gathered here, then given to each ring as one
//! batch with one wake-up, so that everything for a connection leaves in one send.

use std::time::Instant;

use wire::{SessionId, Targets};

use crate::handle::RingHandle;
use crate::inbox::Command;
use crate::limits::BATCH_COMMANDS_MAX;
use crate::shared::SharedFrame;

/// Commands of one thread on their way to the rings. What was put in leaves with `flush`, or
/// earlier when a batch is full.
pub struct Outbox {
    rings: RingHandle,
    batches: Vec<Vec<Command>>,
}

impl Outbox {
    pub(crate) fn new(rings: RingHandle) -> Self {
        let batches = rings.ports().iter().map(|_| Vec::new()).collect();
        Self { rings, batches }
    }

    /// Sends a frame to sessions; those that are gone are skipped. Waits while a full batch meets
    /// a ring's full queue. With `flush_note` each session reports [`crate::RingEvent::Flushed`],
    /// the frame is never dropped, and fan-out (news with request 0) behind it is taken again
    /// after an overflow.
    pub fn send(&mut self, to: &Targets, frame: &SharedFrame, flush_note: bool) {
        for (ring, to) in to.by_ring() {
            self.push(ring, Command::Send { to, frame: frame.clone(), flush_note });
        }
    }

    /// Sends a last frame, usually `closing`, then closes the session once it is out.
    pub fn close(&mut self, session: SessionId, frame: SharedFrame) {
        self.push(session.ring(), Command::Close { session, frame });
    }

    /// Gives every ring what was put in for it. Waits while a ring's queue is full.
    pub fn flush(&mut self) {
        for ring in 0..self.batches.len() {
            self.flush_ring(ring);
        }
    }

    pub(crate) fn stop(&mut self, frame: &SharedFrame, until: Instant) {
        for ring in 0..self.batches.len() {
            self.push(ring, Command::Stop { frame: frame.clone(), until });
        }
        self.flush();
    }

    fn push(&mut self, ring: usize, command: Command) {
        // A session of a ring that does not exist is gone.
        let Some(batch) = self.batches.get_mut(ring) else { return };
        batch.push(command);
        if batch.len() >= BATCH_COMMANDS_MAX {
            self.flush_ring(ring);
        }
    }

    fn flush_ring(&mut self, ring: usize) {
        let batch = std::mem::take(&mut self.batches[ring]);
        if !batch.is_empty() {
            // A ring that has ended has said `Closed` for all its sessions.
            let _ = self.rings.ports()[ring].outlet.send(batch);
        }
    }
}
