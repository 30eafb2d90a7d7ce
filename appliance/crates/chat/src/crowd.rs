//! Joins and leaves in large rooms: gathered, and told as one list a second. Told one by one, a
//! thousand people who join would be half a million frames.
//!
//! A cursor vouches for everything below it, so while changes wait no cursor goes beyond them.

use std::collections::BTreeMap;

use wire::ids::{Offset, RoomId, TimeMs, UserId};
use wire::server::{MemberMoved, MembersChanged};

use crate::chat::Chat;
use crate::limits::{CROWD_CHANGES_MAX, CROWD_WAIT_MS};

/// Changes that wait to be told: at most [`CROWD_CHANGES_MAX`].
#[derive(Debug, Default)]
pub(crate) struct Crowds {
    rooms: BTreeMap<RoomId, BTreeMap<UserId, MemberMoved>>,
    count: usize,
    /// When the oldest came, and its record.
    since: TimeMs,
    oldest: Offset,
    /// The newest list goes when this is durable.
    told: Offset,
    /// A cursor below the waiting changes went since that list.
    vouched: Offset,
}

impl Crowds {
    /// How far a cursor may go; none when no cursor may go now.
    pub(crate) fn cursor(&self, durable: Offset) -> Option<Offset> {
        if self.told > durable {
            return None;
        }
        if self.count == 0 {
            return Some(durable);
        }
        (self.vouched < self.told).then(|| durable.min(Offset(self.oldest.0 - 1)))
    }

    /// Changes wait, so whoever gets a cursor now is owed another.
    pub(crate) const fn vouch(&mut self) -> bool {
        self.vouched = self.told;
        self.count > 0
    }
}

impl Chat {
    /// Whether a room's members are told at once who joins and leaves: unless they are many, or
    /// earlier changes wait, which come first.
    pub(crate) fn tells_members_at_once(&self, room: RoomId) -> bool {
        let present = self.state.room(room).map_or(0, |known| known.present);
        present <= self.config.shares.crowd_members && !self.crowds.rooms.contains_key(&room)
    }

    /// Notes a change for the next list.
    pub(crate) fn gather_member(&mut self, room: RoomId, moved: MemberMoved) {
        let crowds = &mut self.crowds;
        if crowds.count == 0 {
            crowds.since = self.now;
            crowds.oldest = moved.offset;
        }
        let changes = crowds.rooms.entry(room).or_default();
        if changes.insert(moved.user, moved).is_none() {
            crowds.count += 1;
        }
        if crowds.count >= CROWD_CHANGES_MAX {
            self.tell_crowds();
        }
    }

    pub(crate) fn tell_crowds_by_time(&mut self) {
        if self.crowds.count > 0 && self.now.0 >= self.crowds.since.0 + CROWD_WAIT_MS {
            self.tell_crowds();
            self.tell_caught_up();
        }
    }

    fn tell_crowds(&mut self) {
        self.crowds.count = 0;
        self.crowds.told = self.state.head();
        for (room, changes) in std::mem::take(&mut self.crowds.rooms) {
            let mut members: Vec<MemberMoved> = changes.into_values().collect();
            members.sort_unstable_by_key(|moved| (moved.offset, moved.user));
            let joined = members.iter().filter(|moved| moved.joined);
            let joined: Vec<(Offset, UserId)> =
                joined.map(|moved| (moved.offset, moved.user)).collect();
            let to = self.audience(room);
            self.tell(room, to.clone(), MembersChanged { room, members }.into());
            for (offset, user) in joined {
                // A mark that came before the member was lost on everybody.
                self.tell_read(offset, room, user, to.clone());
            }
        }
    }
}
