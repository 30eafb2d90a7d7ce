//! What waits to be sent to one session, by the rules of `session::slow`; pure.

use std::collections::VecDeque;

use session::slow::{Caps, Facts, Offer, Overflow};
use wire::ServerMessage;

use crate::limits::SEND_BYTES;
use crate::shared::{Encoding, SharedFrame};

/// Queue of one session. Without traffic it holds no memory.
#[derive(Debug, Default)]
pub(crate) struct Outbound {
    queue: Queue,
    /// Bytes in the queue and in the send that waits for room, before TLS.
    bytes: usize,
    bytes_waiting: usize,
    notes_in_flight: u32,
    overflow: Overflow,
    own: Own,
}

/// Whether all that waits is about the session's own commands: acks, and what they posted coming
/// back to it.
#[derive(Debug, Default)]
struct Own {
    acks: u32,
    messages: u32,
    others: bool,
}

/// Most sessions wait for a message and its `caught_up` at most, and that needs no memory of its
/// own.
#[derive(Debug, Default)]
enum Queue {
    #[default]
    Empty,
    One(Item),
    Two(Item, Item),
    Many(VecDeque<Item>),
}

#[derive(Debug)]
enum Item {
    Frame(SharedFrame, Encoding),
    Control(Box<[u8]>),
    /// Tell the core once everything before this is out.
    Note,
}

impl Outbound {
    /// Queues a frame, or drops it by the rules.
    pub(crate) fn offer(
        &mut self,
        frame: &SharedFrame,
        encoding: Encoding,
        flush_note: bool,
        caps: Caps,
    ) -> Offer {
        let bytes = frame.bytes(encoding).len();
        let fan_out = frame.is_news();
        let facts = Facts { fan_out, flush_note, bytes };
        match self.overflow.decide(facts, self.bytes, caps) {
            Offer::Queued => {}
            refused => return refused,
        }
        self.bytes += bytes;
        self.own.see(frame, flush_note);
        self.queue.push(Item::Frame(frame.clone(), encoding));
        if flush_note {
            self.queue.push(Item::Note);
        }
        Offer::Queued
    }

    /// Queues a control frame of the framing itself.
    pub(crate) fn push_control(&mut self, frame: Vec<u8>) {
        self.bytes += frame.len();
        self.own.others = true;
        self.queue.push(Item::Control(frame.into()));
    }

    /// True when nobody would miss what waits for some milliseconds: only the session's own.
    pub(crate) const fn may_wait(&self) -> bool {
        self.own.acks > 0 && self.own.messages <= self.own.acks && !self.own.others
    }

    /// Takes the only frame that waits, to be sent as it is.
    pub(crate) fn take_only(&mut self) -> Option<(SharedFrame, Encoding)> {
        match std::mem::take(&mut self.queue) {
            Queue::One(Item::Frame(frame, encoding)) => {
                self.own = Own::default();
                self.bytes -= frame.bytes(encoding).len();
                Some((frame, encoding))
            }
            other => {
                self.queue = other;
                None
            }
        }
    }

    /// Moves frames into one send, up to [`SEND_BYTES`] or one longer frame; gives their number.
    pub(crate) fn gather(&mut self, mut append: impl FnMut(&[u8])) -> u64 {
        let (mut taken, mut frames) = (0, 0);
        while let Some(item) = self.queue.first() {
            let bytes = item.bytes();
            // A note has no bytes and always goes with the frame before it.
            if taken > 0 && !bytes.is_empty() && taken + bytes.len() > SEND_BYTES {
                break;
            }
            taken += bytes.len();
            append(bytes);
            match item {
                Item::Note => self.notes_in_flight += 1,
                Item::Frame(frame, _) => frames += frame.count(),
                Item::Control(_) => frames += 1,
            }
            self.queue.pop();
        }
        self.bytes -= taken;
        // What is left is not known to be the session's own.
        self.own = Own { others: !self.is_empty(), ..Own::default() };
        frames
    }

    /// At least as many bytes as [`Self::gather`] will take.
    pub(crate) fn gather_bytes_max(&self) -> usize {
        self.queue.first_with_bytes().map_or(0, |item| item.bytes().len().max(SEND_BYTES))
    }

    /// Of what was gathered, this waits for room in the socket.
    pub(crate) fn waits(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.bytes_waiting = bytes;
    }

    /// What was gathered is with the socket; gives the notes that it carried.
    pub(crate) fn sent(&mut self) -> u32 {
        self.bytes -= std::mem::take(&mut self.bytes_waiting);
        std::mem::take(&mut self.notes_in_flight)
    }

