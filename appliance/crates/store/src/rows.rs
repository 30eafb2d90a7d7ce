//! Turns the core's changes into rows and back: the only place that knows keys and values.

use chat::Change;
use log::Position;
use wire::ids::{DeviceId, Offset, RoomId, Seq, UserId};

use crate::error::StoreError;

/// First byte of an entity's key.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
enum Table {
    Meta = 0,
    User = 1,
    Device = 2,
    Room = 3,
    Member = 4,
    Mark = 5,
}

/// What to do with one row.
#[derive(Debug)]
pub(crate) enum Row<'a> {
    /// Write the change itself under this key.
    Put(Key, &'a Change),
    /// Remove this key.
    Remove(Key),
    /// Write an entry of the message index.
    Message { room: RoomId, seq: Seq, offset: Offset },
}

/// A key: at most table, room and seq. Big-endian, so that rows of a room lie together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    bytes: [u8; 13],
    length: usize,
}

impl Key {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    const fn new(table: Table) -> Self {
        let mut bytes = [0; 13];
        bytes[0] = table as u8;
        Self { bytes, length: 1 }
    }

    fn with(mut self, part: &[u8]) -> Self {
        self.bytes[self.length..self.length + part.len()].copy_from_slice(part);
        self.length += part.len();
        self
    }

    fn user(user: UserId) -> Self {
        Self::new(Table::User).with(&user.0.to_be_bytes())
    }

    fn device(device: DeviceId) -> Self {
        Self::new(Table::Device).with(&device.0.to_be_bytes())
    }

    fn in_room(table: Table, room: RoomId) -> Self {
        Self::new(table).with(&room.0.to_be_bytes())
    }
}

/// The row that a change replaces.
pub(crate) fn row_of(change: &Change) -> Row<'_> {
    let key = match change {
        Change::Meta(_) => Key::new(Table::Meta),
        Change::User(account) => Key::user(account.user),
        Change::Device(device) => Key::device(device.device),
        Change::DeviceRemoved(device) => return Row::Remove(Key::device(*device)),
        Change::Room(facts) => Key::in_room(Table::Room, facts.room),
        Change::Member { room, member } => {
            Key::in_room(Table::Member, *room).with(&member.user.0.to_be_bytes())
        }
        Change::Mark { room, mark } => {
            Key::in_room(Table::Mark, *room).with(&mark.seq.0.to_be_bytes())
        }
        Change::Message { room, seq, offset } => {
            return Row::Message { room: *room, seq: *seq, offset: *offset };
        }
    };
    Row::Put(key, change)
}

/// A change as the value of its row.
pub(crate) fn encode(change: &Change) -> Vec<u8> {
    postcard::to_stdvec(change).expect("changes have no maps and known lengths")
}

/// The change in a row.
pub(crate) fn decode(value: &[u8]) -> Result<Change, StoreError> {
    match postcard::take_from_bytes(value) {
        Ok((change, [])) => Ok(change),
        Ok(_) => Err(StoreError::Corrupt("a row has bytes left over".into())),
        Err(error) => Err(StoreError::Corrupt(format!("a row can't be read: {error}"))),
    }
}

/// A message's place, as the value of its row.
pub(crate) fn place(offset: Offset, position: Position) -> (u64, u32, u32, u16) {
    (offset.0, position.segment, position.byte, position.index)
}
