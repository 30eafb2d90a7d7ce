//! What the server sends. A body type is frozen once released; a change is a new kind.

use serde::{Deserialize, Serialize};

use crate::client::History;
use crate::ids::{BoxId, Counter, DeviceId, Epoch, Offset, RoomId, Seq, TimeMs, UserId};

/// First frame of every connection: a client knows the box before it shows its token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Greeting {
    /// Which box this is; another box means another copy on the client.
    pub box_id: BoxId,
    /// Incarnation of the store.
    pub epoch: Epoch,
    /// Version of the server program.
    pub version: String,
    /// The server's clock.
    pub time_ms: TimeMs,
}

/// How the client's copy relates to what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncMode {
    /// Nothing was missed.
    Resumed,
    /// Every change since the cursor follows, then `caught_up`.
    CatchUp,
    /// Drop the copy (never the outbox): rooms and users follow, then `caught_up`.
    Reset,
}

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The person who claimed the box.
    Owner,
    /// May manage users.
    Admin,
    /// May chat.
    Member,
}

/// Answer to `hello`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Welcome {
    /// Who signed in.
    pub user: UserId,
    /// Which device.
    pub device: DeviceId,
    /// Highest command number of this device that was accepted.
    pub last_counter: Counter,
    /// What follows.
    pub sync: SyncMode,
    /// Newest durable offset of the box.
    pub head: Offset,
}

/// A command is done and survives a power cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ack {
    /// The command's number.
    pub counter: Counter,
    /// Its record.
    pub offset: Offset,
    /// The room it posted to, made, opened or changed.
    pub room: RoomId,
    /// The message's place in the room; 0 when the command posted none.
    pub seq: Seq,
    /// The server's clock when it took the command.
    pub time_ms: TimeMs,
}

/// Why something was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The frame could not be understood.
    Malformed,
    /// A kind this server does not know, marked critical.
    UnknownKind,
    /// A frame longer than the limit.
    TooLong,
    /// The session must say `hello` first.
    HelloFirst,
    /// The token is wrong or was revoked.
    BadToken,
    /// The room does not exist for this user.
    NoSuchRoom,
    /// The user does not exist.
    NoSuchUser,
    /// The user may not do this.
    NotAllowed,
    /// A field is empty that may not be.
    Empty,
    /// A field is over its limit.
    OverLimit,
    /// The command number skips one; `expected` says which comes next.
    Gap,
    /// The command number was used with other content.
    Conflict,
    /// Too much at once; try again after `retry_after_ms`.
    Busy,
    /// The card is full; signing in and reading still work.
    CardFull,
    /// The card failed; the box restarts its storage.
    CardFailed,
    /// The box is shutting down or restarting.
    ShuttingDown,
    /// The session took part in something the server can't explain.
    Internal,
}

/// A command is refused for good; its number is used up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// The command's number.
    pub counter: Counter,
    /// Why.
    pub reason: Reason,
    /// The field at fault, or empty.
    pub field: String,
    /// A sentence for people, in English.
    pub text: String,
}

/// The command was done so long ago that its result is no longer kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlreadyApplied {
    /// The command's number.
    pub counter: Counter,
}

/// Something was not done and nothing changed; a command's number is not used up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Error {
    /// Why.
    pub reason: Reason,
    /// The field at fault, or empty.
    pub field: String,
    /// A sentence for people, in English.
    pub text: String,
    /// When to try again, for passing troubles.
    pub retry_after_ms: Option<u32>,
    /// The next command number, for `gap`.
    pub expected: Option<Counter>,
}

/// A user as others see them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Offset of the change that this state reflects.
    pub offset: Offset,
    /// Who.
    pub user: UserId,
    /// Sign-in name, also shown.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

/// Direct (two people, no name) or group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoomKind {
    /// Two people.
    Direct,
    /// Any number.
    Group,
}

/// A member and how far they have read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Who.
    pub user: UserId,
    /// Read cursor; 0 above the size up to which read marks are shown.
    pub read: Seq,
}

