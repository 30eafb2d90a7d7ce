//! Message bodies in memory: all that no checkpoint covers, and the newest others up to a budget.

use std::collections::{BTreeMap, VecDeque};

use wire::ids::{Offset, RoomId, Seq};
use wire::server::Message;

/// Bytes a message takes beside its text: the struct, its place in both lists, allocator slack.
const OVERHEAD_BYTES: usize = 160;

/// The window of bodies. Whoever is not found here is read through the store's index.
#[derive(Debug, Default)]
pub(crate) struct Hot {
    rooms: BTreeMap<RoomId, Run>,
    /// Ascending: records come in order.
    by_offset: VecDeque<(Offset, RoomId, Seq)>,
    bytes: usize,
    unsaved_bytes: usize,
    saved: Offset,
}

impl Hot {
    pub(crate) fn starting_at(saved: Offset) -> Self {
        Self { saved, ..Self::default() }
    }

    /// Bytes that cannot be dropped before the next checkpoint.
    pub(crate) const fn unsaved_bytes(&self) -> usize {
        self.unsaved_bytes
    }

    pub(crate) fn insert(&mut self, message: Message) {
        let (room, seq, offset) = (message.room, message.seq, message.offset);
        let bytes = weight(&message);
        if let Some(old) = self.rooms.entry(room).or_default().insert(message) {
            self.forget_offset(old.offset);
            self.forget_bytes(&old);
        }
        debug_assert!(self.by_offset.back().is_none_or(|(newest, ..)| *newest < offset));
        self.by_offset.push_back((offset, room, seq));
        self.bytes += bytes;
        self.unsaved_bytes += bytes;
    }

    fn forget_offset(&mut self, offset: Offset) {
        if let Ok(at) = self.by_offset.binary_search_by_key(&offset, |(known, ..)| *known) {
            self.by_offset.remove(at);
        }
    }

    pub(crate) fn get(&self, room: RoomId, seq: Seq) -> Option<&Message> {
        self.rooms.get(&room)?.get(seq)
    }

    /// The unbroken run of messages that ends at `last`, down to `first` at most; ascending.
    pub(crate) fn tail(&self, room: RoomId, first: Seq, last: Seq) -> Vec<Message> {
        let mut run = Vec::new();
        for at in (first.0..=last.0).rev() {
            let Some(message) = self.get(room, Seq(at)) else { break };
            run.push(message.clone());
        }
        run.reverse();
        run
    }

    /// The end of the gap that begins at `first`: the message before the next one that is here,
    /// or `most`.
    pub(crate) fn cold_until(&self, room: RoomId, first: Seq, most: Seq) -> Seq {
        let next = self.rooms.get(&room).and_then(|run| run.messages.get(run.place(first)));
        let next = next.filter(|message| message.seq <= most);
        next.map_or(most, |message| Seq(message.seq.0 - 1))
    }

    /// First message above `cursor`, when everything from there to `head` is here.
    pub(crate) fn start_after(&self, room: RoomId, head: Seq, cursor: Offset) -> Option<Seq> {
        let run = self.rooms.get(&room)?;
        let mut expected = head;
        for message in run.messages.range(..run.place(head.next())).rev() {
            if message.seq != expected {
                return None;
            }
            if message.offset <= cursor {
                return Some(message.seq.next());
            }
            expected = Seq(message.seq.0 - 1);
        }
        (expected == Seq(0)).then_some(Seq(1))
    }

    /// A checkpoint covers everything up to `saved`: its bodies may go when the budget says so.
    pub(crate) fn saved(&mut self, saved: Offset, bytes_max: usize) {
        if saved > self.saved {
            let first = self.by_offset.partition_point(|(offset, ..)| *offset <= self.saved);
            let end = self.by_offset.partition_point(|(offset, ..)| *offset <= saved);
            for (_, room, seq) in self.by_offset.range(first..end) {
                if let Some(message) = self.rooms.get(room).and_then(|run| run.get(*seq)) {
                    self.unsaved_bytes -= weight(message);
                }
            }
            self.saved = saved;
        }
        self.evict(bytes_max);
    }

    fn evict(&mut self, bytes_max: usize) {
        while self.bytes > bytes_max {
            let Some((offset, room, seq)) = self.by_offset.front().copied() else { return };
            if offset > self.saved {
                return;
            }
            self.by_offset.pop_front();
            self.remove(room, seq);
        }
    }

    fn remove(&mut self, room: RoomId, seq: Seq) {
        let Some(run) = self.rooms.get_mut(&room) else { return };
        let gone = run.remove(seq);
        if run.messages.is_empty() {
            self.rooms.remove(&room);
        }
        if let Some(message) = gone {
            self.bytes -= weight(&message);
        }
    }

