//! Catching up: every change since a cursor, in pages that wait for the client, until the head.
//!
//! A round lists what changed above `from` and sends it as it is now. What changes meanwhile is the
//! next round's; when a round finds nothing the session turns live. Messages go once: `sent` notes
//! how far each room has come in this sync.

mod round;

use std::collections::{BTreeMap, VecDeque};

use wire::ServerMessage;
use wire::ids::{Offset, RoomId, Seq, UserId};
use wire::server::{CaughtUp, Message, Reason};

use crate::chat::Chat;
use crate::config::Mutant;
use crate::limits::PAGE_BYTES;
use crate::pending::message_bytes;
use crate::port::{SessionId, Targets, Ticket};
use crate::session::Phase;

/// One session's catching up.
#[derive(Debug)]
pub(crate) struct Sync {
    /// Its frames carry this, so that the shell never drops them.
    request: u32,
    user: UserId,
    /// The client has everything up to here.
    from: Offset,
    /// This round goes up to here.
    until: Offset,
    planned: bool,
    reset: bool,
    work: VecDeque<Work>,
    sent: BTreeMap<RoomId, Seq>,
    /// Frames of the page that is being built, and bytes since the last `flush_note`.
    page: Vec<ServerMessage>,
    page_bytes: usize,
    loaded: Option<Loaded>,
    /// `caught_up` went out with the last page.
    told: bool,
    pub(crate) wait: Wait,
}

/// What a sync waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// The client to take the last page.
    Flush,
    /// Room in the queue of pending outputs, or a free read.
    Turn,
    /// Messages from the card.
    Read(Ticket),
}

/// What remains of a round.
#[derive(Debug)]
enum Work {
    Users {
        after: UserId,
    },
    Gone(RoomId),
    Room(RoomId),
    /// `after`: the newest change that was sent.
    Members {
        room: RoomId,
        after: Offset,
    },
    Messages {
        room: RoomId,
        next: Option<Seq>,
    },
    /// `head`: the newest message that the client has for sure when its turn comes.
    Reads {
        room: RoomId,
        head: Seq,
    },
}

/// Messages from the card.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) room: RoomId,
    pub(crate) first: Seq,
    pub(crate) last: Seq,
    pub(crate) messages: Vec<Message>,
}

/// Why filling a page ended.
enum End {
    Full,
    Read { room: RoomId, first: Seq, last: Seq },
    Done,
}

/// What one piece of work came to.
enum Step {
    Next,
    Again(Work),
    Read { work: Work, room: RoomId, first: Seq, last: Seq },
}

impl Sync {
    fn push(&mut self, message: ServerMessage) {
        self.page_bytes += message_bytes(&message);
        self.page.push(message);
    }

    const fn full(&self) -> bool {
        self.page_bytes >= PAGE_BYTES
    }
}

impl Loaded {
    const fn holds(&self, room: RoomId, seq: Seq) -> bool {
        self.room.0 == room.0 && self.first.0 <= seq.0 && seq.0 <= self.last.0
    }

    fn get(&self, seq: Seq) -> Option<&Message> {
        let at = self.messages.binary_search_by_key(&seq, |message| message.seq).ok()?;
        Some(&self.messages[at])
    }
}

impl Chat {
    /// Answer to `sync`: from a session that fell behind, or that wants to be sure. Its pages must
    /// carry a request, because frames without one may be dropped until this session has caught up.
    pub(crate) fn sync(&mut self, session: SessionId, request: u32, cursor: Offset) {
        if request == 0 {
            let text = "sync needs a request number other than 0";
            let error = Self::error(Reason::Malformed, "request", text);
            return self.reply(session, request, error.into());
        }
        if cursor > self.state.head() {
            let text = "the cursor is ahead of this box: connect again";
            return self.close(session, Reason::NotAllowed, text);
        }
        self.begin_sync(session, request, cursor, false);
    }

