//! What waits to be sent to one session, by the rules of `session::slow`; pure.

use std::collections::VecDeque;

use bytes::Bytes;
use session::slow::{Caps, Offer, Overflow};

use crate::frame::Frame;
use crate::limits::SEND_BYTES;

/// Queue of one session. Without traffic it holds no memory.
#[derive(Debug, Default)]
pub(crate) struct Outbound {
    queue: VecDeque<Item>,
    /// Bytes in the queue, and taken from it but not given to the connection yet.
    bytes: usize,
    overflow: Overflow,
}

#[derive(Debug)]
enum Item {
    Frame(Bytes),
    /// Tell the core once everything before this is with the connection.
    Note,
}

impl Outbound {
    /// Queues a frame, or drops it by the rules.
    pub(crate) fn offer(&mut self, frame: &Frame, flush_note: bool, caps: Caps) -> Offer {
        let offer = self.overflow.decide(frame.facts(flush_note), self.bytes, caps);
        if offer == Offer::Queued {
            self.bytes += frame.bytes().len();
            self.queue.push_back(Item::Frame(frame.bytes().clone()));
            if flush_note {
                self.queue.push_back(Item::Note);
            }
        }
        offer
    }

    /// Moves frames out, up to [`SEND_BYTES`] or one longer frame; gives the notes among them.
    pub(crate) fn take(&mut self, out: &mut Vec<Bytes>) -> u32 {
        let (mut taken, mut notes) = (0, 0);
        while let Some(item) = self.queue.front() {
            let bytes = item.bytes();
            if taken > 0 && bytes > 0 && taken + bytes > SEND_BYTES {
                break;
            }
            taken += bytes;
            match self.queue.pop_front() {
                Some(Item::Frame(bytes)) => out.push(bytes),
                Some(Item::Note) => notes += 1,
                None => break,
            }
        }
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
        notes
    }

    /// So many bytes are with the connection.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.bytes -= bytes;
    }

    /// Bytes that are not with the connection yet.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Item {
    fn bytes(&self) -> usize {
        match self {
            Self::Frame(bytes) => bytes.len(),
            Self::Note => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::ids::{Offset, TimeMs};
    use wire::server::{CaughtUp, Pong};

    const CAPS: Caps = Caps { soft: 1 << 20, hard: 1 << 21 };

    fn pong() -> Frame {
        Frame::new(Pong { time_ms: TimeMs(1) }, 0)
    }

    #[test]
    fn one_take_has_many_small_frames_and_a_long_one_goes_alone() {
        let mut outbound = Outbound::default();
        for _ in 0..100 {
            outbound.offer(&pong(), false, CAPS);
        }
        let message = Pong { time_ms: TimeMs(1) }.into();
        let long = Frame::encoded(&message, 0, vec![0; SEND_BYTES + 1].into());
        outbound.offer(&long, true, CAPS);
        let mut out = Vec::new();
        assert_eq!((outbound.take(&mut out), out.len()), (0, 100));
        out.clear();
        assert_eq!((outbound.take(&mut out), out.len()), (1, 1));
        outbound.sent(100 * pong().bytes().len() + SEND_BYTES + 1);
        assert_eq!((outbound.bytes(), outbound.queue.capacity()), (0, 0));
    }

    #[test]
    fn bytes_count_until_the_connection_has_them() {
        let (mut outbound, caps) = (Outbound::default(), Caps { soft: 1, hard: 1 << 20 });
        let news = Frame::new(CaughtUp { cursor: Offset(1) }, 0);
        assert_eq!(outbound.offer(&news, false, caps), Offer::Queued);
        outbound.take(&mut Vec::new());
        assert_eq!(outbound.offer(&news, false, caps), Offer::Overflowed);
        outbound.sent(news.bytes().len());
        assert_eq!(outbound.bytes(), 0);
        assert_eq!(outbound.offer(&news, false, caps), Offer::Dropped, "no note came yet");
    }
}
