//! Connections: who they are, whether they are live, catching up or behind.

use std::collections::{BTreeMap, BTreeSet};

use wire::ids::{DeviceId, Offset, RoomId, TimeMs, UserId};

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
    /// History pages under way.
    pub(crate) reads: usize,
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

/// Every connection, by name and by user.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    all: BTreeMap<SessionId, Session>,
    of_user: BTreeMap<UserId, BTreeSet<SessionId>>,
    /// Those that have not said `hello`, oldest first.
    strangers: BTreeSet<(TimeMs, SessionId)>,
    /// Those in phase `Dirty`.
    dirty: BTreeSet<SessionId>,
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
        if let Some(identity) = session.identity
            && let Some(ids) = self.of_user.get_mut(&identity.user)
        {
            ids.remove(&id);
            if ids.is_empty() {
                self.of_user.remove(&identity.user);
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
        self.of_user.entry(identity.user).or_default().insert(id);
    }

    /// Changes what a connection gets; returns what it got before.
    pub(crate) fn turn(&mut self, id: SessionId, phase: Phase) -> Option<Phase> {
        let session = self.all.get_mut(&id)?;
        if matches!(phase, Phase::Dirty { .. }) {
            self.dirty.insert(id);
        } else {
            self.dirty.remove(&id);
        }
        Some(std::mem::replace(&mut session.phase, phase))
    }

    /// Adds a user's live connections; notes the news for those that fell behind.
    pub(crate) fn add_live(&mut self, user: UserId, room: RoomId, to: &mut Vec<SessionId>) {
        for id in self.of_user.get(&user).into_iter().flatten() {
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
        self.of_user.get(&user).into_iter().flatten().copied()
    }

    /// A device's connections, by name.
    pub(crate) fn of_device(&self, identity: Identity) -> Vec<SessionId> {
        let same = |id: &SessionId| self.all.get(id).and_then(|s| s.identity) == Some(identity);
        self.of_user(identity.user).filter(same).collect()
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
