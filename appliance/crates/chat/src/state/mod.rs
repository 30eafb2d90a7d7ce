//! What the box knows: the result of applying every record in order. Loaded from the store's
//! changes, moved on by `apply` alone, read by everything else.

mod account;
mod change;
mod index;
mod load;
mod members;
mod room;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use wire::ids::{BoxId, DeviceId, Epoch, Offset, ProvisionId, RoomId, Seq, TokenHash, UserId};

pub use account::{Account, Device, Lookup, Outcome, PasswordHash, Settled};
pub use change::{Change, Touched};
pub use load::LoadError;
pub use members::Members;
pub use room::{Interval, Mark, Membership, Room, RoomFacts};

/// The hidden user, device and room of the health probe: never listed, counted or exported.
pub const SYSTEM_USER: UserId = UserId(u32::MAX);
/// Device of [`SYSTEM_USER`].
pub const SYSTEM_DEVICE: DeviceId = DeviceId(u32::MAX);
/// Room of [`SYSTEM_USER`]; it holds one message, the newest probe.
pub const SYSTEM_ROOM: RoomId = RoomId(u32::MAX);

/// Facts about the whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// The box; zeros before the first `EpochBegun`.
    pub box_id: BoxId,
    /// The incarnation of the store; zeros before the first `EpochBegun`.
    pub epoch: Epoch,
    /// Newest record that this state reflects.
    pub head: Offset,
    /// Ids given out so far.
    pub last_user: UserId,
    /// Ids given out so far.
    pub last_device: DeviceId,
    /// Ids given out so far.
    pub last_room: RoomId,
    /// Newest change of any account.
    pub users_changed: Offset,
    /// The person who claimed the box.
    pub owner: Option<UserId>,
    /// Provisionings that were used.
    pub provisions: Vec<ProvisionId>,
}

impl Meta {
    const fn new() -> Self {
        Self {
            box_id: BoxId([0; 16]),
            epoch: Epoch([0; 16]),
            head: Offset(0),
            last_user: UserId(0),
            last_device: DeviceId(0),
            last_room: RoomId(0),
            users_changed: Offset(0),
            owner: None,
            provisions: Vec::new(),
        }
    }

    /// `EpochBegun` was recorded: the store has an identity.
    #[must_use]
    pub fn begun(&self) -> bool {
        self.epoch != Epoch([0; 16])
    }
}

/// Everything the records say, and the look-up tables that follow from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub(crate) meta: Meta,
    pub(crate) users: BTreeMap<UserId, Account>,
    pub(crate) devices: BTreeMap<DeviceId, Device>,
    pub(crate) rooms: BTreeMap<RoomId, Room>,
    names: BTreeMap<String, UserId>,
    tokens: BTreeMap<TokenHash, DeviceId>,
    directs: BTreeMap<(UserId, UserId), RoomId>,
    rooms_of: BTreeMap<UserId, BTreeSet<RoomId>>,
    devices_of: BTreeMap<UserId, BTreeSet<DeviceId>>,
}

impl Default for State {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    /// The state before the first record: only the health probe's hidden entities.
    #[must_use]
    pub fn new() -> Self {
        let mut state = Self {
            meta: Meta::new(),
            users: BTreeMap::new(),
            devices: BTreeMap::new(),
            rooms: BTreeMap::new(),
            names: BTreeMap::new(),
            tokens: BTreeMap::new(),
            directs: BTreeMap::new(),
            rooms_of: BTreeMap::new(),
            devices_of: BTreeMap::new(),
        };
        state.devices.insert(SYSTEM_DEVICE, Device::system());
        state.rooms.insert(SYSTEM_ROOM, Room::system());
        state
    }

    /// Rebuilds the state from every change the store holds, in any order. `Message` changes may
    /// be left out: they are the store's own index.
    ///
    /// # Errors
    /// When the changes do not fit together; rebuild the store from the log then.
    pub fn load(changes: impl IntoIterator<Item = Change>) -> Result<Self, LoadError> {
        load::load(changes)
    }

    /// Newest record that this state reflects.
    #[must_use]
    pub const fn head(&self) -> Offset {
        self.meta.head
    }

    /// Facts about the whole.
    #[must_use]
    pub const fn meta(&self) -> &Meta {
        &self.meta
    }

    /// An account.
    #[must_use]
    pub fn user(&self, user: UserId) -> Option<&Account> {
        self.users.get(&user)
    }

    /// Every account, by id.
    pub fn users(&self) -> impl Iterator<Item = &Account> {
        self.users.values()
    }

    /// A device.
    #[must_use]
    pub fn device(&self, device: DeviceId) -> Option<&Device> {
        self.devices.get(&device)
    }

    /// A user's devices, by id.
    pub fn devices_of(&self, user: UserId) -> impl Iterator<Item = &Device> {
        let ids = self.devices_of.get(&user).into_iter().flatten();
        ids.filter_map(|id| self.devices.get(id))
    }

    /// A room, the hidden one included.
    #[must_use]
    pub fn room(&self, room: RoomId) -> Option<&Room> {
        self.rooms.get(&room)
    }

    /// Every room but the hidden one, by id.
    pub fn rooms(&self) -> impl Iterator<Item = &Room> {
        self.rooms.values().filter(|room| room.facts.room != SYSTEM_ROOM)
    }

    /// Every room that a user is or was in, by id.
    pub fn rooms_of(&self, user: UserId) -> impl Iterator<Item = &Room> {
        let ids = self.rooms_of.get(&user).into_iter().flatten();
        ids.filter_map(|id| self.rooms.get(id))
    }

    /// Ids of every room that a user is or was in, ascending.
    pub(crate) fn room_ids_of(&self, user: UserId) -> impl Iterator<Item = RoomId> {
        self.rooms_of.get(&user).into_iter().flatten().copied()
    }

    pub(crate) fn count_rooms_of(&self, user: UserId) -> usize {
        self.rooms_of.get(&user).map_or(0, BTreeSet::len)
    }

    /// A user's present membership in a room.
    #[must_use]
    pub fn member(&self, room: RoomId, user: UserId) -> Option<(&Room, &Membership)> {
        let room = self.rooms.get(&room)?;
        let member = room.members.get(user).filter(|member| member.present)?;
        Some((room, member))
    }

    /// The account with this sign-in name, whatever its case.
    #[must_use]
    pub fn user_named(&self, name: &str) -> Option<&Account> {
        self.names.get(&name.to_lowercase()).and_then(|id| self.users.get(id))
    }

    /// The device whose token hashes to this.
    #[must_use]
    pub fn device_with(&self, token: &TokenHash) -> Option<&Device> {
        self.tokens.get(token).and_then(|id| self.devices.get(id))
    }

    /// The direct room of two users.
    #[must_use]
    pub fn direct(&self, one: UserId, other: UserId) -> Option<RoomId> {
        self.directs.get(&(one.min(other), one.max(other))).copied()
    }

    /// Newest message of a room; 0 when there is none or no such room.
    #[must_use]
    pub fn room_head(&self, room: RoomId) -> Seq {
        self.rooms.get(&room).map_or(Seq(0), |room| room.facts.head)
    }
}
