//! Messages that are not in memory: who asked, and history pages.

use std::collections::{BTreeMap, VecDeque};

use wire::client::ReadHistory;
use wire::ids::{RoomId, Seq, UserId};
use wire::limits::HISTORY_PAGE_MAX;
use wire::server::{HistoryPage, Message, Reason};

use crate::catchup::Loaded;
use crate::chat::Chat;
use crate::limits::{HISTORY_BYTES, READS_MAX, SESSION_READS_MAX};
use crate::port::{Output, SessionId, Ticket};
use crate::session::Identity;

/// Bytes of a message in JSON beside its text.
const MESSAGE_JSON_BYTES: usize = 200;

/// Reads under way, and sessions that wait for one.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    next: u64,
    asked: BTreeMap<Ticket, Asked>,
    turns: VecDeque<SessionId>,
}

#[derive(Debug)]
enum Asked {
    Sync { session: SessionId, room: RoomId, first: Seq, last: Seq },
    History(HistoryAsk),
}

/// A page of which the older part is on the card.
#[derive(Debug)]
struct HistoryAsk {
    session: SessionId,
    request: u32,
    user: UserId,
    room: RoomId,
    first: Seq,
    last: Seq,
    /// The newer part, which is in memory.
    tail: Vec<Message>,
}

impl Reads {
    pub(crate) fn queue(&mut self, session: SessionId) {
        self.turns.push_back(session);
    }

    fn add(&mut self, asked: Asked) -> Ticket {
        self.next += 1;
        self.asked.insert(Ticket(self.next), asked);
        Ticket(self.next)
    }
}

impl Chat {
    /// Whether a page may be built now: neither the card nor memory is behind.
    pub(crate) fn has_turn(&self) -> bool {
        self.pending.bytes() <= self.config.shares.pending_bytes_max / 2
            && self.reads.asked.len() < READS_MAX
    }

    /// Lets sessions go on that waited for memory or a read.
    pub(crate) fn take_turns(&mut self) {
        for _ in 0..self.reads.turns.len() {
            if !self.has_turn() {
                return;
            }
            let Some(session) = self.reads.turns.pop_front() else { return };
            self.take_turn(session);
        }
    }

    pub(crate) fn ask_for_sync(
        &mut self,
        session: SessionId,
        room: RoomId,
        first: Seq,
        last: Seq,
    ) -> Option<Ticket> {
        if self.reads.asked.len() >= READS_MAX {
            return None;
        }
        let ticket = self.reads.add(Asked::Sync { session, room, first, last });
        self.pending.at_once(Output::Read { ticket, room, first, last });
        Some(ticket)
    }

    pub(crate) fn read_done(&mut self, ticket: Ticket, messages: Vec<Message>, damaged: u32) {
        match self.reads.asked.remove(&ticket) {
            Some(Asked::Sync { session, room, first, last }) => {
                let loaded = Loaded { room, first, last, messages };
                self.loaded_for_sync(session, ticket, loaded);
            }
            Some(Asked::History(ask)) => {
                if let Some(session) = self.sessions.get_mut(ask.session) {
                    session.reads -= 1;
                }
                self.history_read(ask, messages, damaged);
            }
            None => {}
        }
        self.take_turns();
    }

    pub(crate) fn history(
        &mut self,
        session: SessionId,
        request: u32,
        identity: Identity,
        ask: &ReadHistory,
    ) {
        if ask.limit == 0 || ask.limit > HISTORY_PAGE_MAX {
            let error = Self::error(Reason::OverLimit, "limit", "limit must be 1 to 200");
            return self.reply(session, request, error.into());
        }
        if self.pending.bytes() >= self.config.shares.pending_bytes_max {
            return self.reply(session, request, Self::passing(Reason::Busy).into());
        }
        let room = ask.room;
        let before = ask.before.unwrap_or_else(|| self.state.room_head(room).next());
        let Some((first, last)) = self.stretch_below(identity.user, room, before) else {
            return self.no_history(session, request, identity, room);
        };
        let first = first.max(Seq((last.0 + 1).saturating_sub(u64::from(ask.limit))));
        let tail = self.hot.tail(room, first, last);
        let cold = tail.first().map_or(last, |message| Seq(message.seq.0 - 1));
        let user = identity.user;
        let page = HistoryAsk { session, request, user, room, first, last, tail };
        if cold < first {
            self.history_read(page, Vec::new(), 0);
        } else {
            self.ask_for_history(page, cold);
        }
    }

    fn no_history(&mut self, session: SessionId, request: u32, identity: Identity, room: RoomId) {
        if self.state.member(room, identity.user).is_none() {
            return self.no_such_room(session, request);
        }
        let page = HistoryPage { room, messages: Vec::new(), damaged: 0, before: None };
        self.reply(session, request, page.into());
    }

    fn ask_for_history(&mut self, ask: HistoryAsk, last: Seq) {
        let (id, room, first) = (ask.session, ask.room, ask.first);
        let Some(session) = self.sessions.get_mut(id) else { return };
        if session.reads >= SESSION_READS_MAX || self.reads.asked.len() >= READS_MAX {
            let busy = Self::passing(Reason::Busy);
            return self.reply(id, ask.request, busy.into());
        }
        session.reads += 1;
        let ticket = self.reads.add(Asked::History(ask));
        self.pending.at_once(Output::Read { ticket, room, first, last });
    }

    /// Answers with what the user may see by now, cut to one frame.
    fn history_read(&mut self, ask: HistoryAsk, mut messages: Vec<Message>, damaged: u32) {
        let (id, room, user) = (ask.session, ask.room, ask.user);
        messages.extend(ask.tail);
        messages.retain(|message| self.may_see(user, room, message.seq));
        if self.stretch_below(user, room, ask.first.next()).is_none() {
            return self.no_such_room(id, ask.request);
        }
        let cut_at = cut(&mut messages);
        let bottom = cut_at.unwrap_or(ask.first);
        // Holes below the cut are counted by the page that has them.
        let kept = (ask.last.0 + 1 - bottom.0).saturating_sub(messages.len() as u64);
        let damaged =
            if cut_at.is_some() { u32::try_from(kept).unwrap_or(damaged) } else { damaged };
        let before = self.stretch_below(user, room, bottom).map(|_| bottom);
        let page = HistoryPage { room, messages, damaged, before };
        self.reply(id, ask.request, page.into());
    }
}

/// Drops the oldest messages of a page that would not fit a frame; returns the oldest one kept
/// when any was dropped.
fn cut(messages: &mut Vec<Message>) -> Option<Seq> {
    let mut bytes = 0;
    let mut keep = messages.len();
    for (at, message) in messages.iter().enumerate().rev() {
        bytes += MESSAGE_JSON_BYTES + json_bytes(&message.text);
        if bytes > HISTORY_BYTES {
            break;
        }
        keep = at;
    }
    messages.drain(..keep);
    (keep > 0).then(|| messages.first().map(|message| message.seq)).flatten()
}

/// Length of a text as JSON writes it: the longer of both encodings.
fn json_bytes(text: &str) -> usize {
    let length = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 2,
        0..0x20 => 6,
        _ => 1,
    };
    text.bytes().map(length).sum()
}
