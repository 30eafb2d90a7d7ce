//! What clients remember between two connections: how far their copy goes.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use wire::ids::{Epoch, Offset};

/// A client's copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// Of which incarnation.
    pub(super) epoch: Epoch,
    /// Everything up to here.
    pub(super) cursor: Offset,
    /// And every message up to here, which may be said again after a broken connection.
    pub(super) seen: Offset,
}

/// The copies of all sessions of one generator.
pub(super) struct Memory {
    fresh: bool,
    newest: Cell<Option<Known>>,
    of: RefCell<HashMap<u32, Known>>,
}

impl Memory {
    pub(super) fn new(fresh: bool) -> Self {
        Self { fresh, newest: Cell::new(None), of: RefCell::new(HashMap::new()) }
    }

    /// What a session that connects should say about its copy.
    pub(super) fn recall(&self, session: u32) -> Option<Known> {
        if self.fresh {
            return None;
        }
        self.of.borrow().get(&session).copied().or(self.newest.get())
    }

    /// A session has everything up to here: one without a copy may begin there, as the seeded past
    /// means nothing to it.
    pub(super) fn reached(&self, copy: Known) {
        if self.newest.get().is_none() {
            self.newest.set(Some(copy));
        }
    }

    /// A session ends with this copy.
    pub(super) fn keep(&self, session: u32, copy: Known) {
        self.of.borrow_mut().insert(session, copy);
    }
}
