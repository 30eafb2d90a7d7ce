//! What the next submission sends at once: frames shared with other sessions, and bytes put
//! together for one. Nothing here moves until the submission took it and its outcome is known.
//!
//! A send that is done *now* either takes all bytes within the submission or says how many it
//! took; so nothing of it is in flight afterwards, and success needs no completion.

use std::ops::Range;

use crate::limits::STAGING_BYTES;
use crate::shared::{Encoding, SharedFrame};
use crate::table::Key;

/// All sends of one tick.
pub(crate) struct Staging {
    sends: Vec<Staged>,
    /// Never grows, so that the kernel may hold pointers into it.
    arena: Box<[u8]>,
    used: usize,
    started: usize,
    wants_word: bool,
}

/// One send.
struct Staged {
    key: Key,
    bytes: Source,
    wants_word: bool,
    failed: bool,
}

/// Where the bytes of a send are.
#[derive(Debug)]
pub(crate) enum Source {
    /// One frame, as every receiver gets it.
    Shared(SharedFrame, Encoding),
    /// Put together in the arena.
    Arena(Range<usize>),
}

impl Source {
    /// Bytes for the socket.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Shared(frame, encoding) => frame.bytes(*encoding).len(),
            Self::Arena(range) => range.len(),
        }
    }
}

impl Staging {
    pub(crate) fn new() -> Self {
        let arena = vec![0; STAGING_BYTES].into_boxed_slice();
        Self { sends: Vec::new(), arena, used: 0, started: 0, wants_word: false }
    }

    /// Bytes that the arena still takes.
    pub(crate) const fn room(&self) -> usize {
        STAGING_BYTES - self.used
    }

    /// Adds to the bytes being put together; [`Self::room`] was asked before.
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        self.arena[self.used..self.used + bytes.len()].copy_from_slice(bytes);
        self.used += bytes.len();
    }

    /// Ends the putting together; none when nothing was added.
    pub(crate) fn finish(&mut self) -> Option<Source> {
        let range = std::mem::replace(&mut self.started, self.used)..self.used;
        (!range.is_empty()).then_some(Source::Arena(range))
    }

    /// Takes a send; gives its number and bytes, which stay where they are until [`Self::settle`].
    pub(crate) fn push(&mut self, key: Key, bytes: Source, wants_word: bool) -> (u32, &[u8]) {
        let number = u32::try_from(self.sends.len()).expect("a tick's sends fit 32 bits");
        self.wants_word |= wants_word;
        self.sends.push(Staged { key, bytes, wants_word, failed: false });
        (number, self.bytes(number))
    }

    /// The bytes of a send.
    fn bytes(&self, number: u32) -> &[u8] {
        match &self.sends[number as usize].bytes {
            Source::Shared(frame, encoding) => frame.bytes(*encoding),
            Source::Arena(range) => &self.arena[range.clone()],
        }
    }

    /// A send did not take everything: whose, and what is left after `sent` bytes.
    pub(crate) fn fail(&mut self, number: u32, sent: usize) -> (Key, Vec<u8>) {
        let rest = self.bytes(number)[sent..].to_vec();
        let staged = &mut self.sends[number as usize];
        staged.failed = true;
        (staged.key, rest)
    }

    /// The outcome of every send is known: names those that took everything and wanted to hear
    /// of it, and is empty again.
    pub(crate) fn settle(&mut self, mut done: impl FnMut(Key)) {
        for staged in self.sends.drain(..) {
            if staged.wants_word && !staged.failed {
                done(staged.key);
            }
        }
        (self.used, self.started, self.wants_word) = (0, 0, false);
    }

    /// True when a send waits that wants to hear of its success.
    pub(crate) const fn wants_word(&self) -> bool {
        self.wants_word
    }

    /// True when nothing is staged.
    pub(crate) fn is_empty(&self) -> bool {
        self.sends.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::ids::TimeMs;
    use wire::server::Pong;

    const KEY: Key = Key { generation: 3, slot: 5 };

    #[test]
    fn sends_keep_their_bytes_until_settled_and_success_is_told_to_those_who_asked() {
        let mut staging = Staging::new();
        staging.append(b"one");
        staging.append(b"two");
        let source = staging.finish().unwrap();
        assert_eq!(staging.push(KEY, source, true), (0, &b"onetwo"[..]));
        let frame = SharedFrame::new(Pong { time_ms: TimeMs(1) }, 0);
        let length = frame.bytes(Encoding::Native).len();
        let shared = Source::Shared(frame, Encoding::Native);
        assert_eq!(staging.push(KEY, shared, false).1.len(), length);
        assert!(staging.finish().is_none() && staging.wants_word() && !staging.is_empty());
        let mut done = Vec::new();
        staging.settle(|key| done.push(key));
        assert_eq!((done.len(), staging.is_empty(), staging.room()), (1, true, STAGING_BYTES));
    }

    #[test]
    fn a_send_that_failed_gives_what_is_left_and_is_not_told_as_done() {
        let mut staging = Staging::new();
        staging.append(b"abcdef");
        let source = staging.finish().unwrap();
        let (number, _) = staging.push(KEY, source, true);
        assert_eq!(staging.fail(number, 2), (KEY, b"cdef".to_vec()));
        staging.settle(|_| panic!("it failed"));
    }
}
