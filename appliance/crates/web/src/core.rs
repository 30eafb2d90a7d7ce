//! Questions this crate asks about accounts. `linnetd` answers them with the chat core.
//!
//! An answer that reports a change is given only when the change is durable.

use std::future::Future;
use std::pin::Pin;

mod appliance;

pub use appliance::{ApplianceReport, ClockReport, Order, Wifi};

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::mpsc;
use wire::ids::{BoxId, DeviceId, Epoch, ProvisionId, TokenHash, UserId};
use wire::server::Role;

/// A pending answer.
pub type Answer<T> = Pin<Box<dyn Future<Output = Result<T, CoreError>> + Send>>;

/// Whoever knows the accounts. Calls return at once; the answer is awaited.
pub trait Core: Send + Sync + 'static {
    /// Public facts.
    fn facts(&self) -> Answer<Facts>;
    /// Makes the first owner; `AlreadyClaimed` when there is one. Spends the provisioning.
    fn claim(&self, provision: ProvisionId, name: String, password_hash: String) -> Answer<UserId>;
    /// Adds an account on behalf of `by`, whose right to do so the core checks as well.
    fn add_user(
        &self,
        by: UserId,
        name: String,
        role: Role,
        password_hash: String,
    ) -> Answer<UserId>;
    /// All accounts, by id.
    fn users(&self) -> Answer<Vec<Account>>;
    /// The account of that name, without regard to case.
    fn find_user(&self, name: String) -> Answer<Option<Credentials>>;
    /// Signs a device in.
    fn add_device(&self, user: UserId, label: String, token_hash: TokenHash) -> Answer<DeviceId>;
    /// Signs a device of `user` out; `NoSuchDevice` when it is not theirs.
    fn remove_device(&self, user: UserId, device: DeviceId) -> Answer<()>;
    /// The devices of a user.
    fn devices(&self, user: UserId) -> Answer<Vec<DeviceEntry>>;
    /// Whose token has this hash.
    fn who_is(&self, token_hash: TokenHash) -> Answer<Option<Caller>>;
    /// How the product is: quick, for the health page and `linnet status`.
    fn health(&self) -> Answer<HealthReport>;
    /// What the machine and the server use now, for owners who measure.
    fn figures(&self) -> Answer<Figures>;
    /// Begins a consistent export of everything.
    fn backup(&self) -> Answer<Backup>;
    /// Goes on without what a damaged log lost, where the box is in rescue for that; the box
    /// restarts right after the answer.
    fn salvage(&self) -> Answer<()> {
        Box::pin(std::future::ready(Err(CoreError::NothingToSalvage)))
    }
    /// How board and system are; `NoAppliance` where there is no init below.
    fn appliance(&self) -> Answer<ApplianceReport> {
        Box::pin(std::future::ready(Err(CoreError::NoAppliance)))
    }
    /// Has init carry out what the owner wants; `NoAppliance` where there is none.
    fn order(&self, _: Order) -> Answer<()> {
        Box::pin(std::future::ready(Err(CoreError::NoAppliance)))
    }
}

/// Public facts of a box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Identity of the box.
    pub box_id: BoxId,
    /// Incarnation of the store.
    pub epoch: Epoch,
    /// True once there is an owner.
    pub claimed: bool,
    /// Why the box serves nothing but this page, sign-in and a backup; none in normal life.
    pub rescue: Option<String>,
}

/// An account as administrators see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Who.
    pub user: UserId,
    /// Sign-in name.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

/// What a login is checked against.
#[derive(Clone)]
pub struct Credentials {
    /// Who.
    pub user: UserId,
    /// Argon2id hash in PHC text form.
    pub password_hash: String,
}

/// Who holds a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Who.
    pub user: UserId,
    /// With which device.
    pub device: DeviceId,
    /// What they may do.
    pub role: Role,
}

