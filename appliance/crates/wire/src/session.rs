//! Names of connections and lists of them, shared by reference between the core and the rings.
//! They live inside the process and are never on the wire.

use core::fmt;
use core::ops::Range;
use std::sync::Arc;

/// Names a connection inside the process, never on the wire, and never another one while the
/// process lives: `ring(8) | generation(24) | slot(32)`. The generation tells apart connections
/// that had the same slot one after another. Sorted ids lie together by ring.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// The 24 bits of a generation.
pub const GENERATION_MASK: u64 = 0xff_ffff;

impl SessionId {
    /// Puts an id together; of `generation` the low 24 bits count.
    #[must_use]
    pub const fn new(ring: u8, generation: u32, slot: u32) -> Self {
        Self((ring as u64) << 56 | (generation as u64 & GENERATION_MASK) << 32 | slot as u64)
    }

    /// Number of the ring that holds the connection.
    #[must_use]
    pub const fn ring(self) -> usize {
        (self.0 >> 56) as usize
    }

    /// How many connections had the slot before, modulo 2^24.
    #[must_use]
    pub const fn generation(self) -> u32 {
        (self.0 >> 32 & GENERATION_MASK) as u32
    }

    /// The connection's place in its ring.
    #[must_use]
    pub const fn slot(self) -> u32 {
        (self.0 & 0xffff_ffff) as u32
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({}:{}.{})", self.ring(), self.slot(), self.generation())
    }
}

/// Receivers of a frame: ascending, no session twice. A list is never copied: clones and the
/// parts of single rings share it.
#[derive(Clone)]
pub enum Targets {
    /// Most frames have one receiver.
    One(SessionId),
    /// A part of a shared list.
    Many(Arc<[SessionId]>, Range<usize>),
}

impl Targets {
    /// All of a shared list, which must ascend.
    #[must_use]
    pub fn many(sessions: Arc<[SessionId]>) -> Self {
        debug_assert!(sessions.is_sorted_by(|left, right| left < right));
        let all = 0..sessions.len();
        Self::Many(sessions, all)
    }

    /// The receivers.
    #[must_use]
    pub fn as_slice(&self) -> &[SessionId] {
        match self {
            Self::One(session) => core::slice::from_ref(session),
            Self::Many(sessions, part) => &sessions[part.clone()],
        }
    }

    /// The very same part of the same list; equal lists that were made apart are not.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Many(one, part), Self::Many(two, other)) => {
                Arc::ptr_eq(one, two) && part == other
            }
            _ => false,
        }
    }

    /// Nobody is meant.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    /// The receivers of each ring that has any, by number of the ring.
    pub fn by_ring(&self) -> impl Iterator<Item = (usize, Self)> {
        let mut from = 0;
        core::iter::from_fn(move || {
            let rest = &self.as_slice()[from..];
            let ring = rest.first()?.ring();
            let count = rest.partition_point(|session| session.ring() == ring);
            let part = self.part(from..from + count);
            from += count;
            Some((ring, part))
        })
    }

    fn part(&self, within: Range<usize>) -> Self {
        match self {
            Self::One(session) => Self::One(*session),
            Self::Many(sessions, part) => {
                let (start, end) = (part.start + within.start, part.start + within.end);
                Self::Many(Arc::clone(sessions), start..end)
            }
        }
    }
}

impl From<Vec<SessionId>> for Targets {
    /// The list must ascend.
    fn from(sessions: Vec<SessionId>) -> Self {
        match sessions[..] {
            [session] => Self::One(session),
            _ => Self::many(sessions.into()),
        }
    }
}

impl PartialEq for Targets {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Targets {}

impl fmt::Debug for Targets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_id_holds_its_three_parts() {
        let id = SessionId::new(255, 0xff_ffff, u32::MAX);
        assert_eq!((id.ring(), id.generation(), id.slot()), (255, 0xff_ffff, u32::MAX));
        let id = SessionId::new(1, 2, 3);
        assert_eq!(id.0, 1 << 56 | 2 << 32 | 3);
    }

    #[test]
    fn a_list_falls_apart_by_ring_without_copies() {
        let ids = [(0, 1), (0, 2), (2, 1), (7, 1), (7, 9)];
        let list: Arc<[_]> =
            ids.iter().map(|(ring, slot)| SessionId::new(*ring, 0, *slot)).collect();
        let parts: Vec<_> = Targets::many(Arc::clone(&list)).by_ring().collect();
        let rings: Vec<_> =
            parts.iter().map(|(ring, part)| (*ring, part.as_slice().len())).collect();
        assert_eq!(rings, [(0, 2), (2, 1), (7, 2)]);
        for (ring, part) in &parts {
            assert!(part.as_slice().iter().all(|session| session.ring() == *ring));
            assert!(list.as_ptr_range().contains(&part.as_slice().as_ptr()));
        }
        let again: Vec<_> = parts[2].1.by_ring().collect();
        assert!(again[0].1.is_same(&parts[2].1) && !parts[0].1.is_same(&parts[2].1));
        assert_eq!(again, [(7, parts[2].1.clone())]);
    }

    #[test]
    fn one_receiver_and_none_are_lists_too() {
        let one = Targets::One(SessionId::new(3, 0, 5));
        assert_eq!(one.by_ring().collect::<Vec<_>>(), [(3, one)]);
        assert!(Targets::from(Vec::new()).is_empty());
        assert_eq!(Targets::from(Vec::new()).by_ring().count(), 0);
    }
}
