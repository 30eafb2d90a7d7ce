//! The way of events to the core: a bounded channel that the ring never waits for.
//!
//! What a turn has for it leaves in one go, so that the core is woken once for all of it. What
//! finds the channel full waits here, in order. Then the ring is *choked*: it decodes nothing, so
//! no more than [`EVENTS_GATHERED_MAX`] frames wait, and input fills the receive buffers and then
//! the sockets.

use std::collections::VecDeque;
use std::sync::mpsc::{SyncSender, TrySendError};

use crate::event::RingEvent;
use crate::limits::EVENTS_GATHERED_MAX;

pub(crate) struct Events {
    sender: SyncSender<RingEvent>,
    waiting: VecDeque<RingEvent>,
    choked: bool,
    gone: bool,
}

impl Events {
    pub(crate) fn new(sender: SyncSender<RingEvent>) -> Self {
        Self { sender, waiting: VecDeque::new(), choked: false, gone: false }
    }

    /// Takes an event; it leaves with the next `flush`, or at once when many wait.
    pub(crate) fn push(&mut self, event: RingEvent) {
        self.waiting.push_back(event);
        if self.waiting.len() >= EVENTS_GATHERED_MAX && !self.choked {
            self.flush();
        }
    }

    /// Delivers what there is room for.
    pub(crate) fn flush(&mut self) {
        self.choked = false;
        while let Some(event) = self.waiting.pop_front() {
            match self.sender.try_send(event) {
                Ok(()) => {}
                Err(TrySendError::Full(event)) => {
                    self.waiting.push_front(event);
                    self.choked = true;
                    return;
                }
                Err(TrySendError::Disconnected(_)) => {
                    self.gone = true;
                    self.waiting.clear();
                }
            }
        }
        self.waiting.shrink_to(EVENTS_GATHERED_MAX);
    }

    /// True while the core has no room: decode nothing.
    pub(crate) const fn is_choked(&self) -> bool {
        self.choked
    }

    /// True when nobody listens any more: stop.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone
    }
}