/// A room as one of its members sees it: replaces whatever the client had of it, but for messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Room {
    /// Offset that this snapshot reflects.
    pub offset: Offset,
    /// Which room.
    pub room: RoomId,
    /// Direct or group.
    pub room_kind: RoomKind,
    /// Name; empty for direct rooms.
    pub name: String,
    /// What later members see.
    pub history: History,
    /// Everybody in it.
    pub members: Vec<Member>,
    /// First message this user may see; above `head` when there is none yet.
    pub first: Seq,
    /// Newest message; 0 when there is none.
    pub head: Seq,
    /// This user's own read cursor.
    pub read: Seq,
    /// Messages of others above the read cursor that this user may see.
    pub unread: u64,
    /// The newest message that this user may see.
    pub last: Option<Message>,
}

/// The user is no longer in the room: delete the copy of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoomGone {
    /// Offset of the change.
    pub offset: Offset,
    /// Which room.
    pub room: RoomId,
}

/// Somebody else joined or left a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberChange {
    /// Offset of the change.
    pub offset: Offset,
    /// Which room.
    pub room: RoomId,
    /// Who.
    pub user: UserId,
    /// True when joined, false when left.
    pub joined: bool,
}

/// Others joined or left a room with many members: what came in the last moments, each user once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MembersChanged {
    /// Which room.
    pub room: RoomId,
    /// Ascending by offset. The receiver may be among them.
    pub members: Vec<MemberMoved>,
}

/// One of [`MembersChanged`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberMoved {
    /// Offset of the change.
    pub offset: Offset,
    /// Who.
    pub user: UserId,
    /// True when joined, false when left.
    pub joined: bool,
}

/// One message in its final state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// Offset of its record.
    pub offset: Offset,
    /// Which room.
    pub room: RoomId,
    /// Place in the room.
    pub seq: Seq,
    /// Who wrote it.
    pub author: UserId,
    /// Which device sent it, so that the sender's own screens match it with their outbox.
    pub device: DeviceId,
    /// That device's command number.
    pub counter: Counter,
    /// The server's clock when it took the message.
    pub time_ms: TimeMs,
    /// The text.
    pub text: String,
}

/// A read cursor moved: one's own on another device, or another member's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadMark {
    /// Offset of the change.
    pub offset: Offset,
    /// Which room.
    pub room: RoomId,
    /// Whose.
    pub user: UserId,
    /// Everything up to here was read.
    pub seq: Seq,
}

/// Everything visible up to `cursor` has been sent: the client may store it as its cursor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaughtUp {
    /// The client's new cursor.
    pub cursor: Offset,
}

/// The session fell behind: nothing but these notes follows until it asks to `sync`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoomAt {
    /// Which room has news.
    pub room: RoomId,
    /// Its newest message.
    pub head: Seq,
    /// Its newest change.
    pub offset: Offset,
}

/// Answer to `read_history`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryPage {
    /// Which room.
    pub room: RoomId,
    /// Ascending by seq.
    pub messages: Vec<Message>,
    /// Messages of this range that the card can no longer read.
    pub damaged: u32,
    /// Ask again with this `before` for older messages; none at the beginning.
    pub before: Option<Seq>,
}

/// Answer to `ping`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pong {
    /// The server's clock.
    pub time_ms: TimeMs,
}

/// Last frame before the server closes the connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Closing {
    /// Why.
    pub reason: Reason,
    /// A sentence for people, in English.
    pub text: String,
    /// When to connect again, if that helps.
    pub retry_after_ms: Option<u32>,
}

/// Every message the server may send.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is named after its body")]
pub enum ServerMessage {
    Greeting(Greeting),
    Welcome(Welcome),
    Ack(Ack),
    Refused(Refused),
    AlreadyApplied(AlreadyApplied),
    Error(Error),
    User(User),
    Room(Room),
    RoomGone(RoomGone),
    MemberChange(MemberChange),
    Message(Message),
    ReadMark(ReadMark),
    CaughtUp(CaughtUp),
    RoomAt(RoomAt),
    HistoryPage(HistoryPage),
    Pong(Pong),
    Closing(Closing),
    MembersChanged(MembersChanged),
}
