//! MQTT 3.1.1 as far as a client needs it: connect, subscribe, publish with QoS 0 or 1, ping.
//! Source: OASIS MQTT Version 3.1.1, chapters 2 and 3.

use load::{Broken, Dialect, Event, Session, Stamp};

use super::Rooms;

const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
const PUBLISH: u8 = 0x30;
const PUBACK: u8 = 0x40;
const SUBSCRIBE: u8 = 0x82;
const SUBACK: u8 = 0x90;
const PINGREQ: u8 = 0xc0;
const PINGRESP: u8 = 0xd0;

/// Sessions with an MQTT broker that asks for no password.
pub struct Mqtt {
    rooms: Rooms,
    payload_bytes: usize,
    acks: bool,
}

impl Mqtt {
    /// With `acks`, messages are published with QoS 1. Deliveries always have QoS 0.
    #[must_use]
    pub const fn new(rooms: Rooms, payload_bytes: usize, acks: bool) -> Self {
        Self { rooms, payload_bytes, acks }
    }
}

impl Dialect for Mqtt {
    fn session(&self, index: u32) -> Box<dyn Session> {
        Box::new(MqttSession {
            index,
            room: self.rooms.room(index),
            payload_bytes: self.payload_bytes,
            acks: self.acks,
            packet: 0,
            partial: Vec::new(),
        })
    }

    fn name(&self) -> String {
        if self.acks { "mqtt-qos1" } else { "mqtt-qos0" }.to_owned()
    }

    fn acks(&self) -> bool {
        self.acks
    }

    fn echoes(&self) -> bool {
        self.rooms.echoes()
    }
}

struct MqttSession {
    index: u32,
    room: Option<u32>,
    payload_bytes: usize,
    acks: bool,
    /// Number of the last QoS 1 packet; 0 is not allowed.
    packet: u16,
    partial: Vec<u8>,
}

impl Session for MqttSession {
    fn start(&mut self, out: &mut Vec<u8>) {
        let mut body = b"\0\x04MQTT\x04\x02\0\0".to_vec(); // level 4, clean session, no keep-alive
        push_text(&format!("b{}", self.index), &mut body);
        push_packet(CONNECT, &body, out);
        if let Some(room) = self.room {
            let mut body = vec![0, 1];
            push_text(&topic(room), &mut body);
            body.push(0);
            push_packet(SUBSCRIBE, &body, out);
        }
    }

    fn receive(
        &mut self,
        input: &[u8],
        _out: &mut Vec<u8>,
        events: &mut Vec<Event>,
    ) -> Result<(), Broken> {
        let mut bytes = std::mem::take(&mut self.partial);
        bytes.extend_from_slice(input);
        let mut rest = bytes.as_slice();
        while let Some((head, body, after)) = split_packet(rest)? {
            self.take(head, body, events)?;
            rest = after;
        }
        self.partial = rest.to_vec();
        Ok(())
    }

    fn publish(&mut self, room: u32, stamp: Stamp, out: &mut Vec<u8>) {
        let mut body = Vec::with_capacity(self.payload_bytes + 16);
        push_text(&topic(room), &mut body);
        if self.acks {
            self.packet = self.packet.checked_add(1).unwrap_or(1);
            body.extend_from_slice(&self.packet.to_be_bytes());
        }
        stamp.write(self.payload_bytes, &mut body);
        push_packet(PUBLISH | u8::from(self.acks) << 1, &body, out);
    }

    fn ping(&mut self, out: &mut Vec<u8>) -> bool {
        push_packet(PINGREQ, &[], out);
        true
    }
}

