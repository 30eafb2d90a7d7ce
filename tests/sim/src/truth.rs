//! What the durable log says, told by rules of its own: the yardstick for clients and recoveries.
//! Written without a look at the core's `apply`.

use std::collections::{BTreeMap, BTreeSet};

use chat::Entry;
use wire::RecordBody;
use wire::client::History;
use wire::ids::{Counter, DeviceId, Offset, RoomId, Seq, UserId};
use wire::server::Message;

use crate::record::to_message;
use crate::violation::{Checked, broken, ensure};

/// The story so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Truth {
    pub(crate) entries: Vec<Entry>,
    pub(crate) users: BTreeSet<UserId>,
    /// Devices whose tokens are good.
    pub(crate) devices: BTreeSet<DeviceId>,
    pub(crate) rooms: BTreeMap<RoomId, TruthRoom>,
    commands: BTreeMap<(DeviceId, Counter), Offset>,
    last: BTreeMap<DeviceId, Counter>,
}

/// A room and everybody who ever was in it.
#[derive(Clone, Debug)]
pub(crate) struct TruthRoom {
    history: History,
    pub(crate) members: BTreeMap<UserId, TruthMember>,
    pub(crate) messages: Vec<Message>,
}

/// Somebody's time in a room.
#[derive(Clone, Debug, Default)]
pub(crate) struct TruthMember {
    pub(crate) present: bool,
    pub(crate) read: Seq,
    /// Every message they may see while in the room.
    pub(crate) seen: BTreeSet<Seq>,
}

impl Truth {
    pub(crate) fn head(&self) -> Offset {
        Offset(self.entries.len() as u64)
    }

    /// The durable record of a command.
    pub(crate) fn command(&self, device: DeviceId, counter: Counter) -> Option<&Entry> {
        let offset = self.commands.get(&(device, counter))?;
        self.entry(*offset)
    }

    pub(crate) fn entry(&self, offset: Offset) -> Option<&Entry> {
        let at = usize::try_from(offset.0.checked_sub(1)?).ok()?;
        self.entries.get(at)
    }

    /// Whether a user may have seen a message at any time up to now.
    pub(crate) fn ever_saw(&self, user: UserId, room: RoomId, seq: Seq) -> bool {
        let member = self.rooms.get(&room).and_then(|room| room.members.get(&user));
        member.is_some_and(|member| member.seen.contains(&seq))
    }

    /// Adds a durable record.
    pub(crate) fn add(&mut self, entry: Entry) -> Checked {
        ensure(entry.offset == self.head().next(), "log dense", || {
            format!("record {} follows {}", entry.offset, self.head())
        })?;
        self.note_command(&entry)?;
        match &entry.body {
            RecordBody::UserAdded(body) => {
                self.users.insert(body.user);
            }
            RecordBody::DeviceAdded(body) => {
                self.devices.insert(body.device);
            }
            RecordBody::DeviceRemoved(body) => {
                self.devices.remove(&body.device);
            }
            RecordBody::RoomAdded(body) => {
                let mut room = TruthRoom::new(body.history);
                body.members.iter().for_each(|user| room.join(*user));
                self.rooms.insert(body.room, room);
            }
            RecordBody::MemberAdded(body) => self.room(body.room)?.join(body.user),
            RecordBody::MemberRemoved(body) => self.room(body.room)?.leave(body.user),
            RecordBody::CursorsMoved(body) => {
                for moved in &body.cursors {
                    self.room(moved.room)?.read(moved.user, moved.seq);
                }
            }
            RecordBody::MessagePosted(_) => self.post(&entry)?,
            _ => {}
        }
        self.entries.push(entry);
        Ok(())
    }

    /// A device's commands come in the order of their numbers, none twice, none left out.
    fn note_command(&mut self, entry: &Entry) -> Checked {
        if entry.counter == Counter(0) {
            return Ok(());
        }
        let (device, counter) = (entry.device, entry.counter);
        let last = self.last.insert(device, counter).unwrap_or_default();
        self.commands.insert((device, counter), entry.offset);
        ensure(counter == last.next(), "commands dense", || {
            format!("device {device} did command {counter} right after {last}")
        })
    }

    fn room(&mut self, room: RoomId) -> Checked<&mut TruthRoom> {
        match self.rooms.get_mut(&room) {
            Some(known) => Ok(known),
            None => {
                broken("log sound", format!("a record is about room {room}, which is not there"))
            }
        }
    }

    fn post(&mut self, entry: &Entry) -> Checked {
        let Some(message) = to_message(entry) else { return Ok(()) };
        if message.room == chat::state::SYSTEM_ROOM {
            return Ok(());
        }
        let author = entry.actor;
        let room = self.room(message.room)?;
        let expected = Seq(room.messages.len() as u64 + 1);
        ensure(message.seq == expected, "room order", || {
            format!("room {}: message {} instead of {expected}", message.room, message.seq)
        })?;
        let member = room.members.get(&author).is_some_and(|member| member.present);
        ensure(member, "log sound", || format!("user {author} posted to room {}", message.room))?;
        let seq = message.seq;
        room.messages.push(message);
        for member in room.members.values_mut().filter(|member| member.present) {
            member.seen.insert(seq);
        }
        room.read(author, seq);
        Ok(())
    }
}

impl TruthRoom {
    const fn new(history: History) -> Self {
        Self { history, members: BTreeMap::new(), messages: Vec::new() }
    }

    pub(crate) fn head(&self) -> Seq {
        Seq(self.messages.len() as u64)
    }

    fn join(&mut self, user: UserId) {
        let head = self.head();
        let member = self.members.entry(user).or_default();
        if self.history == History::All {
            member.seen.extend((1..=head.0).map(Seq));
        }
        member.present = true;
        member.read = member.read.max(head);
    }

    fn leave(&mut self, user: UserId) {
        if let Some(member) = self.members.get_mut(&user) {
            member.present = false;
        }
    }

    fn read(&mut self, user: UserId, seq: Seq) {
        if let Some(member) = self.members.get_mut(&user).filter(|member| member.present) {
            member.read = member.read.max(seq);
        }
    }
}
