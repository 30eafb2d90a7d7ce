//! What a client knows of its box: users, rooms, how far each room was shown, and the cursor. Pure.

use std::collections::{BTreeMap, HashMap};

use wire::ServerMessage;
use wire::ids::{Epoch, Offset, RoomId, Seq, UserId};
use wire::server::{Message, Room, RoomKind, SyncMode, User, Welcome};

/// What one server message means to a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// Nothing to show.
    Nothing,
    /// A message that was not shown before.
    Message(Message),
    /// A room has messages that will not come by themselves: ask for its history.
    Behind(RoomId, Missed),
    /// The server dropped frames for this session: answer with `sync` from this cursor.
    Sync(Offset),
    /// Everything up to now was told.
    CaughtUp,
}

/// A range of messages that was not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed {
    /// Last message that was shown.
    pub after: Seq,
    /// Newest one of the range.
    pub last: Seq,
}

/// A copy without message bodies.
#[derive(Debug, Default)]
pub struct Mirror {
    /// Everybody, by id.
    pub users: BTreeMap<UserId, User>,
    /// One's rooms, by id.
    pub rooms: BTreeMap<RoomId, Room>,
    shown: HashMap<RoomId, Seq>,
    epoch: Option<Epoch>,
    cursor: Offset,
    resetting: bool,
    sync_asked: bool,
}

impl Mirror {
    /// What `hello` should carry.
    #[must_use]
    pub fn copy(&self) -> Option<(Epoch, Offset)> {
        self.epoch.map(|epoch| (epoch, self.cursor))
    }

    /// A session begins.
    pub fn welcomed(&mut self, epoch: Epoch, welcome: &Welcome) {
        if self.epoch != Some(epoch) {
            // Another incarnation: its (room, seq) have nothing to do with the ones before.
            self.shown.clear();
        }
        self.epoch = Some(epoch);
        self.sync_asked = false;
        self.resetting = welcome.sync == SyncMode::Reset;
        if self.resetting {
            self.users.clear();
            self.rooms.clear();
            self.cursor = Offset(0);
        }
    }

    /// Takes one message of the server.
    pub fn take(&mut self, message: &ServerMessage) -> News {
        match message {
            ServerMessage::User(user) => {
                self.users.insert(user.user, user.clone());
                News::Nothing
            }
            ServerMessage::Room(room) => self.room(room),
            ServerMessage::RoomGone(gone) => {
                self.rooms.remove(&gone.room);
                self.shown.remove(&gone.room);
                News::Nothing
            }
            ServerMessage::Message(message) => self.message(message),
            ServerMessage::CaughtUp(caught_up) => {
                self.cursor = self.cursor.max(caught_up.cursor);
                self.resetting = false;
                self.sync_asked = false;
                News::CaughtUp
            }
            ServerMessage::RoomAt(_) if !self.sync_asked => {
                self.sync_asked = true;
                News::Sync(self.cursor)
            }
            _ => News::Nothing,
        }
    }

    /// Marks a message of a history page as shown; false when it was shown before.
    pub fn show(&mut self, message: &Message) -> bool {
        let shown = self.shown.entry(message.room).or_default();
        let fresh = message.seq > *shown;
        *shown = message.seq.max(*shown);
        fresh
    }

    /// A user's name, or their number while it is not known.
    #[must_use]
    pub fn name_of(&self, user: UserId) -> String {
        let known = self.users.get(&user).map(|user| user.name.clone());
        known.unwrap_or_else(|| format!("user {user}"))
    }

    /// A room's name; a direct room is called after the other person.
    #[must_use]
    pub fn title_of(&self, room: RoomId, me: UserId) -> String {
        match self.rooms.get(&room) {
            Some(room) if room.room_kind == RoomKind::Group => room.name.clone(),
            Some(room) => {
                let other = room.members.iter().find(|member| member.user != me);
                format!("@{}", self.name_of(other.map_or(me, |member| member.user)))
            }
            None => format!("room {room}"),
        }
    }

    /// The user of a name, without regard to case.
    #[must_use]
    pub fn user_named(&self, name: &str) -> Option<UserId> {
        let name = name.to_lowercase();
        let found = self.users.values().find(|user| user.name.to_lowercase() == name);
        found.map(|user| user.user)
    }

    /// The rooms that a person may mean by a number, a group's name or `@name`.
    #[must_use]
    pub fn rooms_named(&self, name: &str, me: UserId) -> Vec<RoomId> {
        if let Ok(id) = name.parse()
            && self.rooms.contains_key(&RoomId(id))
        {
            return vec![RoomId(id)];
        }
        let wanted = name.to_lowercase();
        let ids = self.rooms.keys().copied();
        ids.filter(|room| self.title_of(*room, me).to_lowercase() == wanted).collect()
    }

    fn room(&mut self, room: &Room) -> News {
        let shown = self.shown.entry(room.room).or_insert(room.head);
        let (after, last) = (*shown, room.head);
        self.rooms.insert(room.room, room.clone());
        if self.resetting && last > after {
            *shown = last;
            return News::Behind(room.room, Missed { after, last });
        }
        News::Nothing
    }

