//! What the other threads hold of QUIC: frames and closes leave in batches, one wake-up each.

use std::time::Instant;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use wire::{SessionId, Targets};

use crate::frame::Frame;
use crate::limits::{BATCH_COMMANDS_MAX, BATCHES_MAX};

/// What the other threads want of this one.
pub(crate) enum Command {
    Send { to: Targets, frame: Frame, flush_note: bool },
    Close { session: SessionId, frame: Frame },
    Stop { frame: Frame, until: Instant },
}

/// The way to the thread, which may start later. Cheap to clone.
#[derive(Clone)]
pub struct QuicHandle {
    batches: Sender<Vec<Command>>,
}

/// The thread's end of the way. While nobody has it, what is sent goes nowhere.
pub struct Orders {
    pub(crate) batches: Receiver<Vec<Command>>,
}

/// Commands of one thread on their way. What was put in leaves with `flush`, or earlier when a
/// batch is full.
pub struct Outbox {
    handle: QuicHandle,
    batch: Vec<Command>,
}

/// Makes the way and its end.
#[must_use]
pub fn queue() -> (QuicHandle, Orders) {
    let (sender, receiver) = channel(BATCHES_MAX);
    (QuicHandle { batches: sender }, Orders { batches: receiver })
}

impl QuicHandle {
    /// Gathers what one thread sends; each thread that sends has its own.
    #[must_use]
    pub fn outbox(&self) -> Outbox {
        Outbox { handle: self.clone(), batch: Vec::new() }
    }
}

impl Outbox {
    /// Sends a frame to sessions; those that are gone are skipped. Waits while a full batch meets
    /// a full queue. With `flush_note` each session reports [`crate::Event::Flushed`], the frame is
    /// never dropped, and fan-out (news with request 0) behind it is taken again after an overflow.
    pub fn send(&mut self, to: Targets, frame: Frame, flush_note: bool) {
        self.push(Command::Send { to, frame, flush_note });
    }

    /// Sends a last frame, usually `closing`, then closes the session once it is out.
    pub fn close(&mut self, session: SessionId, frame: Frame) {
        self.push(Command::Close { session, frame });
    }

    /// Gives the thread what was put in. Waits while its queue is full.
    pub fn flush(&mut self) {
        if !self.batch.is_empty() {
            let batch = std::mem::take(&mut self.batch);
            // A thread that has ended has said `Closed` for all its sessions.
            let _ = self.handle.batches.blocking_send(batch);
        }
    }

    pub(crate) fn stop(&mut self, frame: Frame, until: Instant) {
        self.push(Command::Stop { frame, until });
        self.flush();
    }

    fn push(&mut self, command: Command) {
        self.batch.push(command);
        if self.batch.len() >= BATCH_COMMANDS_MAX {
            self.flush();
        }
    }
}
