//! What the shell decides once at start, and the deliberate faults of the simulator.

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

impl Config {
    /// Whether a deliberate fault is on: never, in a build that ships.
    #[cfg(feature = "mutants")]
    pub(crate) fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// Whether a deliberate fault is on: never, in a build that ships.
    #[cfg(not(feature = "mutants"))]
    pub(crate) const fn is(&self, _mutant: Mutant) -> bool {
        false
    }
}

/// Deliberate faults. Nothing can turn them on in a build that ships.
#[cfg_attr(not(feature = "mutants"), allow(unreachable_pub, reason = "public for the simulator"))]
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
    /// A message is not sent to one member's session.
    ForgetReceiver,
    /// Catching up starts one record too late.
    CursorOffByOne,
    /// `caught_up` names a record that was not sent yet.
    CursorAhead,
    /// A checkpoint leaves before its records are durable.
    CheckpointAhead,
    /// A checkpoint leaves out memberships.
    CheckpointForgetsMembers,
    /// Everybody may see everything that exists.
    SkipVisibility,
    /// A session turns live after the first page of catching up.
    LiveTooEarly,
    /// A session that overflowed is taken for live.
    IgnoreOverflow,
    /// Whoever left a room while away is not told.
    ForgetLeave,
}
