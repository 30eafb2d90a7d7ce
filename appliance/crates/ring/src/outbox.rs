//! What the core wants of the rings in one turn: gathered here, then given to each ring as one
//! batch with one wake-up, so that everything for a connection leaves in one send.
//!
//! News for the same list of sessions, one after another, becomes one bundle: encoded once and
//! sent without a copy. Acks of that time follow the bundle, so that an author sees the message
//! first, as ever; everything else keeps its order.

use std::time::Instant;

use wire::{ServerMessage, SessionId, Targets};

use crate::handle::RingHandle;
use crate::inbox::Command;
use crate::limits::{BATCH_COMMANDS_MAX, BUNDLE_BYTES_MAX, BUNDLE_FRAMES_MAX};
use crate::shared::SharedFrame;

/// Commands of one thread on their way to the rings. What was put in leaves with `flush`, or
/// earlier when a batch is full.
pub struct Outbox {
    rings: RingHandle,
    batches: Vec<Batch>,
}

/// What one ring gets.
#[derive(Default)]
struct Batch {
    commands: Vec<Command>,
    open: Option<Bundle>,
    /// Acks since the bundle was opened.
    acks: Vec<Command>,
}

/// News for the same sessions, to which more may come.
struct Bundle {
    to: Targets,
    news: Vec<SharedFrame>,
    bytes: usize,
}

impl Outbox {
    pub(crate) fn new(rings: RingHandle) -> Self {
        let batches = rings.ports().iter().map(|_| Batch::default()).collect();
        Self { rings, batches }
    }

    /// Sends a frame to sessions; those that are gone are skipped. Waits while a full batch meets
    /// a ring's full queue. With `flush_note` each session reports [`crate::RingEvent::Flushed`],
    /// the frame is never dropped, and fan-out (news with request 0) behind it is taken again
    /// after an overflow.
    pub fn send(&mut self, to: &Targets, frame: &SharedFrame, flush_note: bool) {
        for (ring, to) in to.by_ring() {
            // A session of a ring that does not exist is gone.
            let Some(batch) = self.batches.get_mut(ring) else { continue };
            batch.send(to, frame, flush_note);
            self.flush_if_full(ring);
        }
    }

    /// Sends a last frame, usually `closing`, then closes the session once it is out.
    pub fn close(&mut self, session: SessionId, frame: SharedFrame) {
        self.push(session.ring(), Command::Close { session, frame });
    }

    /// Gives every ring what was put in for it. Waits while a ring's queue is full.
    pub fn flush(&mut self) {
        for ring in 0..self.batches.len() {
            self.flush_ring(ring);
        }
    }

    pub(crate) fn stop(&mut self, frame: &SharedFrame, until: Instant) {
        for ring in 0..self.batches.len() {
            self.push(ring, Command::Stop { frame: frame.clone(), until });
        }
        self.flush();
    }

    fn push(&mut self, ring: usize, command: Command) {
        let Some(batch) = self.batches.get_mut(ring) else { return };
        batch.push(command);
        self.flush_if_full(ring);
    }

    fn flush_if_full(&mut self, ring: usize) {
        if self.batches[ring].commands.len() >= BATCH_COMMANDS_MAX {
            self.flush_ring(ring);
        }
    }

    fn flush_ring(&mut self, ring: usize) {
        let batch = self.batches[ring].take();
        if !batch.is_empty() {
            // A ring that has ended has said `Closed` for all its sessions.
            let _ = self.rings.ports()[ring].outlet.send(batch);
        }
    }
}

impl Batch {
    fn send(&mut self, to: Targets, frame: &SharedFrame, flush_note: bool) {
        let frame = frame.clone();
        if frame.is_news() && !flush_note {
            return self.add_news(to, frame);
        }
        let is_ack = matches!(frame.single(), Some((ServerMessage::Ack(_), _)));
        if is_ack && self.open.is_some() {
            return self.acks.push(Command::Send { to, frame, flush_note });
        }
        self.end_bundle();
        self.commands.push(Command::Send { to, frame, flush_note });
    }

