//! A small box: records applied by the core, changes collected for the store.

use std::collections::{BTreeMap, BTreeSet};

use chat::state::Touched;
use chat::{Change, Entry, State};
use log::Position;
use wire::RecordBody;
use wire::client::History;
use wire::ids::{
    BoxId, ContentHash, Counter, DeviceId, Epoch, Offset, RoomId, Seq, TimeMs, TokenHash, UserId,
};
use wire::record::{DeviceAdded, DeviceRemoved, EpochBegun, MessagePosted, RoomAdded, UserAdded};
use wire::server::{Role, RoomKind};

use crate::{Store, StoreError};

/// The box and what its next checkpoint would write.
pub(super) struct Model {
    pub(super) state: State,
    touched: BTreeSet<Touched>,
    positions: BTreeMap<Offset, Position>,
}

impl Model {
    /// Two users with a device each, in two rooms.
    pub(super) fn new() -> Self {
        let mut model =
            Self { state: State::new(), touched: BTreeSet::new(), positions: BTreeMap::new() };
        model.record(EpochBegun { box_id: BoxId([1; 16]), epoch: Epoch([2; 16]) });
        for id in 1..=2 {
            model.record(UserAdded {
                user: UserId(id),
                name: format!("user {id}"),
                role: Role::Member,
                password_hash: "$argon2id$".into(),
            });
            model.record(DeviceAdded {
                device: DeviceId(id),
                user: UserId(id),
                label: "phone".into(),
                token_hash: TokenHash([u8::try_from(id).unwrap(); 32]),
            });
        }
        for room in 1..=2 {
            model.record(RoomAdded {
                room: RoomId(room),
                room_kind: RoomKind::Group,
                name: format!("room {room}"),
                history: History::All,
                members: vec![UserId(1), UserId(2)],
                command: ContentHash([0; 16]),
            });
        }
        model
    }

    /// Posts some messages.
    pub(super) fn post(&mut self, room: RoomId, count: usize) {
        for _ in 0..count {
            let seq = self.state.room_head(room).next();
            let text = format!("message {seq}");
            let command = ContentHash([3; 16]);
            self.record(MessagePosted { room, seq, text, command });
        }
    }

    pub(super) fn remove_device(&mut self, device: DeviceId) {
        self.record(DeviceRemoved { device });
    }

    fn record(&mut self, body: impl Into<RecordBody>) {
        let offset = self.state.head().next();
        let entry = Entry {
            offset,
            time: TimeMs(offset.0),
            actor: UserId(1),
            device: DeviceId(1),
            counter: Counter(0),
            body: body.into(),
        };
        let byte = u32::try_from(offset.0 * 512).unwrap();
        self.positions.insert(offset, Position { segment: 1, byte, index: 0 });
        self.touched.extend(chat::apply(&mut self.state, &entry));
    }

    pub(super) fn position(&self, offset: Offset) -> Option<Position> {
        self.positions.get(&offset).copied()
    }

    /// What a checkpoint writes now.
    pub(super) fn take_changes(&mut self) -> Vec<Change> {
        let touched = std::mem::take(&mut self.touched);
        let entities = touched.into_iter().filter_map(|touched| self.state.change(touched));
        std::iter::once(Change::Meta(self.state.meta().clone())).chain(entities).collect()
    }

    pub(super) fn checkpoint(&mut self, store: &mut Store) -> Result<(), StoreError> {
        let changes = self.take_changes();
        store.checkpoint(self.state.head(), &changes, |offset| self.position(offset))
    }

    /// Messages of a room so far.
    pub(super) fn seq(&self, room: RoomId) -> Seq {
        self.state.room_head(room)
    }
}
