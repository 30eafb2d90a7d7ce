//! Text messages over WebSocket to a server that publishes by room: `room stamp…`.
//! Source: RFC 6455, chapters 4 and 5.

use std::io::Write as _;

use load::{Broken, Dialect, Event, Session, Stamp};

use super::Rooms;

/// Sessions with `bun.js` beside this file.
pub struct WebSocket {
    rooms: Rooms,
    payload_bytes: usize,
}

impl WebSocket {
    /// Sessions that subscribe to their rooms by the address that they ask for.
    #[must_use]
    pub const fn new(rooms: Rooms, payload_bytes: usize) -> Self {
        Self { rooms, payload_bytes }
    }
}

impl Dialect for WebSocket {
    fn session(&self, index: u32) -> Box<dyn Session> {
        Box::new(WebSocketSession {
            room: self.rooms.room(index),
            payload_bytes: self.payload_bytes,
            is_open: false,
            partial: Vec::new(),
        })
    }

    fn name(&self) -> String {
        "websocket".to_owned()
    }

    fn acks(&self) -> bool {
        false
    }

    fn echoes(&self) -> bool {
        self.rooms.echoes()
    }
}

struct WebSocketSession {
    room: Option<u32>,
    payload_bytes: usize,
    is_open: bool,
    partial: Vec<u8>,
}

const TEXT: u8 = 0x81;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

/// Any mask serves between programs on one machine; this one needs no work.
const MASK: [u8; 4] = [0; 4];

impl Session for WebSocketSession {
    fn start(&mut self, out: &mut Vec<u8>) {
        let room = self.room.map_or_else(String::new, |room| room.to_string());
        let _ = write!(
            out,
            "GET /?room={room} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
    }

    fn receive(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        events: &mut Vec<Event>,
    ) -> Result<(), Broken> {
        let mut bytes = std::mem::take(&mut self.partial);
        bytes.extend_from_slice(input);
        let mut rest = bytes.as_slice();
        if !self.is_open {
            let Some(end) = rest.windows(4).position(|part| part == b"\r\n\r\n") else {
                self.partial = bytes;
                return Ok(());
            };
            if !rest.starts_with(b"HTTP/1.1 101") {
                return Err(Broken("the server does not speak WebSocket".into()));
            }
            (self.is_open, rest) = (true, &rest[end + 4..]);
            events.push(Event::Ready);
        }
        while let Some((head, payload, after)) = split_frame(rest) {
            match head {
                TEXT => events.push(delivered(payload).ok_or_else(|| strange(head))?),
                PING => push_frame(PONG, payload, out),
                PONG => events.push(Event::Pong),
                _ => return Err(strange(head)),
            }
            rest = after;
        }
        self.partial = rest.to_vec();
        Ok(())
    }

    fn publish(&mut self, room: u32, stamp: Stamp, out: &mut Vec<u8>) {
        let mut text = format!("{room} ").into_bytes();
        stamp.write(self.payload_bytes, &mut text);
        push_frame(TEXT, &text, out);
    }

    fn ping(&mut self, out: &mut Vec<u8>) -> bool {
        push_frame(PING, &[], out);
        true
    }
}

fn strange(head: u8) -> Broken {
    Broken(format!("a frame of others ({head:#x})"))
}

fn delivered(payload: &[u8]) -> Option<Event> {
    let space = payload.iter().position(|byte| *byte == b' ')?;
    let room = std::str::from_utf8(&payload[..space]).ok()?.parse().ok()?;
    Some(Event::Delivered { room, stamp: Stamp::read(&payload[space + 1..])? })
}

fn push_frame(head: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(head);
    match u8::try_from(payload.len()) {
        Ok(length) if length < 126 => out.push(0x80 | length),
        _ => {
            out.push(0x80 | 126);
            let length = u16::try_from(payload.len()).expect("payloads are below 64 KiB");
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    out.extend_from_slice(payload);
}

/// Head, payload and what follows; none while the frame is not complete.
fn split_frame(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let ([head, length], rest) = bytes.split_first_chunk::<2>()?;
    let (length, rest) = match length {
        126 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        short => (usize::from(*short), rest),
    };
    let (payload, after) = rest.split_at_checked(length)?;
    Some((*head, payload, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialects::testing::{fanout_rooms, feed_in_pieces};

    #[test]
    fn frames_are_found_in_any_pieces() {
        let stamp = Stamp { sender: 3, seq: 9 };
        let mut bytes = b"HTTP/1.1 101 Switching Protocols\r\nA: b\r\n\r\n".to_vec();
        for length in [40, 300] {
            let text = format!("0 {}", stamp.text(length));
            bytes.push(TEXT);
            if text.len() < 126 {
                bytes.push(u8::try_from(text.len()).unwrap());
            } else {
                bytes.extend_from_slice(&[126, 1, u8::try_from(text.len() - 256).unwrap()]);
            }
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes.extend_from_slice(&[PONG, 0]);
        let delivered = Event::Delivered { room: 0, stamp };
        let dialect = WebSocket::new(fanout_rooms(), 40);
        feed_in_pieces(&dialect, &bytes, &[Event::Ready, delivered, delivered, Event::Pong]);
    }

    #[test]
    fn another_answer_breaks_the_session() {
        let mut session = WebSocket::new(fanout_rooms(), 40).session(0);
        let answer = b"HTTP/1.1 404 Not Found\r\n\r\n";
        assert!(session.receive(answer, &mut Vec::new(), &mut Vec::new()).is_err());
    }
}