    fn message(&mut self, message: &Message) -> News {
        if let Some(room) = self.rooms.get_mut(&message.room) {
            room.head = room.head.max(message.seq);
        }
        if self.show(message) { News::Message(message.clone()) } else { News::Nothing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::client::History;
    use wire::ids::{Counter, DeviceId, TimeMs};
    use wire::server::{CaughtUp, Member, Role, RoomAt};

    fn welcome(sync: SyncMode) -> Welcome {
        Welcome {
            user: UserId(1),
            device: DeviceId(1),
            last_counter: Counter(0),
            sync,
            head: Offset(9),
        }
    }

    fn user(id: u32, name: &str) -> ServerMessage {
        ServerMessage::User(User {
            offset: Offset(1),
            user: UserId(id),
            name: name.to_owned(),
            role: Role::Member,
        })
    }

    fn room(id: u32, name: &str, head: u64) -> ServerMessage {
        let member = |user| Member { user: UserId(user), read: Seq(0) };
        ServerMessage::Room(Room {
            offset: Offset(2),
            room: RoomId(id),
            room_kind: match name {
                "" => RoomKind::Direct,
                _ => RoomKind::Group,
            },
            name: name.to_owned(),
            history: History::All,
            members: vec![member(1), member(2)],
            first: Seq(1),
            head: Seq(head),
            read: Seq(0),
            unread: 0,
            last: None,
        })
    }

    fn message(seq: u64) -> ServerMessage {
        ServerMessage::Message(Message {
            offset: Offset(seq),
            room: RoomId(1),
            seq: Seq(seq),
            author: UserId(2),
            device: DeviceId(2),
            counter: Counter(seq),
            time_ms: TimeMs(0),
            text: "hi".to_owned(),
        })
    }

    fn fresh() -> Mirror {
        let mut mirror = Mirror::default();
        mirror.welcomed(Epoch([1; 16]), &welcome(SyncMode::Reset));
        for message in [user(1, "ada"), user(2, "Bo"), room(1, "School", 5), room(2, "", 0)] {
            assert_eq!(mirror.take(&message), News::Nothing);
        }
        mirror
    }

    #[test]
    fn each_message_is_news_once_however_often_it_comes() {
        let mut mirror = fresh();
        assert_eq!(mirror.take(&message(5)), News::Nothing);
        assert!(matches!(mirror.take(&message(6)), News::Message(_)));
        mirror.welcomed(Epoch([1; 16]), &welcome(SyncMode::CatchUp));
        assert_eq!(mirror.take(&message(6)), News::Nothing);
        assert!(matches!(mirror.take(&message(7)), News::Message(_)));
    }

    #[test]
    fn the_cursor_moves_only_when_the_server_says_so() {
        let mut mirror = fresh();
        mirror.take(&message(6));
        assert_eq!(mirror.copy(), Some((Epoch([1; 16]), Offset(0))));
        let caught_up = ServerMessage::CaughtUp(CaughtUp { cursor: Offset(8) });
        assert_eq!(mirror.take(&caught_up), News::CaughtUp);
        assert_eq!(mirror.copy(), Some((Epoch([1; 16]), Offset(8))));
    }

    #[test]
    fn a_reset_in_the_same_epoch_says_what_was_missed_and_another_epoch_starts_over() {
        let mut mirror = fresh();
        mirror.take(&message(6));
        mirror.welcomed(Epoch([1; 16]), &welcome(SyncMode::Reset));
        let missed = Missed { after: Seq(6), last: Seq(9) };
        let behind = News::Behind(RoomId(1), missed);
        assert_eq!(mirror.take(&room(1, "School", 9)), behind);
        assert_eq!(mirror.take(&message(9)), News::Nothing);
        mirror.welcomed(Epoch([2; 16]), &welcome(SyncMode::Reset));
        assert_eq!(mirror.take(&room(1, "School", 3)), News::Nothing);
        assert!(matches!(mirror.take(&message(4)), News::Message(_)));
    }

    #[test]
    fn a_session_that_fell_behind_asks_once() {
        let mut mirror = fresh();
        let note =
            ServerMessage::RoomAt(RoomAt { room: RoomId(1), head: Seq(9), offset: Offset(9) });
        assert_eq!(mirror.take(&note), News::Sync(Offset(0)));
        assert_eq!(mirror.take(&note), News::Nothing);
    }

    #[test]
    fn people_find_rooms_by_number_name_or_person() {
        let mirror = fresh();
        let find = |name| mirror.rooms_named(name, UserId(1));
        assert_eq!(find("1"), [RoomId(1)]);
        assert_eq!(find("school"), [RoomId(1)]);
        assert_eq!(find("@bo"), [RoomId(2)]);
        assert_eq!(find("99"), []);
        assert_eq!(mirror.user_named("BO"), Some(UserId(2)));
    }
}
