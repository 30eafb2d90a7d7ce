//! Bytes that mean harm: whatever one client sends, the others are served.

use std::io::{Read, Write};

use linnet_ring::{Protocol, RingEvent};

use crate::rig::*;

/// A small generator (xorshift64): the same bytes in every run.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next().to_le_bytes()[3]).collect()
    }
}

/// Valid frames with some bytes turned, or plain noise.
fn harm(noise: &mut Noise, protocol: Protocol) -> Vec<u8> {
    let frame = match protocol {
        Protocol::Native => native(&send_text("harm"), 1),
        Protocol::WebSocket { .. } => text(&send_text("harm"), 1),
    };
    let mut bytes = frame.repeat(5);
    for _ in 0..noise.next() % 6 {
        let at = usize::try_from(noise.next()).unwrap() % bytes.len();
        bytes[at] ^= noise.bytes(1)[0];
    }
    if noise.next().is_multiple_of(4) {
        let count = usize::try_from(noise.next() % 3_000).unwrap();
        return noise.bytes(count);
    }
    bytes
}

#[test]
fn noise_from_many_clients_hurts_nobody_else() {
    let Some(rig) = Rig::start(small()) else { return };
    let (mut good, good_session) = rig.adopt(Protocol::Native);
    let mut noise = Noise(0x6c69_6e6e_6574);
    for round in 0..300 {
        let protocol = if round % 2 == 0 { TEXT } else { Protocol::Native };
        let (mut client, session) = rig.adopt(protocol);
        let _ = client.write_all(&harm(&mut noise, protocol));
        let _ = client.shutdown(std::net::Shutdown::Write);
        while rig.event_of(session) {}
        let mut rest = Vec::new();
        let _ = client.read_to_end(&mut rest);
        assert!(rest.len() < 64 * 1024, "answers are bounded");
    }
    write(&mut good, &native(&ping(), 9));
    assert_eq!(rig.frame(), (good_session, 9, ping()));
    until("all are gone", || rig.handle.stats().connections == 1);
}

impl Rig {
    /// Takes one event, which must be of this session; false when it is closed.
    fn event_of(&self, expected: linnet_ring::SessionId) -> bool {
        match self.event() {
            RingEvent::Frame { session, .. } => {
                assert_eq!(session, expected);
                true
            }
            RingEvent::Closed { session, .. } => {
                assert_eq!(session, expected);
                false
            }
            other => panic!("{other:?}"),
        }
    }
}
