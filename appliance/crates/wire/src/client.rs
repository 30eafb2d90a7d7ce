//! What a client sends. A body type is frozen once released; a change is a new kind.
//!
//! Commands (they carry a `counter`) are durable and idempotent; the rest are questions.

use serde::{Deserialize, Serialize};

use crate::ids::{Counter, DeviceToken, Epoch, Offset, RoomId, Seq, UserId};

/// First frame of a session, after the server's `greeting`. Ten seconds are allowed for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// The device's secret, from login or claim.
    pub token: DeviceToken,
    /// Epoch the client's copy belongs to; none when it has no copy.
    pub epoch: Option<Epoch>,
    /// Everything visible up to here is in the client's copy; 0 when it has none.
    pub cursor: Offset,
    /// Name and version of the client program, for the device list.
    pub client: String,
}

/// Command: post a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendText {
    /// The device's next command number.
    pub counter: Counter,
    /// Where to post.
    pub room: RoomId,
    /// 1 to 16,384 bytes of UTF-8.
    pub text: String,
}

/// Command: open the direct room with a user, making it if need be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenDirect {
    /// The device's next command number.
    pub counter: Counter,
    /// The other person.
    pub user: UserId,
}

/// What a new member sees of a room's past.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum History {
    /// Everything.
    All,
    /// Only what was posted while a member.
    SinceJoin,
}

/// Command: make a group room; the sender becomes its first member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateRoom {
    /// The device's next command number.
    pub counter: Counter,
    /// 1 to 128 bytes of UTF-8.
    pub name: String,
    /// Members besides the sender, at most 1,000.
    pub members: Vec<UserId>,
    /// What later members see.
    pub history: History,
}

/// Command: add a user to a group room the sender is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddMember {
    /// The device's next command number.
    pub counter: Counter,
    /// The group room.
    pub room: RoomId,
    /// Who joins.
    pub user: UserId,
}

/// Command: remove a user from a group room; oneself means leaving.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoveMember {
    /// The device's next command number.
    pub counter: Counter,
    /// The group room.
    pub room: RoomId,
    /// Who leaves.
    pub user: UserId,
}

/// Read cursor: everything in the room up to `seq` was read. Cumulative, so it needs no counter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// The room.
    pub room: RoomId,
    /// Last message read.
    pub seq: Seq,
}

/// Asks for every change since `cursor`: how a session that fell behind catches up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncFrom {
    /// Everything visible up to here is in the client's copy.
    pub cursor: Offset,
}

/// Asks for one page of a room's past, newest first request: `before` none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadHistory {
    /// The room.
    pub room: RoomId,
    /// Messages below this seq; none means from the newest.
    pub before: Option<Seq>,
    /// Most messages wanted, 1 to 200.
    pub limit: u32,
}

/// Tells which room is on screen; presence, typing and read marks follow it. Never stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Show {
    /// The room, or none.
    pub room: Option<RoomId>,
}

/// Asks for a `pong`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ping {}

/// Every message a client may send.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is named after its body")]
pub enum ClientMessage {
    Hello(Hello),
    Send(SendText),
    OpenDirect(OpenDirect),
    CreateRoom(CreateRoom),
    AddMember(AddMember),
    RemoveMember(RemoveMember),
    Read(Read),
    Sync(SyncFrom),
    ReadHistory(ReadHistory),
    Show(Show),
    Ping(Ping),
}

impl ClientMessage {
    /// The command number, for messages that are commands.
    #[must_use]
    pub fn counter(&self) -> Option<Counter> {
        match self {
            Self::Send(body) => Some(body.counter),
            Self::OpenDirect(body) => Some(body.counter),
            Self::CreateRoom(body) => Some(body.counter),
            Self::AddMember(body) => Some(body.counter),
            Self::RemoveMember(body) => Some(body.counter),
            Self::Hello(_)
            | Self::Read(_)
            | Self::Sync(_)
            | Self::ReadHistory(_)
            | Self::Show(_)
            | Self::Ping(_) => None,
        }
    }
}
