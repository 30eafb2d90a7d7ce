//! What the store writes: one entity a change, replacing what it held under the same key.

use serde::{Deserialize, Serialize};
use wire::ids::{DeviceId, Offset, RoomId, Seq, UserId};

use super::{Account, Device, Mark, Membership, Meta, RoomFacts, State};

/// One entity as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// The only one of its kind; in every checkpoint.
    Meta(Meta),
    /// Key: user.
    User(Account),
    /// Key: device.
    Device(Device),
    /// Remove this key of `Device`.
    DeviceRemoved(DeviceId),
    /// Key: room. Members are entities of their own.
    Room(RoomFacts),
    /// Key: room and user. Past members keep theirs.
    Member {
        /// Which room.
        room: RoomId,
        /// The user's place in it.
        member: Membership,
    },
    /// Key: room and seq. `State::load` needs these.
    Mark {
        /// Which room.
        room: RoomId,
        /// One message's place in the global order.
        mark: Mark,
    },
    /// Key: room and seq. The store's index of messages; `State::load` ignores it. In the hidden
    /// room one key is written again and again.
    Message {
        /// Which room.
        room: RoomId,
        /// Which message.
        seq: Seq,
        /// Its record.
        offset: Offset,
    },
}

/// Names an entity that a record changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Touched {
    /// An account.
    User(UserId),
    /// A device, perhaps removed.
    Device(DeviceId),
    /// A room's facts.
    Room(RoomId),
    /// A membership.
    Member(RoomId, UserId),
    /// A mark.
    Mark(RoomId, Seq),
    /// A message of the index.
    Message(RoomId, Seq, Offset),
}

impl State {
    /// The entity as it is now. None for what does not exist (a programmer's mistake).
    #[must_use]
    pub fn change(&self, touched: Touched) -> Option<Change> {
        match touched {
            Touched::User(user) => self.users.get(&user).cloned().map(Change::User),
            Touched::Device(device) => Some(
                (self.devices.get(&device).cloned())
                    .map_or(Change::DeviceRemoved(device), Change::Device),
            ),
            Touched::Room(room) => {
                self.rooms.get(&room).map(|room| Change::Room(room.facts.clone()))
            }
            Touched::Member(room, user) => {
                let member = self.rooms.get(&room)?.members.get(user)?.clone();
                Some(Change::Member { room, member })
            }
            Touched::Mark(room, seq) => {
                let marks = &self.rooms.get(&room)?.marks;
                let at = marks.binary_search_by_key(&seq, |mark| mark.seq).ok()?;
                Some(Change::Mark { room, mark: marks[at] })
            }
            Touched::Message(room, seq, offset) => Some(Change::Message { room, seq, offset }),
        }
    }
}
