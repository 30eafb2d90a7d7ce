//! What live sessions are told when a record was applied, and who they are.

use wire::ids::{DeviceId, Offset, RoomId, Seq, UserId};
use wire::record::{CursorsMoved, MemberAdded, MemberRemoved, RoomAdded};
use wire::server::{
    Member, MemberChange, MemberMoved, Message, ReadMark, Reason, Room, RoomGone, User,
};
use wire::{RecordBody, ServerMessage};

use crate::chat::Chat;
use crate::config::Mutant;
use crate::entry::Entry;
use crate::limits::READ_MARKS_MEMBERS_MAX;
use crate::port::{Output, SessionId, Targets};
use crate::state::{self, SYSTEM_ROOM};

/// The message that a record posted.
pub(crate) fn message_of(entry: &Entry) -> Option<Message> {
    let RecordBody::MessagePosted(body) = &entry.body else { return None };
    Some(Message {
        offset: entry.offset,
        room: body.room,
        seq: body.seq,
        author: entry.actor,
        device: entry.device,
        counter: entry.counter,
        time_ms: entry.time,
        text: body.text.clone(),
    })
}

/// Whether a room shows who has read what.
pub(crate) const fn shows_reads(room: &state::Room) -> bool {
    room.present <= READ_MARKS_MEMBERS_MAX
}

/// An account as others see it.
pub(crate) fn user_of(account: &state::Account) -> User {
    User {
        offset: account.changed,
        user: account.user,
        name: account.name.clone(),
        role: account.role,
    }
}

impl Chat {
    /// Tells live sessions about a record that was just applied.
    pub(crate) fn publish(&mut self, entry: &Entry) {
        match &entry.body {
            RecordBody::UserAdded(body) => self.tell_user(body.user),
            RecordBody::DeviceRemoved(body) => self.close_device(body.device),
            RecordBody::RoomAdded(body) => self.tell_room(entry.offset, body),
            RecordBody::MemberAdded(body) => self.tell_joined(entry.offset, body),
            RecordBody::MemberRemoved(body) => self.tell_left(entry.offset, body),
            RecordBody::MessagePosted(_) => self.tell_message(entry),
            RecordBody::CursorsMoved(body) => self.tell_reads(entry.offset, body),
            RecordBody::EpochBegun(_) => self.close_all(),
            RecordBody::Claimed(_) | RecordBody::DeviceAdded(_) | RecordBody::CommandSettled(_) => {
            }
        }
    }

    fn tell_user(&mut self, user: UserId) {
        let Some(news) = self.state.user(user).map(user_of) else { return };
        let to = self.sessions.all_live();
        self.tell(RoomId(0), to, news.into());
    }

    fn close_device(&mut self, device: DeviceId) {
        for session in self.sessions.signed_in() {
            let identity = self.sessions.get(session).and_then(|session| session.identity);
            if identity.is_some_and(|identity| identity.device == device) {
                self.close(session, Reason::BadToken, "this device was signed out: sign in again");
            }
        }
    }

    fn close_all(&mut self) {
        for session in self.sessions.ids() {
            self.close(session, Reason::ShuttingDown, "the box begins anew: connect again");
        }
    }

    fn tell_room(&mut self, offset: Offset, body: &RoomAdded) {
        self.audiences.forget(body.room);
        let to = self.audience(body.room);
        let Some(snapshot) = (body.members.first())
            .and_then(|user| self.snapshot(*user, body.room, None))
            .map(|snapshot| Room { offset, ..snapshot })
        else {
            return;
        };
        self.tell(body.room, to, snapshot.into());
    }

    fn tell_joined(&mut self, offset: Offset, body: &MemberAdded) {
        self.audiences.forget(body.room);
        let (room, user) = (body.room, body.user);
        if self.tells_members_at_once(room) {
            let to = self.others(room, user);
            self.tell(room, to.clone(), MemberChange { offset, room, user, joined: true }.into());
            self.tell_read(offset, room, user, to);
        } else {
            self.gather_member(room, MemberMoved { offset, user, joined: true });
        }
        let mut joined = Vec::new();
        self.sessions.add_live(body.user, body.room, &mut joined);
        if joined.is_empty() {
            return;
        }
        let last = self.newest_visible(body.user, body.room);
        let body_here = last.and_then(|seq| self.hot.get(body.room, seq)).cloned();
        if last.is_some() && body_here.is_none() {
            // The newest message is on the card only: let the newcomer's sessions pull.
            return self.turn_dirty(joined, body.room);
        }
        if let Some(snapshot) = self.snapshot(body.user, body.room, body_here) {
            self.tell(body.room, joined, snapshot.into());
        }
    }