    fn forget_bytes(&mut self, old: &Message) {
        self.bytes -= weight(old);
        if old.offset > self.saved {
            self.unsaved_bytes -= weight(old);
        }
    }
}

/// Messages of one room, ascending by seq; nearly always without holes.
#[derive(Debug, Default)]
struct Run {
    messages: VecDeque<Message>,
    /// None is newer: with it a new message finds its place without a look at an old one.
    newest: Seq,
}

impl Run {
    /// Where the first message at or above `seq` is: behind the last for a new one, where it would
    /// be without holes, or else by search.
    fn place(&self, seq: Seq) -> usize {
        if seq > self.newest {
            return self.messages.len();
        }
        let first = self.messages.front().map_or(0, |message| message.seq.0);
        let guess = usize::try_from(seq.0.saturating_sub(first)).unwrap_or(usize::MAX);
        match self.messages.get(guess) {
            Some(message) if message.seq == seq => guess,
            _ => self.messages.partition_point(|message| message.seq < seq),
        }
    }

    fn get(&self, seq: Seq) -> Option<&Message> {
        self.messages.get(self.place(seq)).filter(|message| message.seq == seq)
    }

    /// Returns the message that was in its place.
    fn insert(&mut self, message: Message) -> Option<Message> {
        let at = self.place(message.seq);
        match self.messages.get_mut(at) {
            Some(there) if there.seq == message.seq => Some(std::mem::replace(there, message)),
            _ => {
                self.newest = self.newest.max(message.seq);
                if self.messages.len() == self.messages.capacity() {
                    self.messages.reserve_exact(self.messages.len().max(1));
                }
                self.messages.insert(at, message);
                None
            }
        }
    }

    fn remove(&mut self, seq: Seq) -> Option<Message> {
        let at = self.place(seq);
        self.get(seq)?;
        let gone = self.messages.remove(at);
        if self.messages.len() * 4 < self.messages.capacity() {
            self.messages.shrink_to(self.messages.len() * 2);
        }
        gone
    }
}

fn weight(message: &Message) -> usize {
    OVERHEAD_BYTES + message.text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::ids::{Counter, DeviceId, TimeMs, UserId};

    fn message(room: u32, seq: u64, offset: u64) -> Message {
        Message {
            offset: Offset(offset),
            room: RoomId(room),
            seq: Seq(seq),
            author: UserId(1),
            device: DeviceId(1),
            counter: Counter(offset),
            time_ms: TimeMs(0),
            text: "x".repeat(40),
        }
    }

    fn filled() -> Hot {
        let mut hot = Hot::default();
        for n in 1..=10_u64 {
            hot.insert(message(1 + u32::try_from(n % 2).unwrap(), n.div_ceil(2), n));
        }
        hot
    }

    #[test]
    fn nothing_is_dropped_before_a_checkpoint_covers_it() {
        let mut hot = filled();
        hot.saved(Offset(0), 0);
        assert_eq!(hot.by_offset.len(), 10);
        hot.saved(Offset(4), 0);
        assert_eq!(hot.by_offset.front().unwrap().0, Offset(5));
        assert_eq!(hot.unsaved_bytes(), 6 * 200);
        assert_eq!(hot.bytes, 6 * 200);
    }

    #[test]
    fn the_oldest_go_first_and_the_budget_is_kept() {
        let mut hot = filled();
        hot.saved(Offset(10), 3 * 200);
        let kept: Vec<Offset> = hot.by_offset.iter().map(|(offset, ..)| *offset).collect();
        assert_eq!(kept, [8, 9, 10].map(Offset));
        assert_eq!(hot.unsaved_bytes(), 0);
    }

    #[test]
    fn a_cursor_finds_its_place_only_when_all_that_follows_is_here() {
        let mut hot = filled();
        assert_eq!(hot.start_after(RoomId(1), Seq(5), Offset(6)), Some(Seq(4)));
        assert_eq!(hot.start_after(RoomId(1), Seq(5), Offset(0)), Some(Seq(1)));
        hot.saved(Offset(10), 4 * 200);
        assert_eq!(hot.start_after(RoomId(1), Seq(5), Offset(8)), Some(Seq(5)));
        assert_eq!(hot.start_after(RoomId(1), Seq(5), Offset(6)), None);
    }

    #[test]
    fn a_message_put_again_replaces_the_old_one() {
        let mut hot = Hot::default();
        for offset in 1..=5 {
            hot.insert(message(9, 1, offset));
        }
        assert_eq!(hot.by_offset.len(), 1);
        assert_eq!(hot.bytes, 200);
        assert_eq!(hot.get(RoomId(9), Seq(1)).unwrap().offset, Offset(5));
    }
}
