//! What the web side asks of the core. Secrets arrive as hashes only.

use wire::ids::{BoxId, DeviceId, Epoch, Offset, ProvisionId, TimeMs, TokenHash, UserId};
use wire::server::Role;

use crate::state::PasswordHash;

/// A question or a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiCall {
    /// Who the box is and whether it has an owner.
    Facts,
    /// Begin an incarnation of the store: first start, restore, salvage. Comes before all else.
    BeginEpoch {
        /// The box; the same in every incarnation.
        box_id: BoxId,
        /// A fresh random number.
        epoch: Epoch,
    },
    /// Make the first account. The web side has checked the claim token.
    Claim {
        /// The provisioning that this uses up.
        provision: ProvisionId,
        /// The owner's sign-in name.
        name: String,
        /// What the owner's password hashes to.
        password_hash: PasswordHash,
    },
    /// Make an account. `by` must be an owner or admin; only the owner makes admins.
    AddUser {
        /// Who asks.
        by: UserId,
        /// Sign-in name, unique whatever its case.
        name: String,
        /// Admin or member.
        role: Role,
        /// What the password hashes to.
        password_hash: PasswordHash,
    },
    /// Look up an account for a login.
    FindUser {
        /// Sign-in name in any case.
        name: String,
    },
    /// Every account.
    ListUsers,
    /// Sign a device in. The web side has checked the password.
    AddDevice {
        /// Whose.
        user: UserId,
        /// Shown in the device list.
        label: String,
        /// What its token hashes to.
        token_hash: TokenHash,
    },
    /// Sign a device out; its sessions are closed.
    RemoveDevice {
        /// Which.
        device: DeviceId,
    },
    /// Whose token this is.
    WhoIs {
        /// What the token hashes to.
        token_hash: TokenHash,
    },
    /// A user's devices.
    ListDevices {
        /// Whose.
        user: UserId,
    },
    /// Post one message through the hidden device and room and read it back. Appends one record.
    HealthProbe {
        /// Comes back when the message is durable.
        nonce: u64,
    },
}

/// The answer. Changes are durable by the time it is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiReply {
    /// To `Facts`.
    Facts(Facts),
    /// To `BeginEpoch` and `RemoveDevice`.
    Done,
    /// To `Claim` and `AddUser`.
    UserAdded(UserId),
    /// To `FindUser`.
    Login(Option<Login>),
    /// To `ListUsers`, by id.
    Users(Vec<AccountFacts>),
    /// To `AddDevice`.
    DeviceAdded(DeviceId),
    /// To `WhoIs`.
    Identity(Option<Identity>),
    /// To `ListDevices`, by id.
    Devices(Vec<DeviceFacts>),
    /// To `HealthProbe`.
    Healthy {
        /// As read back from the room.
        nonce: u64,
        /// The probe's record.
        offset: Offset,
    },
}

/// Who the box is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The box; zeros before `BeginEpoch`.
    pub box_id: BoxId,
    /// The incarnation; zeros before `BeginEpoch`.
    pub epoch: Epoch,
    /// It has an owner.
    pub claimed: bool,
    /// Newest record.
    pub head: Offset,
    /// How many accounts there are.
    pub users: usize,
    /// How many rooms there are.
    pub rooms: usize,
    /// Open connections.
    pub sessions: usize,
    /// Connections that fell behind and have not caught up.
    pub dirty_sessions: usize,
}

/// What a login is checked against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Who.
    pub user: UserId,
    /// What they may do.
    pub role: Role,
    /// What the password hashes to.
    pub password_hash: PasswordHash,
}

/// An account as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountFacts {
    /// Who.
    pub user: UserId,
    /// Sign-in name.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

/// Who a token belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Who.
    pub user: UserId,
    /// Which device.
    pub device: DeviceId,
    /// Sign-in name.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

/// A device in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceFacts {
    /// Which.
    pub device: DeviceId,
    /// What it calls itself.
    pub label: String,
    /// When it signed in.
    pub added: TimeMs,
    /// It has a connection now.
    pub connected: bool,
}

/// Why a call was not done. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// The box has an owner.
    #[error("this box has an owner already: sign in, or ask the owner for an account")]
    AlreadyClaimed,
    /// The provisioning was used before.
    #[error("this claim link was used already: flash the card anew or use the code on the screen")]
    ProvisionSpent,
    /// `BeginEpoch` must come first.
    #[error("the box is still starting: try again shortly")]
    NotReady,
    /// Empty, too long, or with control characters.
    #[error("{field} must have 1 to {max} bytes and no control characters")]
    BadText {
        /// Which field.
        field: &'static str,
        /// Most bytes.
        max: usize,
    },
    /// Somebody has it.
    #[error("this name is taken: choose another one")]
    NameTaken,
    /// The asker's role does not allow it.
    #[error("only the owner and admins may manage accounts, and only the owner makes admins")]
    NotAllowed,
    /// No such account.
    #[error("there is no such user")]
    NoSuchUser,
    /// No such device.
    #[error("there is no such device")]
    NoSuchDevice,
    /// The token is in use.
    #[error("this token is in use: draw another one")]
    TokenTaken,
    /// A limit of the box is reached.
    #[error("this box holds at most {max} {what}: remove some first")]
    OverLimit {
        /// What there are too many of.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// Too much at once.
    #[error("the box is busy: try again in a second")]
    Busy,
    /// The card is full.
    #[error("the card is full: make a backup and restore it to a larger card")]
    CardFull,
    /// The probe's message did not come back as it was posted.
    #[error("the health message did not come back")]
    ProbeLost,
}