/// A signed-in device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceEntry {
    /// Which.
    pub device: DeviceId,
    /// Its label.
    pub label: String,
}

/// How the product is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HealthReport {
    /// True when people can chat and nothing needs the owner.
    pub ok: bool,
    /// One line each, for people.
    pub items: Vec<HealthItem>,
}

/// One line of the health page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HealthItem {
    /// Stable key, for example `card_space`.
    pub name: String,
    /// False when the owner should act.
    pub ok: bool,
    /// A sentence.
    pub text: String,
}

/// What the machine and the server use. None is what kernel or board do not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Open sessions, signed in or not.
    pub sessions: usize,
    /// Proportional set size of the server, in bytes.
    pub pss_bytes: Option<u64>,
    /// Bytes that the server wrote since it started, in whole units of the page cache.
    pub write_bytes: Option<u64>,
    /// Bytes that the device under DATA took from everybody since the board started.
    pub device_write_bytes: Option<u64>,
    /// Temperature of the processor, in thousandths of a degree Celsius.
    pub temperature_millidegrees: Option<i64>,
    /// Model of the board.
    pub board: Option<String>,
    /// Release of the kernel.
    pub kernel: Option<String>,
    /// What carries DATA; none when that is no block device.
    pub card: Option<Card>,
    /// Seconds since the board started.
    pub uptime_seconds: Option<u64>,
    /// Processors.
    pub cores: Option<usize>,
    /// Memory of the board, in bytes.
    pub memory_bytes: Option<u64>,
}

/// What a card says about itself; never its serial number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Card {
    /// Product name.
    pub name: Option<String>,
    /// `SD` or `MMC`.
    pub kind: Option<String>,
    /// Month and year of making.
    pub date: Option<String>,
    /// Size of the whole card.
    pub bytes: Option<u64>,
}

/// A running export.
pub struct Backup {
    /// Suggested file name.
    pub file_name: String,
    /// Bytes of the whole file, when known.
    pub bytes: Option<u64>,
    /// The file in order; the sender is dropped at the end, an `Err` marks it as broken.
    pub chunks: mpsc::Receiver<Result<Bytes, CoreError>>,
}

/// Why the core did not do something. The text of each is what the client is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CoreError {
    /// Another account has this name.
    #[error("another user has this name; choose a different one")]
    NameTaken,
    /// The box has an owner.
    #[error("this box already has an owner; ask them for an account")]
    AlreadyClaimed,
    /// The provisioning was spent before a factory reset.
    #[error("this claim link was spent before; flash the card anew to get a fresh one")]
    ProvisionSpent,
    /// The caller's role does not allow it.
    #[error("your role does not allow this; ask the owner of the box")]
    NotAllowed,
    /// No such account.
    #[error("there is no such user")]
    NoSuchUser,
    /// No such device of this user.
    #[error("there is no such device of yours")]
    NoSuchDevice,
    /// A number of things is over its limit.
    #[error("{0}")]
    OverLimit(String),
    /// The card is full.
    #[error("the card is full; make a backup and restore it to a larger card")]
    CardFull,
    /// Too much at once.
    #[error("the box is busy; try again in a moment")]
    Busy {
        /// When to try again.
        retry_after_ms: u32,
    },
    /// The box is not in rescue, or salvage would not help.
    #[error("there is nothing to salvage on this box")]
    NothingToSalvage,
    /// The box can't use its data; the reason is for the owner.
    #[error("{0}")]
    Rescue(String),
    /// The server is a plain program, without the system of a card below.
    #[error("this server does not run on a Linnet card, so there is no system to set")]
    NoAppliance,
    /// Init did not do it; the words are init's.
    #[error("{0}")]
    Refused(String),
    /// The process is going down.
    #[error("the box is restarting; try again in a moment")]
    ShuttingDown,
    /// Something this crate can't explain; the shell logged the cause.
    #[error("the box could not do this; its log says why")]
    Internal,
}
