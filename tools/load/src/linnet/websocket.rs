//! The client's side of a WebSocket (RFC 6455) around native frames: one frame a message.

use std::io::Cursor;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use wire::binary::LENGTH_BYTES;
use wire::limits::SERVER_FRAME_BYTES_MAX;

use super::native::Native;
use crate::dialect::{Broken, Event, Session};
use crate::stamp::Stamp;

/// Longest answer to the upgrade: a dozen headers.
const ANSWER_BYTES_MAX: usize = 8 * 1024;

/// A native session in binary messages.
pub(super) struct WebSocket {
    native: Native,
    request: String,
    accept: String,
    open: bool,
    input: Vec<u8>,
    inner_out: Vec<u8>,
    mask: u32,
}

impl WebSocket {
    /// Numbers instead of randomness make keys and masks: they protect proxies, of which there are
    /// none here, and runs can be compared.
    pub(super) fn new(native: Native, index: u32, host: &str) -> Self {
        let mut nonce = [0x6c; 16];
        nonce[..4].copy_from_slice(&index.to_le_bytes());
        let key = STANDARD.encode(nonce);
        let request = format!(
            "GET /ws HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\
             Sec-WebSocket-Protocol: linnet.binary\r\n\r\n"
        );
        Self {
            native,
            request,
            accept: derive_accept_key(key.as_bytes()),
            open: false,
            input: Vec::new(),
            inner_out: Vec::new(),
            mask: 0x9e37_79b9 ^ index,
        }
    }

    /// Takes the answer to the upgrade, once it is complete; tells how many bytes it had.
    fn take_answer(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            let long = bytes.len() > ANSWER_BYTES_MAX;
            return if long {
                Err(Broken("the upgrade's answer never ends".into()))
            } else {
                Ok(0)
            };
        };
        let answer = String::from_utf8_lossy(&bytes[..end]);
        let first = answer.lines().next().unwrap_or_default();
        if !first.starts_with("HTTP/1.1 101") {
            return Err(Broken(format!("the upgrade was answered with: {first}")));
        }
        if header(&answer, "sec-websocket-accept") != Some(&self.accept) {
            return Err(Broken("the upgrade's answer has a wrong accept key".to_owned()));
        }
        self.open = true;
        self.request = String::new();
        self.accept = String::new();
        Ok(end + 4)
    }

    fn take_messages(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        events: &mut Vec<Event>,
    ) -> Result<usize, Broken> {
        let mut used = 0;
        loop {
            let mut cursor = Cursor::new(&bytes[used..]);
            let parsed = FrameHeader::parse(&mut cursor);
            let Some((header, length)) = parsed.map_err(|error| Broken(error.to_string()))? else {
                return Ok(used);
            };
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if length > SERVER_FRAME_BYTES_MAX {
                return Err(Broken(format!("a WebSocket message of {length} bytes")));
            }
            let start = used + usize::try_from(cursor.position()).expect("within the input");
            let Some(payload) = bytes.get(start..start + length) else { return Ok(used) };
            self.take_payload(&header, payload, out, events)?;
            used = start + length;
        }
    }

    fn take_payload(
        &mut self,
        header: &FrameHeader,
        payload: &[u8],
        out: &mut Vec<u8>,
        events: &mut Vec<Event>,
    ) -> Result<(), Broken> {
        match header.opcode {
            OpCode::Data(Data::Binary) if header.is_final => {
                self.native.receive(payload, &mut self.inner_out, events)?;
                self.wrap(out);
                Ok(())
            }
            OpCode::Control(Control::Ping) => {
                self.write(OpCode::Control(Control::Pong), payload, out);
                Ok(())
            }
            OpCode::Control(Control::Pong) => Ok(()),
            OpCode::Control(Control::Close) => {
                let reason = String::from_utf8_lossy(payload.get(2..).unwrap_or_default());
                Err(Broken(format!("the server closed the WebSocket: {reason}")))
            }
            other => Err(Broken(format!("an unexpected WebSocket frame: {other:?}"))),
        }
    }

    /// Puts each native frame that waits into a message of its own.
    fn wrap(&mut self, out: &mut Vec<u8>) {
        let frames = std::mem::take(&mut self.inner_out);
        let mut rest = frames.as_slice();
        while let Some(length) = rest.first_chunk::<LENGTH_BYTES>() {
            let body = usize::try_from(u32::from_le_bytes(*length)).expect("frames are bounded");
            let (frame, behind) = rest.split_at(LENGTH_BYTES + body);
            self.write(OpCode::Data(Data::Binary), frame, out);
            rest = behind;
        }
    }

    fn write(&mut self, opcode: OpCode, payload: &[u8], out: &mut Vec<u8>) {
        self.mask = self.mask.wrapping_mul(0x0019_660d).wrapping_add(0x3c6e_f35f);
        let mask = self.mask.to_le_bytes();
        let header = FrameHeader { opcode, mask: Some(mask), ..FrameHeader::default() };
        let length = u64::try_from(payload.len()).expect("64 bits hold any length");
        header.format(length, out).expect("a Vec takes everything");
        out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    }
}

/// The value of a header, by its lower-case name.
fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let fields = answer.lines().skip(1).filter_map(|line| line.split_once(':'));
    let mut found = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
    found.next().map(|(_, value)| value.trim())
}

impl Session for WebSocket {
    fn start(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.request.as_bytes());
    }

    fn receive(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        events: &mut Vec<Event>,
    ) -> Result<(), Broken> {
        let kept = std::mem::take(&mut self.input);
        let joined = if kept.is_empty() { None } else { Some([kept.as_slice(), input].concat()) };
        let bytes = joined.as_deref().unwrap_or(input);
        let mut used = 0;
        if !self.open {
            used = self.take_answer(bytes)?;
        }
        if self.open {
            used += self.take_messages(&bytes[used..], out, events)?;
        }
        self.input.extend_from_slice(&bytes[used..]);
        Ok(())
    }

    fn publish(&mut self, room: u32, stamp: Stamp, out: &mut Vec<u8>) {
        self.native.publish(room, stamp, &mut self.inner_out);
        self.wrap(out);
    }

    fn ping(&mut self, out: &mut Vec<u8>) -> bool {
        let asked = self.native.ping(&mut self.inner_out);
        self.wrap(out);
        asked
    }

    fn mark_read(&mut self, room: u32, out: &mut Vec<u8>) {
        self.native.mark_read(room, &mut self.inner_out);
        self.wrap(out);
    }
}

#[cfg(test)]
#[path = "websocket_tests.rs"]
mod tests;