    fn add_news(&mut self, to: Targets, frame: SharedFrame) {
        let bytes = bytes_of(&frame);
        if let Some(open) = &mut self.open
            && open.to.is_same(&to)
            && open.bytes + bytes <= BUNDLE_BYTES_MAX
            && open.news.len() < BUNDLE_FRAMES_MAX
        {
            open.bytes += bytes;
            return open.news.push(frame);
        }
        self.end_bundle();
        self.open = Some(Bundle { to, news: vec![frame], bytes });
    }

    fn push(&mut self, command: Command) {
        self.end_bundle();
        self.commands.push(command);
    }

    fn end_bundle(&mut self) {
        let Some(Bundle { to, mut news, .. }) = self.open.take() else { return };
        let single = if news.len() == 1 { news.pop() } else { None };
        let frame = single.unwrap_or_else(|| SharedFrame::bundle(news));
        self.commands.push(Command::Send { to, frame, flush_note: false });
        self.commands.append(&mut self.acks);
    }

    fn take(&mut self) -> Vec<Command> {
        self.end_bundle();
        std::mem::take(&mut self.commands)
    }
}

/// Bytes of news, roughly: texts count, the rest is small.
fn bytes_of(frame: &SharedFrame) -> usize {
    match frame.single() {
        Some((ServerMessage::Message(message), _)) => 64 + message.text.len(),
        Some((ServerMessage::Room(room), _)) => 64 + room.members.len() * 16,
        _ => 64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use wire::ids::{Counter, Offset, RoomId, Seq, TimeMs};
    use wire::server::{Ack, CaughtUp, Pong};

    fn news(cursor: u64) -> SharedFrame {
        SharedFrame::new(CaughtUp { cursor: Offset(cursor) }, 0)
    }

    fn ack() -> SharedFrame {
        let (counter, offset, room, seq) = (Counter(1), Offset(1), RoomId(1), Seq(1));
        SharedFrame::new(Ack { counter, offset, room, seq, time_ms: TimeMs(1) }, 1)
    }

    fn list(slots: [u32; 2]) -> Targets {
        Targets::many(Arc::new(slots.map(|slot| SessionId::new(0, 0, slot))))
    }

    /// Frames and receivers of every command, in order.
    fn summary(batch: &mut Batch) -> Vec<(u64, usize)> {
        let count = |command: &Command| match command {
            Command::Send { to, frame, .. } => (frame.count(), to.as_slice().len()),
            _ => panic!("nothing else was sent"),
        };
        batch.take().iter().map(count).collect()
    }

    #[test]
    fn news_for_one_list_is_bundled_and_acks_between_follow() {
        let (mut batch, all) = (Batch::default(), list([1, 2]));
        for cursor in 1..=3 {
            batch.send(all.clone(), &news(cursor), false);
            batch.send(Targets::One(SessionId::new(0, 0, 1)), &ack(), false);
        }
        assert_eq!(summary(&mut batch), [(3, 2), (1, 1), (1, 1), (1, 1)]);
    }

    #[test]
    fn other_lists_answers_and_notes_end_a_bundle() {
        let (mut batch, all, others) = (Batch::default(), list([1, 2]), list([1, 2]));
        batch.send(all.clone(), &news(1), false);
        batch.send(others, &news(2), false);
        batch.send(all.clone(), &news(3), false);
        batch.send(all.clone(), &SharedFrame::new(Pong { time_ms: TimeMs(1) }, 1), false);
        batch.send(all.clone(), &news(4), false);
        batch.send(all, &news(5), true);
        assert_eq!(summary(&mut batch), [(1, 2); 6]);
    }

    #[test]
    fn a_bundle_has_a_greatest_size() {
        let (mut batch, all) = (Batch::default(), list([1, 2]));
        for cursor in 0..=BUNDLE_FRAMES_MAX as u64 {
            batch.send(all.clone(), &news(cursor), false);
        }
        assert_eq!(summary(&mut batch), [(BUNDLE_FRAMES_MAX as u64, 2), (1, 2)]);
    }
}
