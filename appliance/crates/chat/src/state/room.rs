//! Rooms, memberships and the intervals of messages that a member may see.

use serde::{Deserialize, Serialize};
use wire::client::History;
use wire::ids::{Offset, RoomId, Seq, UserId};
use wire::server::RoomKind;

use super::{Members, SYSTEM_ROOM, SYSTEM_USER};
use crate::limits::{INTERVALS_MAX, MARK_SPACING};

/// A room without its members: what the store writes as one entity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomFacts {
    /// Which.
    pub room: RoomId,
    /// Direct or group.
    pub room_kind: RoomKind,
    /// Name; empty for direct rooms.
    pub name: String,
    /// What later members see.
    pub history: History,
    /// Who made it; may remove others.
    pub creator: UserId,
    /// The record that made it.
    pub added: Offset,
    /// Newest message; 0 when there is none.
    pub head: Seq,
    /// The newest message's record; 0 when there is none.
    pub head_offset: Offset,
    /// Newest change of any membership.
    pub members_changed: Offset,
    /// Newest move of any member's read cursor.
    pub reads_changed: Offset,
}

/// Where a message lies in the global order: one for every [`MARK_SPACING`] messages of a room,
/// so that a cursor finds its place in a room without the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The message.
    pub seq: Seq,
    /// Its record.
    pub offset: Offset,
}

/// Messages that a member may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    /// From here.
    pub first: Seq,
    /// To here; none while the member is in the room.
    pub last: Option<Seq>,
}

/// A user's present or past place in a room: what the store writes as one entity, so that a join
/// costs the same in a small and a large room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// Who.
    pub user: UserId,
    /// In the room now.
    pub present: bool,
    /// What they may see while in the room, ascending; at most [`INTERVALS_MAX`].
    pub intervals: Vec<Interval>,
    /// Read cursor. Joining moves it to the newest message, posting to the own message.
    pub read: Seq,
    /// Newest join.
    pub joined: Offset,
    /// Newest leave; 0 when never.
    pub left: Offset,
    /// Newest move of the read cursor.
    pub read_changed: Offset,
}

/// A room with everybody who is or was in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// What does not depend on members.
    pub facts: RoomFacts,
    /// Present and past members.
    pub members: Members,
    /// How many are present.
    pub present: usize,
    /// Ascending.
    pub marks: Vec<Mark>,
}

impl Room {
    pub(crate) const fn new(facts: RoomFacts) -> Self {
        Self { facts, members: Members::new(), present: 0, marks: Vec::new() }
    }

    pub(super) fn system() -> Self {
        let mut room = Self::new(RoomFacts {
            room: SYSTEM_ROOM,
            room_kind: RoomKind::Direct,
            name: String::new(),
            history: History::All,
            creator: SYSTEM_USER,
            added: Offset(0),
            head: Seq(0),
            head_offset: Offset(0),
            members_changed: Offset(0),
            reads_changed: Offset(0),
        });
        room.join(SYSTEM_USER, Offset(0));
        room
    }

    /// Present members, by id.
    pub fn present_members(&self) -> impl Iterator<Item = &Membership> {
        self.members.values().filter(|member| member.present)
    }

    /// When the room was last used: for the order of a room list.
    #[must_use]
    pub fn active(&self) -> Offset {
        self.facts.added.max(self.facts.head_offset)
    }

    /// Newest change of anything that a member sees of this room.
    #[must_use]
    pub fn changed(&self) -> Offset {
        let facts = &self.facts;
        facts.added.max(facts.head_offset).max(facts.members_changed).max(facts.reads_changed)
    }

    /// A message at or below the first one above `cursor`: where a reader has to start.
    #[must_use]
    pub fn start_after(&self, cursor: Offset) -> Seq {
        if cursor >= self.facts.head_offset {
            return self.facts.head.next();
        }
        let above = self.marks.partition_point(|mark| mark.offset <= cursor);
        above.checked_sub(1).map_or(Seq(1), |below| self.marks[below].seq.next())
    }

    /// Lets a user in. False when they are in already.
    pub(crate) fn join(&mut self, user: UserId, offset: Offset) -> bool {
        let head = self.facts.head;
        let member = self.members.get_or_add(user);
        if member.present {
            return false;
        }
        let first = match self.facts.history {
            History::All => Seq(1),
            History::SinceJoin => head.next(),
        };
        member.see_from(first);
        member.present = true;
        member.joined = offset;
        member.read = member.read.max(head);
        member.read_changed = offset;
        self.present += 1;
        self.facts.members_changed = offset;
        true
    }

    /// Lets a user go. False when they are not in the room.
    pub(crate) fn leave(&mut self, user: UserId, offset: Offset) -> bool {
        let Some(member) = self.members.get_mut(user).filter(|member| member.present) else {
            return false;
        };
        member.see_until(self.facts.head);
        member.present = false;
        member.left = offset;
        self.present -= 1;
        self.facts.members_changed = offset;
        true
    }

    /// Moves a present member's read cursor. False when it is there already.
    pub(crate) fn read(&mut self, user: UserId, seq: Seq, offset: Offset) -> bool {
        let head = self.facts.head;
        let Some(member) = self.members.get_mut(user).filter(|member| member.present) else {
            return false;
        };
        if seq <= member.read || seq > head {
            return false;
        }
        member.read = seq;
        member.read_changed = offset;
        self.facts.reads_changed = offset;
        true
    }

    /// Notes a new message. True when it left a mark.
    pub(crate) fn post(&mut self, seq: Seq, offset: Offset) -> bool {
        self.facts.head = seq;
        self.facts.head_offset = offset;
        let marked = seq.0.is_multiple_of(MARK_SPACING) && self.facts.room != SYSTEM_ROOM;
        if marked {
            self.marks.push(Mark { seq, offset });
        }
        marked
    }
}

impl Membership {
    pub(super) const fn new(user: UserId) -> Self {
        Self {
            user,
            present: false,
            intervals: Vec::new(),
            read: Seq(0),
            joined: Offset(0),
            left: Offset(0),
            read_changed: Offset(0),
        }
    }

    /// Opens an interval, joining it to the ones it touches.
    fn see_from(&mut self, first: Seq) {
        let mut first = first;
        while let Some(newest) = self.intervals.last() {
            if newest.last.is_some_and(|last| last.next() < first) {
                break;
            }
            first = first.min(newest.first);
            self.intervals.pop();
        }
        if self.intervals.is_empty() {
            self.intervals.reserve_exact(1);
        }
        self.intervals.push(Interval { first, last: None });
        if self.intervals.len() > INTERVALS_MAX {
            self.intervals.remove(0);
        }
    }

    /// Closes the open interval; drops it when it holds nothing.
    fn see_until(&mut self, head: Seq) {
        if let Some(open) = self.intervals.last_mut() {
            open.last = Some(head);
            if open.first > head {
                self.intervals.pop();
            }
        }
    }

    /// Newest change of the membership itself.
    #[must_use]
    pub fn changed(&self) -> Offset {
        self.joined.max(self.left)
    }
}
