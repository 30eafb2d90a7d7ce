//! Everything that goes into the core and everything that comes out of it: two closed enums.

use wire::ids::{Offset, RoomId, Seq};
use wire::server::{Closing, Message};
pub use wire::session::{SessionId, Targets};
use wire::{ClientMessage, ServerMessage};

use crate::api::{ApiCall, ApiError, ApiReply};
use crate::entry::Entry;
use crate::state::Change;

/// Names a question until its answer. Chosen by the shell for `Api`, by the core for `Read`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Something happened outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A connection is ready for frames.
    Connected {
        /// Its name from now on.
        session: SessionId,
    },
    /// A frame came in.
    Frame {
        /// From where.
        session: SessionId,
        /// The client's own number of the request; answers carry it. 0 means none.
        request: u32,
        /// What it says.
        message: ClientMessage,
    },
    /// Everything up to a `flush_note` has left the queue of this session.
    Flushed {
        /// Which.
        session: SessionId,
    },
    /// The session's queue hit its cap: from some point on, frames with request 0 were dropped.
    Overflowed {
        /// Which.
        session: SessionId,
    },
    /// The connection is gone.
    Disconnected {
        /// Which.
        session: SessionId,
    },
    /// A question or change from the web side.
    Api {
        /// Comes back with the answer.
        ticket: Ticket,
        /// What is wanted.
        call: ApiCall,
    },
    /// Everything up to here survives a power cut.
    Durable {
        /// The newest durable record.
        up_to: Offset,
    },
    /// Answer to [`Output::Read`].
    ReadDone {
        /// Which question.
        ticket: Ticket,
        /// What could be read, ascending by seq.
        messages: Vec<Message>,
        /// How many of the range could not.
        damaged: u32,
    },
    /// How much the log can still take.
    LogRoom {
        /// Bytes, without the reserve that the log keeps for itself.
        bytes: u64,
    },
    /// The store holds a checkpoint.
    CheckpointDone {
        /// Up to which record.
        applied: Offset,
    },
    /// The store could not write a checkpoint; the core makes another one later.
    CheckpointFailed {
        /// Up to which record it should have gone.
        applied: Offset,
    },
    /// About ten times a second.
    Tick,
    /// The process ends in an orderly way: what the store does not hold yet goes into it now.
    Stopping,
}

/// Something must happen outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Append to the log; then say `Durable`.
    Append(Entry),
    /// Send one message to many sessions.
    Send {
        /// To whom.
        to: Targets,
        /// The request it answers; 0 for none. Only frames with request 0 may be dropped, and
        /// only after `Overflowed` was raised.
        request: u32,
        /// What.
        message: ServerMessage,
        /// Answer with `Flushed` when this frame has left, and take frames with request 0 again.
        /// Such a frame itself is never dropped; the core has at most one per session under way.
        flush_note: bool,
    },
    /// Send this, then close the connection.
    Close {
        /// Which.
        session: SessionId,
        /// Why.
        closing: Closing,
    },
    /// The answer to `Input::Api`.
    ApiDone {
        /// Which question.
        ticket: Ticket,
        /// The answer.
        reply: Result<ApiReply, ApiError>,
    },
    /// Read messages that are not in memory (they are in the store's index); say `ReadDone`.
    Read {
        /// Comes back with the answer.
        ticket: Ticket,
        /// Which room.
        room: RoomId,
        /// First wanted.
        first: Seq,
        /// Last wanted; at most `HISTORY_PAGE_MAX` messages.
        last: Seq,
    },
    /// Write these changes in one transaction that also notes `applied`; say `CheckpointDone`.
    Checkpoint {
        /// The state that they bring the store to.
        applied: Offset,
        /// One entity each, none twice.
        changes: Vec<Change>,
    },
}
