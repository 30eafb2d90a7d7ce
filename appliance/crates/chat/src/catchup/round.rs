//! One round of catching up: what changed above `from`, each thing as it is now, in pages.

use std::ops::Bound;

use wire::ids::{Offset, RoomId, Seq, UserId};
use wire::server::{MemberChange, ReadMark, RoomGone};

use super::{End, Step, Sync, Work};
use crate::chat::Chat;
use crate::config::Mutant;
use crate::limits::CATCHUP_READ_MAX;
use crate::live::{shows_reads, user_of};
use crate::state::{Membership, Room};

impl Chat {
    pub(super) fn fill(&self, sync: &mut Sync) -> End {
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
            if let Some(me) = room.members.get(sync.user) {
                plan_room(sync, room, me);
            }
        }
    }

    /// Whether a user has missed anything above `from`.
    pub(crate) fn changed_since(&self, user: UserId, from: Offset) -> bool {
        let missed = |room: &Room| {
            let me = room.members.get(user);
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
        let me = self.state.room(room).and_then(|known| known.members.get(sync.user));
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

    /// In the order of their changes, as clients take nothing older than what they have.
    fn send_members(&self, sync: &mut Sync, room: RoomId, after: Offset) -> Step {
        let Some(known) = self.unbroken(sync, room) else { return Step::Next };
        let others = known.members.values().filter(|member| member.user != sync.user);
        let mut missed: Vec<&Membership> =
            others.filter(|member| member.changed() > after.max(sync.from)).collect();
        missed.sort_unstable_by_key(|member| member.changed());
        for member in missed {
            let (offset, user, joined) = (member.changed(), member.user, member.present);
            sync.push(MemberChange { offset, room, user, joined }.into());
            if sync.full() {
                return Step::Again(Work::Members { room, after: offset });
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
        sync.work.push_back(Work::Members { room: id, after: Offset(0) });
    }
    if facts.head_offset > from {
        sync.work.push_back(Work::Messages { room: id, next: None });
    }
    if facts.members_changed > from || facts.reads_changed > from {
        sync.work.push_back(Work::Reads { room: id, head: facts.head });
    }
}
