//! The message index: where the messages of a room lie in the log. Cheap to clone; reads see the
//! last checkpoint and never wait for the next one.

use std::sync::{Arc, RwLock};

use log::Position;
use redb::Database;
use wire::ids::{Offset, RoomId, Seq};

use crate::error::{StoreError, from_redb};
use crate::limits::RANGE_ENTRIES_MAX;
use crate::tables;

/// Where one message lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the room.
    pub seq: Seq,
    /// Its record.
    pub offset: Offset,
    /// Where the record is.
    pub position: Position,
}

/// The database, or nothing while it is being opened again.
pub(crate) type Shared = Arc<RwLock<Option<Database>>>;

/// Looks up messages.
#[derive(Clone, Debug)]
pub struct MessageIndex {
    pub(crate) database: Shared,
}

impl MessageIndex {
    /// The messages `first..=last` of a room that the last checkpoint holds, ascending, at most
    /// [`RANGE_ENTRIES_MAX`].
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn range(&self, room: RoomId, first: Seq, last: Seq) -> Result<Vec<Entry>, StoreError> {
        let guard = self.database.read().expect("no holder of this lock panics");
        let database = guard.as_ref().ok_or(StoreError::Closed)?;
        tables::read(database, |transaction| {
            let messages = transaction.open_table(tables::MESSAGES).map_err(from_redb)?;
            let rows = messages.range((room.0, first.0)..=(room.0, last.0)).map_err(from_redb)?;
            rows.take(RANGE_ENTRIES_MAX)
                .map(|row| {
                    let (key, value) = row.map_err(from_redb)?;
                    let (offset, segment, byte, index) = value.value();
                    let position = Position { segment, byte, index };
                    Ok(Entry { seq: Seq(key.value().1), offset: Offset(offset), position })
                })
                .collect()
        })
    }
}
