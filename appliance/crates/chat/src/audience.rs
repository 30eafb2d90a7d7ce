//! Which connections get a room's news: remembered from one message to the next, and found anew
//! when a member's connections or the members themselves changed. A message to a large room then
//! costs the same as one to a small room.

use std::collections::BTreeMap;

use wire::ids::{Offset, RoomId};

use crate::chat::Chat;
use crate::limits::AUDIENCE_SESSIONS_MAX;
use crate::port::{SessionId, Targets};

/// The remembered audiences.
#[derive(Debug, Default)]
pub(crate) struct Audiences {
    rooms: BTreeMap<RoomId, Audience>,
    /// Connections in all of them together.
    sessions: usize,
}

/// A room's members as connections.
#[derive(Clone, Debug)]
pub(crate) struct Audience {
    /// Those that are live.
    live: Targets,
    /// Those that fell behind and are only told that there is news.
    behind: Vec<SessionId>,
    /// All of the live ones have what came up to here.
    since: Offset,
}

/// Connections being sorted into an audience.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub(crate) live: Vec<SessionId>,
    pub(crate) behind: Vec<SessionId>,
    pub(crate) since: Offset,
}

impl Audiences {
    /// The room's members changed, or one of them turned live or stopped being so.
    pub(crate) fn forget(&mut self, room: RoomId) {
        if let Some(audience) = self.rooms.remove(&room) {
            self.sessions -= audience.len();
        }
    }

    fn insert(&mut self, room: RoomId, audience: Audience) {
        if self.sessions + audience.len() > AUDIENCE_SESSIONS_MAX {
            *self = Self::default();
        }
        self.sessions += audience.len();
        self.rooms.insert(room, audience);
    }

    /// From where on all of these get news, when they are the room's live members as of now.
    fn since(&self, room: RoomId, list: &Targets) -> Option<Offset> {
        let audience = self.rooms.get(&room)?;
        same_list(&audience.live, list).then_some(audience.since)
    }
}

impl Audience {
    fn len(&self) -> usize {
        self.live.as_slice().len() + self.behind.len()
    }
}

/// Whether both are one list, not two with the same content: one look, whatever the length.
pub(crate) fn same_list(one: &Targets, other: &Targets) -> bool {
    match (one, other) {
        (Targets::One(one), Targets::One(other)) => one == other,
        _ => std::ptr::eq(one.as_slice(), other.as_slice()),
    }
}

impl Chat {
    /// Live sessions of all present members; notes the news for those that fell behind.
    pub(crate) fn audience(&mut self, room: RoomId) -> Targets {
        self.forget_audiences();
        if !self.audiences.rooms.contains_key(&room) {
            let audience = self.gather(room);
            self.audiences.insert(room, audience);
        }
        let Some(audience) = self.audiences.rooms.get(&room) else { return Vec::new().into() };
        self.sessions.note_news(&audience.behind, room);
        audience.live.clone()
    }

    /// Drops what no longer holds because sessions changed.
    fn forget_audiences(&mut self) {
        while let Some(user) = self.sessions.pop_changed() {
            for room in self.state.room_ids_of(user) {
                self.audiences.forget(room);
            }
        }
    }

    fn gather(&self, room: RoomId) -> Audience {
        let mut found = Gathered::default();
        let members = self.state.room(room).into_iter().flat_map(|room| room.present_members());
        members.for_each(|member| self.sessions.gather(member.user, &mut found));
        found.live.sort_unstable();
        let Gathered { live, behind, since } = found;
        Audience { live: live.into(), behind, since }
    }

    /// Of lists that got news, who is live and has not come beyond `up_to` by other ways.
    pub(crate) fn still_live(
        &mut self,
        lists: BTreeMap<RoomId, Vec<Targets>>,
        up_to: Offset,
    ) -> Targets {
        self.forget_audiences();
        let mut all: Vec<(bool, Targets)> = Vec::new();
        for (room, list) in
            lists.into_iter().flat_map(|(room, lists)| lists.into_iter().map(move |to| (room, to)))
        {
            let whole = self.audiences.since(room, &list).is_some_and(|since| since <= up_to);
            all.push((whole, list));
        }
        if let [(true, list)] = &all[..] {
            return list.clone();
        }
        let mut to = Vec::new();
        for (whole, list) in &all {
            let live = |id: &SessionId| *whole || self.sessions.is_live(*id, up_to);
            to.extend(list.as_slice().iter().copied().filter(live));
        }
        to.sort();
        to.dedup();
        to.into()
    }
}