    fn tell_left(&mut self, offset: Offset, body: &MemberRemoved) {
        self.audiences.forget(body.room);
        let mut gone = Vec::new();
        self.sessions.add_live(body.user, body.room, &mut gone);
        self.tell(body.room, gone, RoomGone { offset, room: body.room }.into());
        let (room, user) = (body.room, body.user);
        if self.tells_members_at_once(room) {
            let to = self.audience(room);
            self.tell(room, to, MemberChange { offset, room, user, joined: false }.into());
        } else {
            self.gather_member(room, MemberMoved { offset, user, joined: false });
        }
        let Some(room) = self.state.room(body.room) else { return };
        if room.present == READ_MARKS_MEMBERS_MAX {
            // Small enough again to show read marks: members have not seen them so far.
            let users: Vec<UserId> = room.present_members().map(|member| member.user).collect();
            let to = self.audience(body.room);
            for user in users {
                self.tell_read(offset, body.room, user, to.clone());
            }
        }
    }

    fn tell_message(&mut self, entry: &Entry) {
        let Some(message) = message_of(entry) else { return };
        self.hot.insert(message.clone());
        if message.room == SYSTEM_ROOM {
            return;
        }
        let mut to = self.audience(message.room);
        if self.config.is(Mutant::ForgetReceiver)
            && let [kept @ .., _] = to.as_slice()
            && !kept.is_empty()
        {
            to = kept.to_vec().into();
        }
        self.tell(message.room, to, message.into());
    }

    fn tell_reads(&mut self, offset: Offset, body: &CursorsMoved) {
        for moved in &body.cursors {
            let shown = self.state.room(moved.room).is_some_and(shows_reads);
            let to = if shown {
                self.audience(moved.room)
            } else {
                let mut own = Vec::new();
                self.sessions.add_live(moved.user, moved.room, &mut own);
                own.into()
            };
            let (room, user, seq) = (moved.room, moved.user, moved.seq);
            self.tell(room, to, ReadMark { offset, room, user, seq }.into());
        }
    }

    /// One member's read cursor, in rooms that show them.
    pub(crate) fn tell_read(&mut self, offset: Offset, room: RoomId, user: UserId, to: Targets) {
        let Some((known, member)) = self.state.member(room, user) else { return };
        if shows_reads(known) && member.read.0 > 0 {
            let seq = member.read;
            self.tell(room, to, ReadMark { offset, room, user, seq }.into());
        }
    }

    pub(crate) fn tell(&mut self, room: RoomId, to: impl Into<Targets>, message: ServerMessage) {
        let to = to.into();
        if !to.is_empty() {
            let output = Output::Send { to, request: 0, message, flush_note: false };
            self.pending.hold_news(self.state.head(), room, output);
        }
    }

    /// Live sessions of all present members but one.
    fn others(&mut self, room: RoomId, except: UserId) -> Targets {
        let all = self.audience(room);
        let own: Vec<SessionId> = self.sessions.of_user(except).collect();
        let others = all.as_slice().iter().copied().filter(|id| !own.contains(id));
        others.collect::<Vec<SessionId>>().into()
    }

    /// The newest message of a room that a user may see.
    pub(crate) fn newest_visible(&self, user: UserId, room: RoomId) -> Option<Seq> {
        let above = self.state.room_head(room).next();
        self.stretch_below(user, room, above).map(|(_, last)| last)
    }

    /// The room as a present member sees it.
    pub(crate) fn snapshot(
        &self,
        user: UserId,
        room: RoomId,
        last: Option<Message>,
    ) -> Option<Room> {
        let (known, me) = self.state.member(room, user)?;
        let shown = shows_reads(known);
        let member = |member: &state::Membership| Member {
            user: member.user,
            read: if shown { member.read } else { Seq(0) },
        };
        let facts = &known.facts;
        Some(Room {
            offset: self.state.head(),
            room,
            room_kind: facts.room_kind,
            name: facts.name.clone(),
            history: facts.history,
            members: known.present_members().map(member).collect(),
            first: me.intervals.first().map_or(facts.head.next(), |part| part.first),
            head: facts.head,
            read: me.read,
            unread: facts.head.0.saturating_sub(me.read.0),
            last,
        })
    }
}