    /// True when what was gathered carries notes.
    pub(crate) const fn has_notes_in_flight(&self) -> bool {
        self.notes_in_flight > 0
    }

    /// Bytes queued and in flight.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// True when nothing waits for the next send.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self.queue, Queue::Empty)
    }
}

impl Own {
    fn see(&mut self, frame: &SharedFrame, flush_note: bool) {
        self.others |= flush_note;
        for message in frame.messages() {
            match message {
                ServerMessage::Ack(_) => self.acks += 1,
                ServerMessage::Message(_) => self.messages += 1,
                ServerMessage::CaughtUp(_) => {}
                _ => self.others = true,
            }
        }
    }
}

impl Queue {
    fn push(&mut self, item: Item) {
        *self = match std::mem::take(self) {
            Self::Empty => Self::One(item),
            Self::One(first) => Self::Two(first, item),
            Self::Two(first, second) => Self::Many(VecDeque::from([first, second, item])),
            Self::Many(mut items) => {
                items.push_back(item);
                Self::Many(items)
            }
        }
    }

    fn first(&self) -> Option<&Item> {
        match self {
            Self::Empty => None,
            Self::One(item) | Self::Two(item, _) => Some(item),
            Self::Many(items) => items.front(),
        }
    }

    /// The first one that is no note.
    fn first_with_bytes(&self) -> Option<&Item> {
        let has_bytes = |item: &&Item| !matches!(item, Item::Note);
        match self {
            Self::Empty => None,
            Self::One(item) => Some(item).filter(has_bytes),
            Self::Two(first, second) => [first, second].into_iter().find(has_bytes),
            Self::Many(items) => items.iter().find(has_bytes),
        }
    }

    fn pop(&mut self) {
        *self = match std::mem::take(self) {
            Self::Empty | Self::One(_) => Self::Empty,
            Self::Two(_, second) => Self::One(second),
            Self::Many(mut items) => {
                items.pop_front();
                if items.is_empty() { Self::Empty } else { Self::Many(items) }
            }
        }
    }
}

impl Item {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Frame(frame, encoding) => frame.bytes(*encoding),
            Self::Control(bytes) => bytes,
            Self::Note => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::client::History;
    use wire::ids::{Counter, Offset, RoomId, Seq, TimeMs};
    use wire::server::{Ack, CaughtUp, Pong, Room, RoomAt, RoomKind};

    const CAPS: Caps = Caps { soft: 40, hard: 100 };

    fn fan_out() -> SharedFrame {
        SharedFrame::new(CaughtUp { cursor: Offset(1) }, 0)
    }

    fn reply() -> SharedFrame {
        SharedFrame::new(Pong { time_ms: TimeMs(1) }, 0)
    }

    fn room_at() -> SharedFrame {
        SharedFrame::new(RoomAt { room: RoomId(1), head: Seq(1), offset: Offset(1) }, 0)
    }

    fn offer(outbound: &mut Outbound, frame: &SharedFrame) -> Offer {
        outbound.offer(frame, Encoding::Native, false, CAPS)
    }

    fn fill(outbound: &mut Outbound) {
        while outbound.bytes() < CAPS.soft {
            assert_eq!(offer(outbound, &fan_out()), Offer::Queued);
        }
    }

    fn drain(outbound: &mut Outbound) -> (usize, u32) {
        let mut bytes = 0;
        outbound.gather(|part| bytes += part.len());
        (bytes, outbound.sent())
    }

    #[test]
    fn fan_out_over_the_cap_is_dropped_until_a_flush_note() {
        let mut outbound = Outbound::default();
        fill(&mut outbound);
        assert_eq!(offer(&mut outbound, &fan_out()), Offer::Overflowed);
        assert_eq!(offer(&mut outbound, &fan_out()), Offer::Dropped);
        drain(&mut outbound);
        assert_eq!(offer(&mut outbound, &fan_out()), Offer::Dropped, "drained is not enough");
        assert_eq!(offer(&mut outbound, &room_at()), Offer::Queued);
        assert_eq!(offer(&mut outbound, &fan_out()), Offer::Dropped);
        let note = outbound.offer(&room_at(), Encoding::Native, true, CAPS);
        assert_eq!(note, Offer::Queued);
        assert_eq!(offer(&mut outbound, &fan_out()), Offer::Queued);
        assert_eq!(drain(&mut outbound).1, 1);
        assert_eq!(drain(&mut outbound), (0, 0));
    }

