//! What the shell decides once at start.

use crate::limits::Shares;

/// Settings of one core.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Version of the server program, for greetings.
    pub version: String,
    /// Shares of memory and card.
    pub shares: Shares,
    /// A deliberate fault, for the simulator to catch.
    #[cfg(feature = "mutants")]
    pub mutant: Option<Mutant>,
}

/// Deliberate faults. Never in a build that ships.
#[cfg(feature = "mutants")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Outputs leave before their records are durable.
    AckBeforeSync,
    /// A command number may skip others.
    AcceptGap,
    /// A repeated command is done again.
    NoDedup,
    /// Another content under a used number gets the first one's result.
    NoConflict,
    /// A message is not sent to one member's sessions.
    ForgetReceiver,
    /// Catching up starts one record too late.
    CursorOffByOne,
    /// `caught_up` names a record that was not sent yet.
    CursorAhead,
    /// A checkpoint leaves before its records are durable.
    CheckpointAhead,
    /// A checkpoint leaves out memberships.
    CheckpointForgetsMembers,
    /// `may_see` says yes to everything that exists.
    SkipVisibility,
    /// A session turns live before it reached the head.
    LiveTooEarly,
    /// A session that overflowed stays live.
    IgnoreOverflow,
    /// Whoever leaves a room while offline is not told.
    ForgetLeave,
}

impl Config {
    /// Whether a deliberate fault is on.
    #[cfg(feature = "mutants")]
    pub(crate) fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }
}
