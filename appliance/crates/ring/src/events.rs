//! The way of events to the core: a bounded channel that the ring never waits for.
//!
//! What finds the channel full waits here, in order. While something waits the ring is *choked*:
//! it decodes nothing, so at most one frame waits, and input fills the receive buffers and then
//! the sockets.

use std::collections::VecDeque;
use std::sync::mpsc::{SyncSender, TrySendError};

use crate::event::RingEvent;

pub(crate) struct Events {
    sender: SyncSender<RingEvent>,
    waiting: VecDeque<RingEvent>,
    gone: bool,
}

impl Events {
    pub(crate) fn new(sender: SyncSender<RingEvent>) -> Self {
        Self { sender, waiting: VecDeque::new(), gone: false }
    }

    /// Delivers an event now or as soon as there is room.
    pub(crate) fn push(&mut self, event: RingEvent) {
        self.waiting.push_back(event);
        self.flush();
    }

    /// Delivers what there is room for.
    pub(crate) fn flush(&mut self) {
        while let Some(event) = self.waiting.pop_front() {
            match self.sender.try_send(event) {
                Ok(()) => {}
                Err(TrySendError::Full(event)) => {
                    self.waiting.push_front(event);
                    return;
                }
                Err(TrySendError::Disconnected(_)) => {
                    self.gone = true;
                    self.waiting.clear();
                }
            }
        }
        if self.waiting.capacity() > 0 {
            self.waiting = VecDeque::new();
        }
    }

    /// True while the core has no room: decode nothing.
    pub(crate) fn is_choked(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// True when nobody listens any more: stop.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone
    }
}
