//! The way of events to the core: a bounded channel that this thread never waits for.
//!
//! What finds the channel full waits here, in order. While something waits the thread is *choked*:
//! sessions decode nothing, so input fills their windows and then waits with its senders.

use std::collections::VecDeque;
use std::sync::mpsc::{SyncSender, TrySendError};

use crate::event::Event;

/// A way to the core, whatever its channel carries.
pub(crate) trait Deliver {
    /// Delivers an event now or as soon as there is room.
    fn push(&mut self, event: Event);
    /// Delivers what there is room for.
    fn flush(&mut self);
    /// True while the core has no room: decode nothing.
    fn is_choked(&self) -> bool;
    /// True when nobody listens any more: stop.
    fn is_gone(&self) -> bool;
}

/// A channel of `E`, which an event becomes.
pub(crate) struct Channel<E> {
    sender: SyncSender<E>,
    convert: fn(Event) -> E,
    waiting: VecDeque<E>,
    gone: bool,
}

impl<E> Channel<E> {
    pub(crate) fn new(sender: SyncSender<E>, convert: fn(Event) -> E) -> Self {
        Self { sender, convert, waiting: VecDeque::new(), gone: false }
    }
}

impl<E> Deliver for Channel<E> {
    fn push(&mut self, event: Event) {
        self.waiting.push_back((self.convert)(event));
        self.flush();
    }

    fn flush(&mut self) {
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

    fn is_choked(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn is_gone(&self) -> bool {
        self.gone
    }
}
