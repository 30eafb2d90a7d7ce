//! Read cursors: cumulative, coalesced, written in one record that rides with others.

use std::collections::BTreeMap;

use wire::client::Read;
use wire::ids::{Offset, RoomId, Seq, TimeMs, UserId};
use wire::record::{CursorsMoved, ReadCursor};
use wire::server::Reason;

use crate::chat::{Cause, Chat};
use crate::limits::{CURSOR_WAIT_MS, CURSORS_PER_RECORD_MAX};
use crate::port::SessionId;
use crate::session::Identity;

/// Cursors that moved and are not recorded yet: at most [`CURSORS_PER_RECORD_MAX`].
#[derive(Debug, Default)]
pub(crate) struct Cursors {
    moved: BTreeMap<(UserId, RoomId), Seq>,
    since: TimeMs,
    /// The newest record of cursors: at most one is not durable.
    newest: Offset,
    /// Head at the last look: a higher one means that another record is on its way.
    seen_head: Offset,
}

impl Chat {
    pub(crate) fn read(
        &mut self,
        session: SessionId,
        request: u32,
        identity: Identity,
        read: Read,
    ) {
        let Some((room, member)) = self.state.member(read.room, identity.user) else {
            return self.no_such_room(session, request);
        };
        if read.seq > room.facts.head {
            let text = "the room has no such message yet";
            let error = Self::error(Reason::OverLimit, "seq", text);
            return self.reply(session, request, error.into());
        }
        if read.seq <= member.read {
            return;
        }
        if self.cursors.moved.is_empty() {
            self.cursors.since = self.now;
        }
        let staged = self.cursors.moved.entry((identity.user, read.room)).or_default();
        *staged = (*staged).max(read.seq);
        if self.cursors.moved.len() >= CURSORS_PER_RECORD_MAX {
            self.record_cursors();
        }
    }

    pub(crate) fn no_such_room(&mut self, session: SessionId, request: u32) {
        let error = Self::error(Reason::NoSuchRoom, "room", "there is no such room for you");
        self.reply(session, request, error.into());
    }

    /// Lets moved cursors ride when another record was just written.
    pub(crate) fn ride_cursors(&mut self) {
        let head = self.state.head();
        let fresh = head > self.cursors.seen_head;
        self.cursors.seen_head = head;
        if fresh && self.cursors.newest <= self.pending.durable() {
            self.record_cursors();
        }
    }

    pub(crate) fn flush_cursors_by_time(&mut self) {
        if self.now.0 >= self.cursors.since.0 + CURSOR_WAIT_MS {
            self.record_cursors();
        }
    }

    /// Writes what moved. Without room in the log the cursors are dropped: clients move them
    /// again when they read on.
    fn record_cursors(&mut self) {
        let moved = std::mem::take(&mut self.cursors.moved);
        let still = |((user, room), seq): ((UserId, RoomId), Seq)| {
            let (known, member) = self.state.member(room, user)?;
            let news = seq > member.read && seq <= known.facts.head;
            news.then_some(ReadCursor { user, room, seq })
        };
        let cursors: Vec<ReadCursor> = moved.into_iter().filter_map(still).collect();
        if cursors.is_empty() || !self.card.takes(self.config.shares.log_reserve_bytes) {
            return;
        }
        self.cursors.newest = self.record(Cause::BOX, CursorsMoved { cursors }.into());
        self.cursors.seen_head = self.state.head();
    }
}
