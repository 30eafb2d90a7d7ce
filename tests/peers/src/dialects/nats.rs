//! The NATS client protocol, and JetStream's publish acknowledgement by an inbox per message.
//! Source: NATS documentation, "Client Protocol" and "JetStream wire API Reference".

use std::io::Write as _;

use load::{Broken, Dialect, Event, Session, Stamp};

use super::Rooms;

/// Asks for the stream that keeps all rooms; asking again changes nothing.
const STREAM: &str = concat!(
    r#"{"name":"BENCH","subjects":["r.*"],"storage":"file","retention":"limits","#,
    r#""discard":"old","max_consumers":-1,"max_msgs":-1,"max_bytes":-1,"max_age":0,"#,
    r#""num_replicas":1}"#
);

/// Sessions with a NATS server that asks for no password.
pub struct Nats {
    rooms: Rooms,
    payload_bytes: usize,
    is_stream: bool,
}

impl Nats {
    /// With `is_stream`, messages go to a `JetStream` file stream, which acknowledges each.
    #[must_use]
    pub const fn new(rooms: Rooms, payload_bytes: usize, is_stream: bool) -> Self {
        Self { rooms, payload_bytes, is_stream }
    }
}

impl Dialect for Nats {
    fn session(&self, index: u32) -> Box<dyn Session> {
        Box::new(NatsSession {
            index,
            room: self.rooms.room(index),
            payload_bytes: self.payload_bytes,
            is_stream: self.is_stream,
            is_ready: false,
            partial: Vec::new(),
        })
    }

    fn name(&self) -> String {
        if self.is_stream { "jetstream" } else { "nats" }.to_owned()
    }

    fn acks(&self) -> bool {
        self.is_stream
    }

    fn echoes(&self) -> bool {
        self.rooms.echoes()
    }
}

struct NatsSession {
    index: u32,
    room: Option<u32>,
    payload_bytes: usize,
    is_stream: bool,
    is_ready: bool,
    partial: Vec<u8>,
}

impl Session for NatsSession {
    fn start(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":true}\r\n");
        if let Some(room) = self.room {
            let _ = write!(out, "SUB r.{room} 1\r\n");
        }
        if self.is_stream {
            let _ = write!(out, "SUB i.{}.* 2\r\n", self.index);
        }
        if self.makes_stream() {
            let bytes = STREAM.len();
            let _ = write!(out, "PUB $JS.API.STREAM.CREATE.BENCH i.0.made {bytes}\r\n{STREAM}\r\n");
        } else {
            out.extend_from_slice(b"PING\r\n");
        }
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
        while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
            let line = std::str::from_utf8(&rest[..end]).map_err(|_| unexpected("no text"))?;
            let after = &rest[end + 2..];
            match self.take(line, after, out, events)? {
                Some(taken) => rest = &after[taken..],
                None => break,
            }
        }
        self.partial = rest.to_vec();
        Ok(())
    }

    fn publish(&mut self, room: u32, stamp: Stamp, out: &mut Vec<u8>) {
        let bytes = self.payload_bytes;
        let _ = if self.is_stream {
            write!(out, "PUB r.{room} i.{}.{} {bytes}\r\n", stamp.sender, stamp.seq)
        } else {
            write!(out, "PUB r.{room} {bytes}\r\n")
        };
        stamp.write(bytes, out);
        out.extend_from_slice(b"\r\n");
    }

    fn ping(&mut self, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(b"PING\r\n");
        true
    }
}

impl NatsSession {
    const fn makes_stream(&self) -> bool {
        self.is_stream && self.index == 0
    }

    /// Takes a line; how many bytes behind it belong to it, none when they have not all come.
    fn take(
        &mut self,
        line: &str,
        after: &[u8],
        out: &mut Vec<u8>,
        events: &mut Vec<Event>,
    ) -> Result<Option<usize>, Broken> {
        match line.split(' ').next().unwrap_or("") {
            "PING" => out.extend_from_slice(b"PONG\r\n"),
            "PONG" => events.push(if self.is_ready { Event::Pong } else { Event::Ready }),
            "INFO" | "+OK" => return Ok(Some(0)),
            "MSG" => return self.take_message(line, after, events),
            _ => return Err(unexpected(line)),
        }
        self.is_ready |= line == "PONG";
        Ok(Some(0))
    }

    fn take_message(
        &mut self,
        line: &str,
        after: &[u8],
        events: &mut Vec<Event>,
    ) -> Result<Option<usize>, Broken> {
        let mut words = line.split(' ');
        let subject = words.nth(1).ok_or_else(|| unexpected(line))?;
        let bytes = words.next_back().and_then(|word| word.parse::<usize>().ok());
        let bytes = bytes.ok_or_else(|| unexpected(line))?;
        let Some(payload) = after.get(..bytes + 2) else { return Ok(None) };
        if let Some(room) = subject.strip_prefix("r.").and_then(|room| room.parse().ok()) {
            let stamp = Stamp::read(payload).ok_or_else(|| unexpected("no stamp"))?;
            events.push(Event::Delivered { room, stamp });
            return Ok(Some(bytes + 2));
        }
        if payload.windows(7).any(|part| part == b"\"error\"") {
            return Err(unexpected(&String::from_utf8_lossy(payload)));
        }
        events.push(match subject.rsplit('.').next().and_then(|seq| seq.parse().ok()) {
            Some(seq) => Event::Acked { stamp: Some(Stamp { sender: self.index, seq }) },
            None => Event::Ready,
        });
        self.is_ready = true;
        Ok(Some(bytes + 2))
    }
}

fn unexpected(what: &str) -> Broken {
    Broken(format!("the server said: {}", what.chars().take(200).collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialects::testing::{durable_rooms, fanout_rooms, feed_in_pieces};

    #[test]
    fn messages_are_found_in_any_pieces() {
        let stamp = Stamp { sender: 3, seq: 9 };
        let text = stamp.text(40);
        let bytes = format!("INFO {{}} \r\nPONG\r\nMSG r.0 1 40\r\n{text}\r\nPONG\r\n");
        let dialect = Nats::new(fanout_rooms(), 40, false);
        let wanted = [Event::Ready, Event::Delivered { room: 0, stamp }, Event::Pong];
        feed_in_pieces(&dialect, bytes.as_bytes(), &wanted);
    }

    #[test]
    fn a_stream_s_acknowledgement_names_its_message() {
        let bytes =
            "MSG i.0.made 2 2\r\n{}\r\nMSG i.0.7 2 26\r\n{\"stream\":\"BENCH\",\"seq\":1}\r\n";
        let dialect = Nats::new(durable_rooms(), 40, true);
        let stamp = Some(Stamp { sender: 0, seq: 7 });
        feed_in_pieces(&dialect, bytes.as_bytes(), &[Event::Ready, Event::Acked { stamp }]);
    }

    #[test]
    fn an_error_breaks_the_session() {
        for bytes in ["-ERR 'no'\r\n", "MSG i.0.made 2 12\r\n{\"error\":{}}\r\n"] {
            let mut session = Nats::new(durable_rooms(), 40, true).session(0);
            let taken = session.receive(bytes.as_bytes(), &mut Vec::new(), &mut Vec::new());
            assert!(taken.is_err(), "{bytes}");
        }
    }
}
