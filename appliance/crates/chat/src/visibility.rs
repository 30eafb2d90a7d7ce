//! Who may see what: the one question that history, catching up, search, files and exports ask.

use std::borrow::Cow;

use wire::ids::{RoomId, Seq, UserId};

use crate::chat::Chat;
use crate::config::Mutant;
use crate::state::{Interval, State};

impl State {
    /// Whether a user may see a message now. Never for a room they are not in.
    #[must_use]
    pub fn may_see(&self, user: UserId, room: RoomId, seq: Seq) -> bool {
        seq <= self.room_head(room) && self.sight(user, room).iter().any(|part| part.holds(seq))
    }

    /// The stretches of a room that a user may see now, ascending.
    #[must_use]
    pub fn sight(&self, user: UserId, room: RoomId) -> &[Interval] {
        self.member(room, user).map_or(&[], |(_, member)| &member.intervals)
    }
}

impl Interval {
    /// Whether a message lies in it.
    #[must_use]
    pub fn holds(&self, seq: Seq) -> bool {
        self.first <= seq && self.last.is_none_or(|last| seq <= last)
    }
}

impl Chat {
    fn sight(&self, user: UserId, room: RoomId) -> Cow<'_, [Interval]> {
        if self.config.is(Mutant::SkipVisibility) && self.state.room(room).is_some() {
            return Cow::Owned(vec![Interval { first: Seq(1), last: None }]);
        }
        Cow::Borrowed(self.state.sight(user, room))
    }

    /// [`State::may_see`], unless the simulator broke it.
    pub(crate) fn may_see(&self, user: UserId, room: RoomId, seq: Seq) -> bool {
        self.sight(user, room).iter().any(|part| part.holds(seq))
    }

    /// The newest stretch of visible messages below `before`, clipped to it. None at the beginning
    /// of what the user may see, and for a room that they may not see at all.
    pub(crate) fn stretch_below(
        &self,
        user: UserId,
        room: RoomId,
        before: Seq,
    ) -> Option<(Seq, Seq)> {
        let head = self.state.room_head(room);
        let top = Seq(before.0.saturating_sub(1)).min(head);
        let sight = self.sight(user, room);
        let part = sight.iter().rev().find(|part| part.first <= top)?;
        Some((part.first, part.last.map_or(top, |last| last.min(top))))
    }
}