    pub(crate) fn begin_sync(&mut self, id: SessionId, request: u32, from: Offset, reset: bool) {
        let Some(session) = self.sessions.get(id) else { return };
        let Some(identity) = session.identity else { return };
        let flushing = session.flushing;
        let off = u64::from(self.config.is(Mutant::CursorOffByOne) && !reset);
        let sync = Sync {
            request,
            user: identity.user,
            from: Offset(from.0 + off),
            until: from,
            planned: false,
            reset,
            work: VecDeque::new(),
            sent: BTreeMap::new(),
            page: Vec::new(),
            page_bytes: 0,
            loaded: None,
            told: false,
            wait: Wait::Flush,
        };
        self.sessions.turn(id, Phase::Syncing(Box::new(sync)));
        if !flushing {
            self.continue_sync(id);
        }
    }

    /// Goes on with a sync that waited.
    pub(crate) fn continue_sync(&mut self, id: SessionId) {
        let Some(Phase::Syncing(mut sync)) = self.sessions.turn(id, Phase::Greeted) else { return };
        if sync.told && sync.until == self.state.head() {
            self.sessions.turn(id, Phase::Live { since: sync.until });
            return;
        }
        sync.told = false;
        if sync.wait == Wait::Flush {
            sync.page_bytes = 0;
        }
        if !self.has_turn() {
            return self.wait_turn(id, sync);
        }
        match self.fill(&mut sync) {
            End::Full => self.send_page(id, sync),
            End::Read { room, first, last } => self.read_for_sync(id, sync, room, first, last),
            End::Done => self.finish_round(id, sync),
        }
    }

    pub(crate) fn loaded_for_sync(&mut self, id: SessionId, ticket: Ticket, loaded: Loaded) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let Phase::Syncing(sync) = &mut session.phase else { return };
        if sync.wait == Wait::Read(ticket) {
            sync.loaded = Some(loaded);
            self.continue_sync(id);
        }
    }

    pub(crate) fn take_turn(&mut self, id: SessionId) {
        let phase = self.sessions.get(id).map(|session| &session.phase);
        if matches!(phase, Some(Phase::Syncing(sync)) if sync.wait == Wait::Turn) {
            self.continue_sync(id);
        }
    }

    fn wait_turn(&mut self, id: SessionId, mut sync: Box<Sync>) {
        sync.wait = Wait::Turn;
        self.reads.queue(id);
        self.sessions.turn(id, Phase::Syncing(sync));
    }

    fn read_for_sync(
        &mut self,
        id: SessionId,
        mut sync: Box<Sync>,
        room: RoomId,
        first: Seq,
        last: Seq,
    ) {
        self.send_frames(id, &mut sync, false);
        match self.ask_for_sync(id, room, first, last) {
            Some(ticket) => {
                sync.wait = Wait::Read(ticket);
                self.sessions.turn(id, Phase::Syncing(sync));
            }
            None => self.wait_turn(id, sync),
        }
    }

    fn finish_round(&mut self, id: SessionId, mut sync: Box<Sync>) {
        let Some(session) = self.sessions.get(id) else { return };
        let at_once = sync.page_bytes == 0 && !session.shut;
        let until = sync.until;
        sync.push(CaughtUp { cursor: until }.into());
        if at_once {
            self.send_frames(id, &mut sync, false);
            self.sessions.turn(id, Phase::Live { since: until });
        } else {
            sync.told = true;
            self.send_page(id, sync);
        }
    }

    fn send_page(&mut self, id: SessionId, mut sync: Box<Sync>) {
        self.send_frames(id, &mut sync, true);
        if self.config.is(Mutant::LiveTooEarly) {
            let cursor = CaughtUp { cursor: sync.until };
            self.reply(id, sync.request, cursor.into());
            self.sessions.turn(id, Phase::Live { since: sync.until });
            return;
        }
        sync.wait = Wait::Flush;
        self.sessions.turn(id, Phase::Syncing(sync));
    }

    fn send_frames(&mut self, id: SessionId, sync: &mut Sync, flush: bool) {
        let count = sync.page.len();
        for (at, message) in std::mem::take(&mut sync.page).into_iter().enumerate() {
            self.send(Targets::One(id), sync.request, message, flush && at + 1 == count);
        }
        if flush && let Some(session) = self.sessions.get_mut(id) {
            session.flushing = true;
        }
    }
}
