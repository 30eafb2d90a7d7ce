//! Who gets which frame: the floor's only logic, without I/O.

use load::Stamp;

use crate::limits::SESSIONS_MAX;

/// Connections by slot, and what each has not completed.
pub(super) struct Hub {
    is_broadcast: bool,
    frame_bytes: usize,
    /// Slots of all connections.
    members: Vec<u32>,
    /// By slot.
    connections: Vec<Option<Connection>>,
    /// Slot of every session, by its number.
    slots: Vec<Option<u32>>,
}

/// One connection.
#[derive(Clone, Debug, Default)]
struct Connection {
    /// Which session it is, once it said so; the other half of its pair has the other last bit.
    session: Option<u32>,
    /// The beginning of a frame whose end has not come.
    partial: Vec<u8>,
}

impl Hub {
    pub(super) fn new(is_broadcast: bool, frame_bytes: usize) -> Self {
        let (members, connections, slots) = (Vec::new(), Vec::new(), Vec::new());
        Self { is_broadcast, frame_bytes, members, connections, slots }
    }

    pub(super) const fn frame_bytes(&self) -> usize {
        self.frame_bytes
    }

    pub(super) fn joined(&mut self, slot: u32) {
        self.members.push(slot);
        *place(&mut self.connections, slot) = Some(Connection::default());
    }

    pub(super) fn left(&mut self, slot: u32) {
        self.members.retain(|member| *member != slot);
        let left = place(&mut self.connections, slot).take();
        if let Some(session) = left.and_then(|connection| connection.session)
            && *place(&mut self.slots, session) == Some(slot)
        {
            *place(&mut self.slots, session) = None;
        }
    }

    /// Takes what a connection sent. `send` gets each complete frame with the slots it goes to.
    pub(super) fn receive<E>(
        &mut self,
        slot: u32,
        mut bytes: &[u8],
        send: &mut impl FnMut(&[u32], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(connection) = place(&mut self.connections, slot) else { return Ok(()) };
        if !connection.partial.is_empty() {
            let missing = self.frame_bytes - connection.partial.len();
            let (head, rest) = bytes.split_at(missing.min(bytes.len()));
            connection.partial.extend_from_slice(head);
            bytes = rest;
            if connection.partial.len() < self.frame_bytes {
                return Ok(());
            }
            let frame = std::mem::take(&mut connection.partial);
            self.pass(slot, &frame, send)?;
        }
        let frames = bytes.chunks_exact(self.frame_bytes);
        let rest = frames.remainder();
        for frame in frames {
            self.pass(slot, frame, send)?;
        }
        if let (false, Some(connection)) = (rest.is_empty(), place(&mut self.connections, slot)) {
            connection.partial.extend_from_slice(rest);
        }
        Ok(())
    }

    fn pass<E>(
        &mut self,
        slot: u32,
        frame: &[u8],
        send: &mut impl FnMut(&[u32], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(connection) = place(&mut self.connections, slot) else { return Ok(()) };
        let Some(session) = connection.session else {
            let session = Stamp::read(frame).map_or(0, |stamp| stamp.sender % SESSIONS_MAX);
            connection.session = Some(session);
            *place(&mut self.slots, session) = Some(slot);
            return send(&[slot], frame);
        };
        if self.is_broadcast {
            return send(&self.members, frame);
        }
        match *place(&mut self.slots, session ^ 1) {
            Some(other) => send(&[other], frame),
            None => Ok(()),
        }
    }
}

/// The place of a number, made when it is new. Numbers are small: descriptors and sessions.
fn place<T: Clone>(places: &mut Vec<Option<T>>, number: u32) -> &mut Option<T> {
    let number = usize::try_from(number).expect("at least 32 bits");
    if places.len() <= number {
        places.resize(number + 1, None);
    }
    &mut places[number]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    const BYTES: usize = 20;

    fn frame(sender: u32, seq: u32) -> Vec<u8> {
        Stamp { sender, seq }.text(BYTES).into_bytes()
    }

    fn hub(is_broadcast: bool, sessions: u32) -> Hub {
        let mut hub = Hub::new(is_broadcast, BYTES);
        for session in 0..sessions {
            hub.joined(session + 10);
            let sent = receive(&mut hub, session + 10, &frame(session, 0));
            assert_eq!(sent, [(vec![session + 10], frame(session, 0))], "the greeting comes back");
        }
        hub
    }

    fn receive(hub: &mut Hub, slot: u32, bytes: &[u8]) -> Vec<(Vec<u32>, Vec<u8>)> {
        let mut sent = Vec::new();
        let taken: Result<(), Infallible> = hub.receive(slot, bytes, &mut |slots, frame| {
            sent.push((slots.to_vec(), frame.to_vec()));
            Ok(())
        });
        taken.unwrap();
        sent
    }

    #[test]
    fn a_frame_reaches_everybody_or_the_other_half() {
        let mut all = hub(true, 3);
        assert_eq!(receive(&mut all, 11, &frame(1, 7)), [(vec![10, 11, 12], frame(1, 7))]);
        all.left(10);
        assert_eq!(receive(&mut all, 11, &frame(1, 8)), [(vec![11, 12], frame(1, 8))]);
        let mut pairs = hub(false, 4);
        assert_eq!(receive(&mut pairs, 12, &frame(2, 7)), [(vec![13], frame(2, 7))]);
        assert_eq!(receive(&mut pairs, 13, &frame(3, 7)), [(vec![12], frame(3, 7))]);
        pairs.left(12);
        assert_eq!(receive(&mut pairs, 13, &frame(3, 8)), []);
    }

    #[test]
    fn frames_may_arrive_in_any_pieces() {
        let bytes: Vec<u8> = (1..5).flat_map(|seq| frame(0, seq)).collect();
        for size in 1..bytes.len() {
            let mut hub = hub(false, 2);
            let pieces = bytes.chunks(size).flat_map(|piece| receive(&mut hub, 10, piece));
            let frames: Vec<u8> = pieces.flat_map(|(_, frame)| frame).collect();
            assert_eq!(frames, bytes, "pieces of {size}");
        }
    }
}
