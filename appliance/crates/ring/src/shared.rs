//! A server message that is encoded once per encoding, however many sessions get it.

use std::sync::{Arc, OnceLock};

use wire::{ServerMessage, binary, json};

use crate::websocket;

/// A message and its encodings, shared by reference.
#[derive(Clone, Debug)]
pub struct SharedFrame(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    message: ServerMessage,
    request: u32,
    /// A WebSocket header, then the native frame: both encodings in one.
    binary: OnceLock<Prefixed>,
    text: OnceLock<Prefixed>,
}

#[derive(Debug)]
struct Prefixed {
    bytes: Box<[u8]>,
    header_bytes: usize,
}

/// What a session's frames look like on its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Native,
    WebSocketBinary,
    WebSocketText,
}

impl SharedFrame {
    /// Takes a message; `request` is the number of the frame it answers, or 0.
    #[must_use]
    pub fn new(message: impl Into<ServerMessage>, request: u32) -> Self {
        Self(Arc::new(Inner {
            message: message.into(),
            request,
            binary: OnceLock::new(),
            text: OnceLock::new(),
        }))
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &ServerMessage {
        &self.0.message
    }

    /// The number of the frame it answers, or 0.
    #[must_use]
    pub fn request(&self) -> u32 {
        self.0.request
    }

    /// The bytes for the socket, WebSocket header included.
    pub(crate) fn bytes(&self, encoding: Encoding) -> &[u8] {
        let Inner { message, request, binary, text } = &*self.0;
        match encoding {
            Encoding::WebSocketText => &text.get_or_init(|| encode_text(message, *request)).bytes,
            Encoding::WebSocketBinary => {
                &binary.get_or_init(|| encode_binary(message, *request)).bytes
            }
            Encoding::Native => {
                let frame = binary.get_or_init(|| encode_binary(message, *request));
                &frame.bytes[frame.header_bytes..]
            }
        }
    }
}

fn encode_text(message: &ServerMessage, request: u32) -> Prefixed {
    let mut payload = Vec::new();
    json::write_server(message, request, &mut payload);
    prefix(websocket::Opcode::Text, &payload)
}

fn encode_binary(message: &ServerMessage, request: u32) -> Prefixed {
    let mut payload = Vec::new();
    binary::write_server(message, request, &mut payload);
    prefix(websocket::Opcode::Binary, &payload)
}

fn prefix(opcode: websocket::Opcode, payload: &[u8]) -> Prefixed {
    let mut bytes = Vec::with_capacity(payload.len() + websocket::SERVER_HEADER_BYTES_MAX);
    websocket::write_header(opcode, payload.len(), &mut bytes);
    let header_bytes = bytes.len();
    bytes.extend_from_slice(payload);
    Prefixed { bytes: bytes.into(), header_bytes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::ids::TimeMs;
    use wire::server::Pong;

    #[test]
    fn all_encodings_decode_to_the_message_and_are_made_once() {
        let pong = Pong { time_ms: TimeMs(5) };
        let frame = SharedFrame::new(pong.clone(), 9);
        let native = frame.bytes(Encoding::Native);
        let (read, used) = binary::read_server(native).unwrap().unwrap();
        assert_eq!((read.request, read.message), (9, Some(ServerMessage::Pong(pong.clone()))));
        assert_eq!(used, native.len());
        assert_eq!(&frame.bytes(Encoding::WebSocketBinary)[2..], native);
        let text = std::str::from_utf8(&frame.bytes(Encoding::WebSocketText)[2..]).unwrap();
        assert_eq!(json::read_server(text).unwrap().message, Some(ServerMessage::Pong(pong)));
        assert_eq!(native.as_ptr(), frame.clone().bytes(Encoding::Native).as_ptr());
    }
}