    #[test]
    fn answers_pass_up_to_the_hard_cap() {
        let mut outbound = Outbound::default();
        fill(&mut outbound);
        let last = std::iter::repeat_with(|| offer(&mut outbound, &reply()))
            .find(|offer| *offer != Offer::Queued);
        assert_eq!(last, Some(Offer::TooSlow));
        assert!(outbound.bytes() > CAPS.soft && outbound.bytes() <= CAPS.hard);
    }

    #[test]
    fn one_send_takes_many_small_frames_and_a_long_one_goes_alone() {
        let (mut outbound, caps) = (Outbound::default(), Caps { soft: 1 << 20, hard: 1 << 21 });
        for _ in 0..100 {
            outbound.offer(&reply(), Encoding::Native, false, caps);
        }
        outbound.push_control(vec![0; SEND_BYTES + 1]);
        let mut out = Vec::new();
        assert_eq!(outbound.gather(|bytes| out.extend_from_slice(bytes)), 100);
        outbound.sent();
        assert_eq!((out.len() < SEND_BYTES, outbound.bytes()), (true, SEND_BYTES + 1));
        assert_eq!(outbound.gather_bytes_max(), SEND_BYTES + 1);
        out.clear();
        assert_eq!(outbound.gather(|bytes| out.extend_from_slice(bytes)), 1);
        assert_eq!((out.len(), outbound.bytes(), outbound.is_empty()), (SEND_BYTES + 1, 0, true));
    }

    #[test]
    fn only_acks_and_as_many_messages_may_wait() {
        let mut outbound = Outbound::default();
        assert!(!outbound.may_wait());
        offer(&mut outbound, &fan_out());
        assert!(!outbound.may_wait(), "news of others");
        offer(&mut outbound, &ack());
        assert!(outbound.may_wait());
        offer(&mut outbound, &reply());
        assert!(!outbound.may_wait(), "an answer");
        drain(&mut outbound);
        offer(&mut outbound, &ack());
        assert!(outbound.may_wait());
        outbound.push_control(vec![0]);
        assert!(!outbound.may_wait(), "a close or a pong");
    }

    fn ack() -> SharedFrame {
        let (counter, offset, room, seq) = (Counter(1), Offset(1), RoomId(1), Seq(1));
        SharedFrame::new(Ack { counter, offset, room, seq, time_ms: TimeMs(1) }, 1)
    }

    #[test]
    fn a_note_leaves_with_its_frame_however_long_that_is() {
        let (mut outbound, caps) = (Outbound::default(), Caps { soft: 1 << 20, hard: 1 << 21 });
        let room = Room { name: "x".repeat(SEND_BYTES), ..room() };
        outbound.offer(&SharedFrame::new(room, 1), Encoding::Native, true, caps);
        outbound.push_control(vec![0; 3 * SEND_BYTES]);
        outbound.gather(|_| {});
        assert!(outbound.has_notes_in_flight());
        assert_eq!(outbound.gather_bytes_max(), 3 * SEND_BYTES, "no note hides what comes next");
        assert_eq!((outbound.sent(), outbound.bytes()), (1, 3 * SEND_BYTES));
    }

    #[test]
    fn what_is_left_after_a_send_does_not_wait_for_company() {
        let (mut outbound, caps) = (Outbound::default(), Caps { soft: 1 << 20, hard: 1 << 21 });
        outbound.push_control(vec![0; SEND_BYTES]);
        outbound.push_control(vec![0; SEND_BYTES]);
        outbound.gather(|_| {});
        outbound.offer(&ack(), Encoding::Native, false, caps);
        assert!(!outbound.may_wait(), "a long answer is still there");
    }

    fn room() -> Room {
        Room {
            offset: Offset(1),
            room: RoomId(1),
            room_kind: RoomKind::Group,
            name: String::new(),
            history: History::All,
            members: Vec::new(),
            first: Seq(1),
            head: Seq(1),
            read: Seq(1),
            unread: 0,
            last: None,
        }
    }

    #[test]
    fn a_lone_frame_is_taken_as_it_is_and_what_waits_for_room_still_counts() {
        let mut outbound = Outbound::default();
        offer(&mut outbound, &reply());
        let (frame, encoding) = outbound.take_only().expect("one frame waits");
        assert_eq!((outbound.bytes(), outbound.is_empty()), (0, true));
        outbound.waits(frame.bytes(encoding).len() - 1);
        assert_eq!(outbound.bytes(), frame.bytes(encoding).len() - 1);
        assert_eq!((outbound.sent(), outbound.bytes()), (0, 0));
        outbound.offer(&reply(), Encoding::Native, true, CAPS);
        assert!(outbound.take_only().is_none(), "its note must go with it");
        assert_eq!(drain(&mut outbound).1, 1);
    }
}
