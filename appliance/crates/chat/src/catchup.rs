//! Catching up: every change since a cursor, in pages that wait for the client, until the head.
//!
//! A round lists what changed above `from` and sends it as it is now. What changes meanwhile is the
//! next round's; when a round finds nothing the session turns live. Messages go once: `sent` notes
//! how far each room has come in this sync.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use wire::ServerMessage;
use wire::ids::{Offset, RoomId, Seq, UserId};
use wire::server::{CaughtUp, MemberChange, Message, ReadMark, Reason, RoomGone};

use crate::chat::Chat;
use crate::config::Mutant;
use crate::limits::{CATCHUP_READ_MAX, PAGE_BYTES};
use crate::live::{shows_reads, user_of};
use crate::pending::message_bytes;
use crate::port::{SessionId, Ticket};
use crate::session::Phase;
use crate::state::{Membership, Room};

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
    Members {
        room: RoomId,
        after: UserId,
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
            self.send(vec![id], sync.request, message, flush && at + 1 == count);
        }
        if flush && let Some(session) = self.sessions.get_mut(id) {
            session.flushing = true;
        }
    }

    fn fill(&self, sync: &mut Sync) -> End {
        loop {
            if sync.full() {
                return End::Full;
            }
            let Some(work) = sync.work.pop_front() else {
                if sync.planned && sync.until == self.state.head() {
                    return End::Done;
                }
                self.plan(sync);
                continue;
            };
            match self.step(sync, work) {
                Step::Next => {}
                Step::Again(work) => sync.work.push_front(work),
                Step::Read { work, room, first, last } => {
                    sync.work.push_front(work);
                    return End::Read { room, first, last };
                }
            }
        }
    }

    fn step(&self, sync: &mut Sync, work: Work) -> Step {
        match work {
            Work::Users { after } => self.send_users(sync, after),
            Work::Gone(room) => self.send_gone(sync, room),
            Work::Room(room) => self.send_room(sync, room),
            Work::Members { room, after } => self.send_members(sync, room, after),
            Work::Messages { room, next } => self.send_messages(sync, room, next),
            Work::Reads { room, head } => self.send_reads(sync, room, head),
        }
    }

    /// Begins a round: notes what changed above `from`.
    fn plan(&self, sync: &mut Sync) {
        if sync.planned {
            sync.from = sync.until;
            sync.reset = false;
        }
        sync.planned = true;
        sync.until = self.state.head();
        if self.state.meta().users_changed > sync.from {
            sync.work.push_back(Work::Users { after: UserId(0) });
        }
        let mut rooms: Vec<&Room> = self.state.rooms_of(sync.user).collect();
        rooms.sort_by_key(|room| (core::cmp::Reverse(room.active()), room.facts.room));
        for room in rooms {
            if let Some(me) = room.members.get(&sync.user) {
                plan_room(sync, room, me);
            }
        }
    }

    /// Whether a user has missed anything above `from`.
    pub(crate) fn changed_since(&self, user: UserId, from: Offset) -> bool {
        let missed = |room: &Room| {
            let me = room.members.get(&user);
            me.is_some_and(|me| me.changed() > from || (me.present && room.changed() > from))
        };
        self.state.meta().users_changed > from || self.state.rooms_of(user).any(missed)
    }

    fn send_users(&self, sync: &mut Sync, after: UserId) -> Step {
        let rest = (Bound::Excluded(after), Bound::Unbounded);
        for account in self.state.users.range(rest).map(|(_, account)| account) {
            if account.changed <= sync.from {
                continue;
            }
            sync.push(user_of(account).into());
            if sync.full() {
                return Step::Again(Work::Users { after: account.user });
            }
        }
        Step::Next
    }

    fn send_gone(&self, sync: &mut Sync, room: RoomId) -> Step {
        let me = self.state.room(room).and_then(|known| known.members.get(&sync.user));
        if let Some(me) = me
            && !self.config.is(Mutant::ForgetLeave)
        {
            sync.push(RoomGone { offset: me.left, room }.into());
        }
        Step::Next
    }

    fn send_room(&self, sync: &mut Sync, room: RoomId) -> Step {
        if self.state.member(room, sync.user).is_none() {
            return Step::Next;
        }
        let mut last = None;
        if let Some(seq) = self.newest_visible(sync.user, room) {
            let loaded = sync.loaded.take().filter(|loaded| loaded.holds(room, seq));
            if let Some(body) = self.hot.get(room, seq) {
                last = Some(body.clone());
            } else if let Some(loaded) = loaded {
                last = loaded.get(seq).cloned();
            } else {
                return Step::Read { work: Work::Room(room), room, first: seq, last: seq };
            }
        }
        if let Some(snapshot) = self.snapshot(sync.user, room, last) {
            sync.sent.insert(room, snapshot.head);
            sync.push(snapshot.into());
        }
        Step::Next
    }

    /// The room, unless the user left it or came back since this round began: then the next
    /// round deals with all of it.
    fn unbroken(&self, sync: &Sync, room: RoomId) -> Option<&Room> {
        let (known, me) = self.state.member(room, sync.user)?;
        (me.joined <= sync.from).then_some(known)
    }

    fn send_members(&self, sync: &mut Sync, room: RoomId, after: UserId) -> Step {
        let Some(known) = self.unbroken(sync, room) else { return Step::Next };
        let rest = (Bound::Excluded(after), Bound::Unbounded);
        for (user, member) in known.members.range(rest) {
            if member.changed() <= sync.from || *user == sync.user {
                continue;
            }
            let (offset, joined) = (member.changed(), member.present);
            sync.push(MemberChange { offset, room, user: *user, joined }.into());
            if sync.full() {
                return Step::Again(Work::Members { room, after: *user });
            }
        }
        Step::Next
    }

    fn send_messages(&self, sync: &mut Sync, room: RoomId, next: Option<Seq>) -> Step {
        let Some(known) = self.unbroken(sync, room) else { return Step::Next };
        let head = known.facts.head;
        let mut seq = next.unwrap_or_else(|| self.first_missed(sync, known));
        while seq <= head {
            if sync.full() {
                return Step::Again(Work::Messages { room, next: Some(seq) });
            }
            let loaded = sync.loaded.as_ref().filter(|loaded| loaded.holds(room, seq));
            let hot = self.hot.get(room, seq);
            if hot.is_none() && loaded.is_none() {
                let work = Work::Messages { room, next: Some(seq) };
                let most = Seq(seq.0 + CATCHUP_READ_MAX - 1).min(head);
                let last = self.hot.cold_until(room, seq, most);
                return Step::Read { work, room, first: seq, last };
            }
            let message = hot.or_else(|| loaded.and_then(|loaded| loaded.get(seq)));
            if let Some(message) = message
                && message.offset > sync.from
                && self.may_see(sync.user, room, seq)
            {
                let message = message.clone();
                sync.push(message.into());
            }
            seq = seq.next();
        }
        sync.loaded = None;
        sync.sent.insert(room, head);
        Step::Next
    }

    /// At or below the first message above the cursor that this sync has not sent.
    fn first_missed(&self, sync: &Sync, room: &Room) -> Seq {
        let id = room.facts.room;
        let sent = sync.sent.get(&id).copied().unwrap_or_default();
        let start = (self.hot.start_after(id, room.facts.head, sync.from))
            .unwrap_or_else(|| room.start_after(sync.from));
        start.max(sent.next())
    }

    /// A cursor never goes beyond the messages that were sent: the next round moves it on.
    fn send_reads(&self, sync: &mut Sync, id: RoomId, head: Seq) -> Step {
        let Some(room) = self.unbroken(sync, id) else { return Step::Next };
        let newest = sync.sent.get(&id).map_or(head, |sent| head.max(*sent));
        let shown = shows_reads(room);
        let all = shown && room.facts.members_changed > sync.from;
        for member in room.present_members() {
            let mine = shown || member.user == sync.user;
            let moved = all || member.read_changed > sync.from;
            let seq = member.read.min(newest);
            if mine && moved && seq > Seq(0) {
                let (offset, user) = (member.read_changed, member.user);
                sync.push(ReadMark { offset, room: id, user, seq }.into());
            }
        }
        Step::Next
    }
}

fn plan_room(sync: &mut Sync, room: &Room, me: &Membership) {
    let id = room.facts.room;
    let from = sync.from;
    if !sync.reset && me.left > from {
        sync.work.push_back(Work::Gone(id));
    }
    if !me.present {
        return;
    }
    if sync.reset || me.joined > from {
        sync.work.push_back(Work::Room(id));
        return;
    }
    let facts = &room.facts;
    if facts.members_changed > from {
        sync.work.push_back(Work::Members { room: id, after: UserId(0) });
    }
    if facts.head_offset > from {
        sync.work.push_back(Work::Messages { room: id, next: None });
    }
    if facts.members_changed > from || facts.reads_changed > from {
        sync.work.push_back(Work::Reads { room: id, head: facts.head });
    }
}
