//! A client's copy of its world: changed by events alone, checked while they come.

use std::collections::BTreeMap;

use wire::ids::{Counter, DeviceId, RoomId, Seq, UserId};
use wire::server::{
    HistoryPage, MemberChange, MemberMoved, MembersChanged, Message, ReadMark, Room,
};

use crate::violation::{Checked, broken, ensure};

/// What one device knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Copy {
    pub(crate) me: UserId,
    pub(crate) users: BTreeMap<UserId, String>,
    pub(crate) rooms: BTreeMap<RoomId, CopyRoom>,
    /// Where each command's message was shown: nothing is shown twice.
    shown: BTreeMap<(DeviceId, Counter), (RoomId, Seq)>,
    /// Counts stays, so that answers about an earlier one are told apart.
    stays: u64,
}

/// One room on the screen.
#[derive(Clone, Debug)]
pub(crate) struct CopyRoom {
    pub(crate) members: BTreeMap<UserId, Seq>,
    pub(crate) head: Seq,
    pub(crate) read: Seq,
    pub(crate) unread: u64,
    pub(crate) messages: BTreeMap<Seq, Message>,
    /// Everything visible from here to `head` is in `messages`.
    pub(crate) complete_from: Seq,
    /// The beginning was reached.
    pub(crate) whole: bool,
    pub(crate) stay: u64,
}

impl Copy {
    /// An empty copy of a user's world.
    pub(crate) fn of(me: UserId) -> Self {
        Self { me, ..Self::default() }
    }

    pub(crate) fn room(&mut self, room: &Room) -> Checked {
        let known = self.rooms.remove(&room.room);
        self.stays += 1;
        let mut copy = CopyRoom {
            members: room.members.iter().map(|member| (member.user, member.read)).collect(),
            head: room.head,
            read: room.read,
            unread: room.unread,
            messages: BTreeMap::new(),
            complete_from: room.last.as_ref().map_or(room.head.next(), |last| last.seq),
            whole: false,
            stay: known.as_ref().map_or(self.stays, |known| known.stay),
        };
        if let Some(known) = known {
            if known.head == room.head {
                copy.complete_from = known.complete_from;
                copy.whole = known.whole;
            }
            copy.messages = known.messages;
        }
        self.rooms.insert(room.room, copy);
        room.last.as_ref().map_or(Ok(()), |last| self.show(last))
    }

    pub(crate) fn gone(&mut self, room: RoomId) {
        self.rooms.remove(&room);
    }

    pub(crate) fn member(&mut self, change: &MemberChange) -> Checked {
        let Some(room) = self.rooms.get_mut(&change.room) else {
            return broken("known rooms", format!("a member of unknown room {}", change.room));
        };
        if change.joined {
            room.members.entry(change.user).or_default();
        } else {
            room.members.remove(&change.user);
        }
        Ok(())
    }

    pub(crate) fn members(&mut self, changed: &MembersChanged) -> Checked {
        let room = changed.room;
        for MemberMoved { offset, user, joined } in changed.members.iter().copied() {
            self.member(&MemberChange { offset, room, user, joined })?;
        }
        Ok(())
    }

    /// A message from the stream: the next one of its room, or one that came before.
    pub(crate) fn message(&mut self, message: &Message) -> Checked {
        let Some(room) = self.rooms.get_mut(&message.room) else {
            return broken("known rooms", format!("message of unknown room {}", message.room));
        };
        ensure(message.seq <= room.head.next(), "no holes", || {
            let (room_id, seq) = (message.room, message.seq);
            format!("user {}: room {room_id} went from {} to {seq}", self.me, room.head)
        })?;
        room.head = room.head.max(message.seq);
        room.unread = room.head.0 - room.read.0;
        let (room, author, seq) = (message.room, message.author, message.seq);
        self.show(message)?;
        self.moved(room, author, seq);
        Ok(())
    }

    pub(crate) fn read(&mut self, mark: &ReadMark) {
        self.moved(mark.room, mark.user, mark.seq);
    }

    fn moved(&mut self, room: RoomId, user: UserId, seq: Seq) {
        let me = self.me;
        let Some(room) = self.rooms.get_mut(&room) else { return };
        if let Some(read) = room.members.get_mut(&user) {
            *read = (*read).max(seq);
        }
        if user == me {
            room.read = room.read.max(seq);
            room.unread = room.head.0.saturating_sub(room.read.0);
        }
    }

    /// A page of the past, asked for during this stay.
    pub(crate) fn page(&mut self, page: &HistoryPage, before: Seq, stay: u64) -> Checked {
        let ascending = page.messages.windows(2).all(|pair| pair[0].seq < pair[1].seq);
        ensure(ascending, "room order", || format!("a page of room {} is unordered", page.room))?;
        ensure(page.damaged == 0, "nothing damaged", || format!("{page:?}"))?;
        match self.rooms.get(&page.room) {
            Some(room) if room.stay == stay => {}
            _ => return Ok(()),
        }
        for message in &page.messages {
            self.show(message)?;
        }
        let Some(room) = self.rooms.get_mut(&page.room) else { return Ok(()) };
        if room.complete_from <= before {
            room.whole |= page.before.is_none();
            room.complete_from = room.complete_from.min(page.before.unwrap_or(Seq(1)));
        }
        Ok(())
    }

    /// Puts a message on the screen unless it is there.
    fn show(&mut self, message: &Message) -> Checked {
        let place = (message.room, message.seq);
        let Some(room) = self.rooms.get_mut(&message.room) else { return Ok(()) };
        if let Some(there) = room.messages.insert(message.seq, message.clone()) {
            return ensure(there == *message, "one content", || {
                format!("{place:?} was {there:?} and became {message:?}")
            });
        }
        let command = (message.device, message.counter);
        let first = *self.shown.entry(command).or_insert(place);
        ensure(first == place, "shown once", || {
            format!("user {} sees {command:?} at {first:?} and at {place:?}", self.me)
        })
    }
}
