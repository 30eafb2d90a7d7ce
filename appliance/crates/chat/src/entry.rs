//! One record of the log with everything that gives it a meaning.

use wire::RecordBody;
use wire::ids::{Counter, DeviceId, Offset, TimeMs, UserId};

/// A durable change at its place in the global order. The shell turns it into the log's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Place in the log: dense, from 1.
    pub offset: Offset,
    /// The server's clock when it decided the change.
    pub time: TimeMs,
    /// Who caused it; 0 when the box itself did.
    pub actor: UserId,
    /// With which device; 0 when none.
    pub device: DeviceId,
    /// That device's number of the command; 0 when it was no command.
    pub counter: Counter,
    /// What changed.
    pub body: RecordBody,
}
