//! Connections: who they are, whether they are live, catching up or behind.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use wire::ids::{DeviceId, Offset, RoomId, TimeMs, UserId};

use crate::audience::Gathered;
use crate::catchup::Sync;
use crate::port::SessionId;

/// One connection.
#[derive(Debug)]
pub(crate) struct Session {
    /// When it connected.
    pub(crate) since: TimeMs,
    /// Who it is, after `hello`.
    pub(crate) identity: Option<Identity>,
    pub(crate) phase: Phase,
    /// A `flush_note` is under way.
    pub(crate) flushing: bool,
    /// The shell drops frames with request 0 until the next `flush_note`.
    pub(crate) shut: bool,
    /// History pages under way, at most `SESSION_READS_MAX`.
    pub(crate) reads: u8,
}

/// Who signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) user: UserId,
    pub(crate) device: DeviceId,
}

/// What a connection gets.
#[derive(Debug)]
pub(crate) enum Phase {
    /// Nothing yet: it has to say `hello`.
    Greeted,
    /// Pages of changes; no live events.
    Syncing(Box<Sync>),
    /// Live events; everything up to `since` came before them.
    Live { since: Offset },
    /// Notes about rooms; it has to ask for the rest.
    Dirty { news: BTreeSet<RoomId> },
}

impl Phase {
    /// Whether news of rooms concern it.
    const fn gets_news(&self) -> bool {
        matches!(self, Self::Live { .. } | Self::Dirty { .. })
    }
}

/// Every connection, by name and by user.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    all: BTreeMap<SessionId, Session>,
    of_user: BTreeSet<(UserId, SessionId)>,
    /// Those that have not said `hello`, oldest first.
    strangers: BTreeSet<(TimeMs, SessionId)>,
    /// Those in phase `Dirty`.
    dirty: BTreeSet<SessionId>,
    /// Users of whom a connection turned live, or no longer is, since the last look.
    changed: BTreeSet<UserId>,
}

impl Sessions {
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn dirty(&self) -> &BTreeSet<SessionId> {
        &self.dirty
    }

    pub(crate) fn add(&mut self, id: SessionId, now: TimeMs) {
        let session = Session {
            since: now,
            identity: None,
            phase: Phase::Greeted,
            flushing: false,
            shut: false,
            reads: 0,
        };
        self.all.insert(id, session);
        self.strangers.insert((now, id));
    }

    pub(crate) fn remove(&mut self, id: SessionId) {
        let Some(session) = self.all.remove(&id) else { return };
        self.strangers.remove(&(session.since, id));
        self.dirty.remove(&id);
        if let Some(identity) = session.identity {
            self.of_user.remove(&(identity.user, id));
            if session.phase.gets_news() {
                self.changed.insert(identity.user);
            }
        }
    }

    pub(crate) fn get(&self, id: SessionId) -> Option<&Session> {
        self.all.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.all.get_mut(&id)
    }

    pub(crate) fn identify(&mut self, id: SessionId, identity: Identity) {
        let Some(session) = self.all.get_mut(&id) else { return };
        session.identity = Some(identity);
        self.strangers.remove(&(session.since, id));
        self.of_user.insert((identity.user, id));
    }

    /// Changes what a connection gets; returns what it got before.
    pub(crate) fn turn(&mut self, id: SessionId, phase: Phase) -> Option<Phase> {
        let session = self.all.get_mut(&id)?;
        if matches!(phase, Phase::Dirty { .. }) {
            self.dirty.insert(id);
        } else {
            self.dirty.remove(&id);
        }
        if let Some(identity) = session.identity
            && (phase.gets_news() || session.phase.gets_news())
        {
            self.changed.insert(identity.user);
        }
        Some(std::mem::replace(&mut session.phase, phase))
    }

    /// A user of whom a connection turned live, or no longer is, since this was asked last.
    pub(crate) fn pop_changed(&mut self) -> Option<UserId> {
        self.changed.pop_first()
    }

    /// Sorts a user's connections into an audience.
    pub(crate) fn gather(&self, user: UserId, found: &mut Gathered) {
        for id in self.of_user(user) {
            match self.all.get(&id).map(|session| &session.phase) {
                Some(Phase::Live { since }) => {
                    found.live.push(id);
                    found.since = found.since.max(*since);
                }
                Some(Phase::Dirty { .. }) => found.behind.push(id),
                Some(Phase::Greeted | Phase::Syncing(_)) | None => {}
            }
        }
    }

    /// Notes that a room has news for connections that fell behind.
    pub(crate) fn note_news(&mut self, behind: &[SessionId], room: RoomId) {
        for id in behind {
            if let Some(Phase::Dirty { news }) = self.all.get_mut(id).map(|known| &mut known.phase)
            {
                news.insert(room);
            }
        }
    }

    /// Whether a connection is live and has come no further than `up_to` by other ways.
    pub(crate) fn is_live(&self, id: SessionId, up_to: Offset) -> bool {
        let phase = self.all.get(&id).map(|session| &session.phase);
        matches!(phase, Some(Phase::Live { since }) if *since <= up_to)
    }

    /// Every live connection, by name; notes news of no room for those that fell behind.
    pub(crate) fn all_live(&mut self) -> Vec<SessionId> {
        let mut to = Vec::new();
        for (id, session) in &mut self.all {
            match &mut session.phase {
                Phase::Live { .. } => to.push(*id),
                Phase::Dirty { news } => {
                    news.insert(RoomId(0));
                }
                Phase::Greeted | Phase::Syncing(_) => {}
            }
        }
        to
    }

    /// Adds a user's live connections; notes the news for those that fell behind.
    pub(crate) fn add_live(&mut self, user: UserId, room: RoomId, to: &mut Vec<SessionId>) {
        for (_, id) in self.of_user.range(all_of(user)) {
            match self.all.get_mut(id).map(|session| &mut session.phase) {
                Some(Phase::Live { .. }) => to.push(*id),
                Some(Phase::Dirty { news }) => {
                    news.insert(room);
                }
                Some(Phase::Greeted | Phase::Syncing(_)) | None => {}
            }
        }
    }

    /// A user's connections, by name.
    pub(crate) fn of_user(&self, user: UserId) -> impl Iterator<Item = SessionId> {
        self.of_user.range(all_of(user)).map(|(_, id)| *id)
    }

    /// A device's connections, by name.
    pub(crate) fn of_device(&self, identity: Identity) -> impl Iterator<Item = SessionId> {
        let same =
            move |id: &SessionId| self.all.get(id).and_then(|s| s.identity) == Some(identity);
        self.of_user(identity.user).filter(same)
    }

    /// Every signed-in connection, by name.
    pub(crate) fn signed_in(&self) -> Vec<SessionId> {
        self.all.iter().filter(|(_, s)| s.identity.is_some()).map(|(id, _)| *id).collect()
    }

    /// Every connection, by name.
    pub(crate) fn ids(&self) -> Vec<SessionId> {
        self.all.keys().copied().collect()
    }

    /// The connection that has waited longest without a `hello`, when it came before `limit`.
    pub(crate) fn overdue(&self, limit: TimeMs) -> Option<SessionId> {
        self.strangers.first().filter(|(since, _)| *since < limit).map(|(_, id)| *id)
    }
}

const fn all_of(user: UserId) -> RangeInclusive<(UserId, SessionId)> {
    (user, SessionId(0))..=(user, SessionId(u64::MAX))
}
