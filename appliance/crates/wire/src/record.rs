//! What the log stores: one body type per record kind, frozen once released.
//!
//! The log keeps kind, time, actor, device and counter beside the body (see the log's FORMAT.md);
//! `chat::apply` is the only place that gives records a meaning.

use serde::{Deserialize, Serialize};

use crate::client::History;
use crate::ids::{
    BoxId, ContentHash, DeviceId, Epoch, ProvisionId, RoomId, Seq, TokenHash, UserId,
};
use crate::server::{Reason, Role, RoomKind};

/// First record of a store, and first after a restore or salvage: a new incarnation begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochBegun {
    /// The box; the same in every incarnation.
    pub box_id: BoxId,
    /// The incarnation.
    pub epoch: Epoch,
}

/// A provisioning was used to claim the box; `user_added` for the owner comes right before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claimed {
    /// The provisioning that is now spent.
    pub provision: ProvisionId,
    /// The owner.
    pub user: UserId,
}

/// An account begins.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserAdded {
    /// Who; ids are dense, from 1.
    pub user: UserId,
    /// Sign-in name, unique without regard to case.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Argon2id hash in PHC text form.
    pub password_hash: String,
}

impl core::fmt::Debug for UserAdded {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("UserAdded")
            .field("user", &self.user)
            .field("name", &self.name)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// A device signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceAdded {
    /// Which; ids are dense, from 1.
    pub device: DeviceId,
    /// Whose.
    pub user: UserId,
    /// Shown in the device list.
    pub label: String,
    /// What its token hashes to.
    pub token_hash: TokenHash,
}

/// A device signed out or was revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceRemoved {
    /// Which.
    pub device: DeviceId,
}

/// A room begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoomAdded {
    /// Which; ids are dense, from 1.
    pub room: RoomId,
    /// Direct or group.
    pub room_kind: RoomKind,
    /// Name; empty for direct rooms.
    pub name: String,
    /// What later members see.
    pub history: History,
    /// First members, the maker among them, ascending.
    pub members: Vec<UserId>,
    /// Content of the command that made it.
    pub command: ContentHash,
}

/// A user joined a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberAdded {
    /// Which room.
    pub room: RoomId,
    /// Who.
    pub user: UserId,
    /// Content of the command.
    pub command: ContentHash,
}

/// A user left a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberRemoved {
    /// Which room.
    pub room: RoomId,
    /// Who.
    pub user: UserId,
    /// Content of the command.
    pub command: ContentHash,
}

/// A message was posted; author, device, counter and time stand in the record's header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessagePosted {
    /// Which room.
    pub room: RoomId,
    /// Its place there.
    pub seq: Seq,
    /// The text.
    pub text: String,
    /// Content of the command.
    pub command: ContentHash,
}

/// One moved read cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadCursor {
    /// Whose.
    pub user: UserId,
    /// In which room.
    pub room: RoomId,
    /// Everything up to here was read.
    pub seq: Seq,
}

/// All read cursors that moved since the last such record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CursorsMoved {
    /// At most one a user and room.
    pub cursors: Vec<ReadCursor>,
}

/// A command that used up its number without changing a room: refused for good, or a no-op.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandSettled {
    /// Content of the command.
    pub command: ContentHash,
    /// None when it succeeded without a change (opening a direct room that exists).
    pub refused: Option<Reason>,
    /// The field at fault, or empty.
    pub field: String,
    /// The room it was about; 0 when none.
    pub room: RoomId,
}

/// Every record body.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is named after its body")]
pub enum RecordBody {
    EpochBegun(EpochBegun),
    Claimed(Claimed),
    UserAdded(UserAdded),
    DeviceAdded(DeviceAdded),
    DeviceRemoved(DeviceRemoved),
    RoomAdded(RoomAdded),
    MemberAdded(MemberAdded),
    MemberRemoved(MemberRemoved),
    MessagePosted(MessagePosted),
    CursorsMoved(CursorsMoved),
    CommandSettled(CommandSettled),
}
