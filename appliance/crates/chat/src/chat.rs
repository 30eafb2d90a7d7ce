//! The core as its shells see it.

use wire::ids::{Offset, TimeMs};

use crate::config::Config;
use crate::entry::Entry;
use crate::port::{Input, Output};
use crate::state::State;

/// The chat core. Start: `new` with the store's snapshot, `replay` every record above
/// `snapshot.head()` in order, then `handle` inputs and drain `poll_output` after each.
#[derive(Debug)]
pub struct Chat {
    state: State,
    config: Config,
}

impl Chat {
    /// A core that stands where the store's newest checkpoint stands.
    #[must_use]
    pub fn new(snapshot: State, config: Config) -> Self {
        Self { state: snapshot, config }
    }

    /// Moves past a durable record that the snapshot does not hold.
    pub fn replay(&mut self, entry: Entry) {
        let _ = (&self.config, crate::apply(&mut self.state, &entry));
    }

    /// Moves past records that the log can no longer read.
    pub fn replay_damaged(&mut self, last: Offset) {
        let _ = last;
    }

    /// Everything the box knows, records included that are not durable yet.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// Takes note of what happened at `now`.
    pub fn handle(&mut self, now: TimeMs, input: Input) {
        let _ = (now, input);
    }

    /// The next thing to do; none when all is done.
    pub fn poll_output(&mut self) -> Option<Output> {
        None
    }
}
