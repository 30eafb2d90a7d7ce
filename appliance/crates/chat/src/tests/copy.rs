//! What a client keeps, and how events change it.

use std::collections::BTreeMap;

use wire::ServerMessage;
use wire::ids::{Offset, RoomId, Seq, UserId};
use wire::server::{Message, Room, RoomKind, User};

use crate::limits::READ_MARKS_MEMBERS_MAX;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Copy {
    pub(super) me: UserId,
    pub(super) cursor: Offset,
    pub(super) users: BTreeMap<UserId, User>,
    pub(super) rooms: BTreeMap<RoomId, CopyRoom>,
    pub(super) messages: BTreeMap<(RoomId, Seq), Message>,
    /// Messages that came twice.
    pub(super) repeats: Vec<(RoomId, Seq)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CopyRoom {
    kind: RoomKind,
    name: String,
    pub(super) members: BTreeMap<UserId, Seq>,
    first: Seq,
    pub(super) head: Seq,
    pub(super) read: Seq,
    pub(super) unread: u64,
}

impl Copy {
    pub(super) fn apply(&mut self, event: &ServerMessage) {
        match event {
            ServerMessage::User(user) => {
                self.users.insert(user.user, user.clone());
            }
            ServerMessage::Room(room) => self.room(room),
            ServerMessage::RoomGone(gone) => {
                self.rooms.remove(&gone.room);
                self.messages.retain(|(room, _), _| *room != gone.room);
            }
            ServerMessage::MemberChange(change) => {
                self.member(change.room, change.user, change.joined);
            }
            ServerMessage::MembersChanged(change) => {
                for moved in &change.members {
                    self.member(change.room, moved.user, moved.joined);
                }
            }
            ServerMessage::Message(message) => self.message(message),
            ServerMessage::ReadMark(mark) => self.read(mark.room, mark.user, mark.seq),
            ServerMessage::CaughtUp(caught_up) => self.cursor = caught_up.cursor,
            _ => {}
        }
    }

    fn member(&mut self, room: RoomId, user: UserId, joined: bool) {
        let Some(room) = self.rooms.get_mut(&room) else { return };
        if joined {
            room.members.entry(user).or_default();
        } else {
            room.members.remove(&user);
        }
    }

    fn room(&mut self, room: &Room) {
        let members = room.members.iter().map(|member| (member.user, member.read)).collect();
        let copy = CopyRoom {
            kind: room.room_kind,
            name: room.name.clone(),
            members,
            first: room.first,
            head: room.head,
            read: room.read,
            unread: room.unread,
        };
        self.rooms.insert(room.room, copy);
        if let Some(last) = &room.last {
            self.messages.insert((room.room, last.seq), last.clone());
        }
    }

    fn message(&mut self, message: &Message) {
        let key = (message.room, message.seq);
        if self.messages.insert(key, message.clone()).is_some() {
            self.repeats.push(key);
        }
        let room = self.rooms.get_mut(&message.room).expect("messages of known rooms only");
        room.head = room.head.max(message.seq);
        room.unread = room.head.0 - room.read.0;
        self.read(message.room, message.author, message.seq);
    }

    fn read(&mut self, room: RoomId, user: UserId, seq: Seq) {
        let me = self.me;
        let Some(room) = self.rooms.get_mut(&room) else { return };
        if let Some(read) = room.members.get_mut(&user) {
            *read = (*read).max(seq);
        }
        if user == me {
            room.read = room.read.max(seq);
            room.unread = room.head.0 - room.read.0;
        }
    }

    /// Read marks of rooms that do not show them are of no meaning.
    pub(super) fn normal_rooms(&self) -> BTreeMap<RoomId, CopyRoom> {
        let mut rooms = self.rooms.clone();
        for room in rooms.values_mut() {
            if room.members.len() > READ_MARKS_MEMBERS_MAX {
                room.members.values_mut().for_each(|read| *read = Seq(0));
            }
        }
        rooms
    }
}
