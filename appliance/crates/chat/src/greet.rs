//! The life of a connection: greeting, hello, liveness, falling behind, the end.

use sha2::{Digest, Sha256};
use wire::ServerMessage;
use wire::client::Hello;
use wire::ids::{Offset, RoomId, Seq, TimeMs, TokenHash};
use wire::limits::NAME_BYTES_MAX;
use wire::server::{CaughtUp, Greeting, Pong, Reason, RoomAt, SyncMode, Welcome};

use crate::chat::Chat;
use crate::config::Mutant;
use crate::limits::{HELLO_MS, NOTES_PER_TICK, SESSIONS_PER_DEVICE_MAX};
use crate::port::{Output, SessionId, Targets};
use crate::session::{Identity, Phase};
use crate::state::Room;

impl Chat {
    pub(crate) fn connected(&mut self, session: SessionId) {
        if self.sessions.len() >= self.config.shares.sessions_max {
            return self.close(session, Reason::Busy, "the box has too many connections");
        }
        self.sessions.add(session, self.now);
        let meta = self.state.meta();
        let greeting = Greeting {
            box_id: meta.box_id,
            epoch: meta.epoch,
            version: self.config.version.clone(),
            time_ms: self.time,
        };
        self.say_at_once(session, 0, greeting.into());
    }

    pub(crate) fn pong(&mut self, session: SessionId, request: u32) {
        self.say_at_once(session, request, Pong { time_ms: self.time }.into());
    }

    pub(crate) fn hello_first(&mut self, session: SessionId, request: u32) {
        let error = Self::error(Reason::HelloFirst, "", "say hello first");
        self.say_at_once(session, request, error.into());
    }

    /// For answers that reflect no record.
    fn say_at_once(&mut self, session: SessionId, request: u32, message: ServerMessage) {
        let to = Targets::One(session);
        self.pending.at_once(Output::Send { to, request, message, flush_note: false });
    }

    pub(crate) fn hello(&mut self, session: SessionId, request: u32, hello: &Hello) {
        let hash = TokenHash(Sha256::digest(hello.token.0).into());
        let Some(device) = self.state.device_with(&hash) else {
            return self.close(session, Reason::BadToken, "unknown token: sign in again");
        };
        if hello.client.len() > NAME_BYTES_MAX {
            return self.close(session, Reason::OverLimit, "the client's name is too long");
        }
        let identity = Identity { user: device.user, device: device.device };
        let last_counter = device.last_counter;
        self.make_room_for(identity);
        self.sessions.identify(session, identity);
        let sync = self.sync_mode(identity, hello);
        let welcome = Welcome {
            user: identity.user,
            device: identity.device,
            last_counter,
            sync,
            head: self.state.head(),
        };
        self.reply(session, request, welcome.into());
        let from = if sync == SyncMode::Reset { Offset(0) } else { hello.cursor };
        self.begin_sync(session, request, from, sync == SyncMode::Reset);
    }

    /// A device that connects again and again closes its own oldest connection, nobody else's.
    fn make_room_for(&mut self, identity: Identity) {
        let mut open: Vec<SessionId> = self.sessions.of_device(identity).collect();
        open.sort_by_key(|id| self.sessions.get(*id).map(|session| session.since));
        let surplus = (open.len() + 1).saturating_sub(SESSIONS_PER_DEVICE_MAX);
        for session in open.into_iter().take(surplus) {
            self.close(session, Reason::NotAllowed, "a newer connection of this device took over");
        }
    }

    fn sync_mode(&self, identity: Identity, hello: &Hello) -> SyncMode {
        let same_epoch = hello.epoch == Some(self.state.meta().epoch);
        if !same_epoch || hello.cursor == Offset(0) || hello.cursor > self.state.head() {
            SyncMode::Reset
        } else if self.changed_since(identity.user, hello.cursor) {
            SyncMode::CatchUp
        } else {
            SyncMode::Resumed
        }
    }

    /// Tells sessions that got news and stayed live how far they have come.
    pub(crate) fn tell_caught_up(&mut self) {
        let Some(up_to) = self.crowds.cursor(self.pending.durable()) else { return };
        let more = self.crowds.vouch();
        let owed = self.pending.owed(more);
        let to = self.still_live(owed, up_to);
        let ahead = u64::from(self.config.is(Mutant::CursorAhead));
        let cursor = Offset(up_to.0 + ahead);
        if !to.is_empty() {
            let message = CaughtUp { cursor }.into();
            self.pending.at_once(Output::Send { to, request: 0, message, flush_note: false });
        }
    }

    pub(crate) fn overflowed(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.shut = true;
        if matches!(session.phase, Phase::Live { .. }) && !self.config.is(Mutant::IgnoreOverflow) {
            // What was dropped came before this note; even without further news it must pull.
            self.turn_dirty(vec![id], RoomId(0));
        }
    }

    /// Ends live events for these sessions; they are told that a room has news.
    pub(crate) fn turn_dirty(&mut self, sessions: Vec<SessionId>, room: RoomId) {
        for id in sessions {
            self.sessions.turn(id, Phase::Dirty { news: [room].into() });
        }
    }

    pub(crate) fn flushed(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.flushing = false;
        session.shut = false;
        if matches!(session.phase, Phase::Syncing(_)) {
            self.continue_sync(id);
        }
    }

    /// Tells sessions that fell behind which rooms have news, a few at a time, and no more before
    /// they have taken these.
    pub(crate) fn send_notes(&mut self) {
        let dirty: Vec<SessionId> = self.sessions.dirty().iter().copied().collect();
        for id in dirty {
            let Some(session) = self.sessions.get_mut(id) else { continue };
            let Phase::Dirty { news } = &mut session.phase else { continue };
            if session.flushing || news.is_empty() {
                continue;
            }
            let mut rooms: Vec<RoomId> = Vec::new();
            while rooms.len() < NOTES_PER_TICK {
                let Some(room) = news.pop_first() else { break };
                rooms.push(room);
            }
            session.flushing = true;
            self.note_rooms(id, &rooms);
        }
    }

    fn note_rooms(&mut self, id: SessionId, rooms: &[RoomId]) {
        let Some(identity) = self.sessions.get(id).and_then(|session| session.identity) else {
            return;
        };
        for (at, room) in rooms.iter().enumerate() {
            let seen = self.state.member(*room, identity.user).map(|(known, _)| known);
            let note = RoomAt {
                room: *room,
                head: seen.map_or(Seq(0), |known| known.facts.head),
                offset: seen.map_or(self.state.head(), Room::changed),
            };
            self.send(Targets::One(id), 0, note.into(), at + 1 == rooms.len());
        }
    }

    pub(crate) fn close_overdue(&mut self) {
        let limit = TimeMs(self.now.0.saturating_sub(HELLO_MS));
        while let Some(session) = self.sessions.overdue(limit) {
            self.close(session, Reason::HelloFirst, "no hello came within ten seconds");
        }
    }
}