impl MqttSession {
    fn take(&self, head: u8, body: &[u8], events: &mut Vec<Event>) -> Result<(), Broken> {
        match head & 0xf0 {
            CONNACK if body.get(1) != Some(&0) => Err(Broken("the broker refused".into())),
            CONNACK if self.room.is_none() => {
                events.push(Event::Ready);
                Ok(())
            }
            CONNACK => Ok(()),
            SUBACK if body.get(2) == Some(&0x80) => Err(Broken("no subscription".into())),
            SUBACK => {
                events.push(Event::Ready);
                Ok(())
            }
            PUBACK => {
                events.push(Event::Acked { stamp: None });
                Ok(())
            }
            PINGRESP => {
                events.push(Event::Pong);
                Ok(())
            }
            PUBLISH => {
                events.push(delivered(body).ok_or_else(|| Broken("a message of others".into()))?);
                Ok(())
            }
            other => Err(Broken(format!("packet type {other:#x}"))),
        }
    }
}

fn topic(room: u32) -> String {
    format!("r/{room}")
}

fn delivered(body: &[u8]) -> Option<Event> {
    let (length, rest) = body.split_first_chunk::<2>()?;
    let (topic, payload) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let room = std::str::from_utf8(topic).ok()?.strip_prefix("r/")?.parse().ok()?;
    Some(Event::Delivered { room, stamp: Stamp::read(payload)? })
}

fn push_text(text: &str, out: &mut Vec<u8>) {
    let length = u16::try_from(text.len()).expect("names are short");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn push_packet(head: u8, body: &[u8], out: &mut Vec<u8>) {
    out.push(head);
    let mut length = body.len();
    loop {
        let digit = u8::try_from(length % 128).expect("below 128");
        length /= 128;
        out.push(if length > 0 { digit | 0x80 } else { digit });
        if length == 0 {
            break;
        }
    }
    out.extend_from_slice(body);
}

/// Head, body and what follows.
type Packet<'a> = (u8, &'a [u8], &'a [u8]);

/// The first packet; none while the packet is not complete.
fn split_packet(bytes: &[u8]) -> Result<Option<Packet<'_>>, Broken> {
    let Some((head, mut rest)) = bytes.split_first() else { return Ok(None) };
    let (mut length, mut shift) = (0, 0);
    loop {
        let Some((digit, after)) = rest.split_first() else { return Ok(None) };
        length |= usize::from(digit & 0x7f) << shift;
        rest = after;
        if digit & 0x80 == 0 {
            break;
        }
        shift += 7;
        if shift > 21 {
            return Err(Broken("a packet without a length".into()));
        }
    }
    Ok(rest.split_at_checked(length).map(|(body, after)| (*head, body, after)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialects::testing::{fanout_rooms, feed_in_pieces};

    #[test]
    fn a_broker_s_answers_are_understood_in_any_pieces() {
        let stamp = Stamp { sender: 3, seq: 9 };
        let mut message = b"\0\x03r/0".to_vec();
        stamp.write(200, &mut message);
        let mut bytes = b"\x20\x02\0\0\x90\x03\0\x01\0".to_vec();
        push_packet(PUBLISH, &message, &mut bytes);
        bytes.extend_from_slice(b"\x40\x02\0\x01\xd0\0");
        let dialect = Mqtt::new(fanout_rooms(), 200, true);
        let wanted = [
            Event::Ready,
            Event::Delivered { room: 0, stamp },
            Event::Acked { stamp: None },
            Event::Pong,
        ];
        feed_in_pieces(&dialect, &bytes, &wanted);
    }

    #[test]
    fn a_refusal_breaks_the_session() {
        let mut session = Mqtt::new(fanout_rooms(), 100, false).session(0);
        assert!(session.receive(b"\x20\x02\0\x05", &mut Vec::new(), &mut Vec::new()).is_err());
    }

    #[test]
    fn a_published_message_is_what_subscribers_read() {
        let mut session = Mqtt::new(fanout_rooms(), 300, false).session(0);
        let (mut out, stamp) = (Vec::new(), Stamp { sender: 1, seq: 2 });
        session.publish(17, stamp, &mut out);
        let (head, body, after) = split_packet(&out).unwrap().unwrap();
        assert_eq!((head, after.len()), (PUBLISH, 0));
        assert_eq!(delivered(body), Some(Event::Delivered { room: 17, stamp }));
    }
}
