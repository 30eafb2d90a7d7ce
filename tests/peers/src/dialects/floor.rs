//! The floor's frames: fixed size, a stamp at the start; the first one is a greeting.

use load::{Broken, Dialect, Event, STAMP_BYTES, Session, Stamp};

use crate::floor::Mode;

/// Sessions with a floor.
pub struct Floor {
    mode: Mode,
    frame_bytes: usize,
}

impl Floor {
    /// Frames of this many bytes, at least a stamp's, with a floor in this mode.
    #[must_use]
    pub fn new(mode: Mode, frame_bytes: usize) -> Self {
        assert!(frame_bytes >= STAMP_BYTES, "a frame holds a stamp");
        Self { mode, frame_bytes }
    }
}

impl Dialect for Floor {
    fn session(&self, index: u32) -> Box<dyn Session> {
        let is_broadcast = self.mode.is_broadcast();
        let (frame_bytes, partial) = (self.frame_bytes, Vec::new());
        Box::new(FloorSession { index, is_broadcast, frame_bytes, partial, is_ready: false })
    }

    fn name(&self) -> String {
        format!("floor-{}", self.mode.name())
    }

    fn acks(&self) -> bool {
        false
    }

    fn echoes(&self) -> bool {
        self.mode.is_broadcast()
    }
}

struct FloorSession {
    index: u32,
    is_broadcast: bool,
    frame_bytes: usize,
    /// The beginning of a frame whose end has not come.
    partial: Vec<u8>,
    is_ready: bool,
}

impl FloorSession {
    fn take(&mut self, frame: &[u8], events: &mut Vec<Event>) -> Result<(), Broken> {
        let stamp = Stamp::read(frame).ok_or_else(|| Broken("a frame without a stamp".into()))?;
        if self.is_ready {
            events.push(Event::Delivered { room: self.room(stamp.sender), stamp });
        } else {
            self.is_ready = true;
            events.push(Event::Ready);
        }
        Ok(())
    }

    /// The only room of a broadcasting floor is the big one of a synthetic layout; a pair's room
    /// follows from its sessions.
    fn room(&self, sender: u32) -> u32 {
        if self.is_broadcast { 0 } else { sender / 2 }
    }
}

impl Session for FloorSession {
    fn start(&mut self, out: &mut Vec<u8>) {
        Stamp { sender: self.index, seq: 0 }.write(self.frame_bytes, out);
    }

    fn receive(
        &mut self,
        input: &[u8],
        _out: &mut Vec<u8>,
        events: &mut Vec<Event>,
    ) -> Result<(), Broken> {
        let mut partial = std::mem::take(&mut self.partial);
        partial.extend_from_slice(input);
        let frames = partial.chunks_exact(self.frame_bytes);
        self.partial = frames.remainder().to_vec();
        for frame in frames {
            self.take(frame, events)?;
        }
        Ok(())
    }

    fn publish(&mut self, _room: u32, stamp: Stamp, out: &mut Vec<u8>) {
        stamp.write(self.frame_bytes, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_in_any_pieces() {
        let mut session = Floor::new(Mode::UringBroadcast, 40).session(5);
        let mut bytes = Vec::new();
        session.start(&mut bytes);
        let stamps = [Stamp { sender: 1, seq: 2 }, Stamp { sender: 7, seq: 0 }];
        stamps.iter().for_each(|stamp| session.publish(0, *stamp, &mut bytes));
        let wanted: Vec<Event> = std::iter::once(Event::Ready)
            .chain(stamps.map(|stamp| Event::Delivered { room: 0, stamp }))
            .collect();
        for size in 1..=bytes.len() {
            let mut session = Floor::new(Mode::UringBroadcast, 40).session(5);
            let (mut out, mut events) = (Vec::new(), Vec::new());
            for piece in bytes.chunks(size) {
                session.receive(piece, &mut out, &mut events).unwrap();
            }
            assert_eq!(events, wanted, "pieces of {size}");
        }
    }

    #[test]
    fn a_frame_without_a_stamp_breaks_the_session() {
        let mut session = Floor::new(Mode::EpollPairs, 40).session(5);
        let broken = session.receive(&[b'x'; 40], &mut Vec::new(), &mut Vec::new());
        assert!(broken.is_err());
    }
}
