//! Server messages that are encoded once per encoding, however many sessions get them: one frame,
//! or news for the same sessions bundled into one piece.

use std::sync::{Arc, OnceLock};

use session::slow::is_news;
use wire::{ServerMessage, binary, json};

use crate::websocket;

/// A message and its encodings, shared by reference; or several, one after another.
#[derive(Clone, Debug)]
pub struct SharedFrame(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    content: Content,
    native: OnceLock<Vec<u8>>,
    binary: OnceLock<Vec<u8>>,
    text: OnceLock<Vec<u8>>,
}

#[derive(Debug)]
enum Content {
    One { message: ServerMessage, request: u32 },
    Bundle(Vec<SharedFrame>),
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
        Self::of(Content::One { message: message.into(), request })
    }

    /// Puts news together, in order; all of it is dropped or none.
    pub(crate) fn bundle(news: Vec<Self>) -> Self {
        debug_assert!(news.len() > 1 && news.iter().all(Self::is_news));
        Self::of(Content::Bundle(news))
    }

    fn of(content: Content) -> Self {
        let inner = Inner {
            content,
            native: OnceLock::new(),
            binary: OnceLock::new(),
            text: OnceLock::new(),
        };
        Self(Arc::new(inner))
    }

    /// The message and the number of the frame it answers, or 0; none for a bundle.
    #[must_use]
    pub fn single(&self) -> Option<(&ServerMessage, u32)> {
        match &self.0.content {
            Content::One { message, request } => Some((message, *request)),
            Content::Bundle(_) => None,
        }
    }

    /// Every message in it.
    pub(crate) fn messages(&self) -> impl Iterator<Item = &ServerMessage> {
        let frames = match &self.0.content {
            Content::One { .. } => std::slice::from_ref(self),
            Content::Bundle(frames) => frames,
        };
        frames.iter().filter_map(|frame| frame.single().map(|(message, _)| message))
    }

    /// How many frames it is.
    pub(crate) fn count(&self) -> u64 {
        match &self.0.content {
            Content::One { .. } => 1,
            Content::Bundle(frames) => frames.len() as u64,
        }
    }

    /// Nobody asked for it and a `sync` brings it again, so it may be dropped for a slow session.
    pub(crate) fn is_news(&self) -> bool {
        match &self.0.content {
            Content::One { message, request } => *request == 0 && is_news(message),
            Content::Bundle(_) => true,
        }
    }

    /// The bytes of the native frame, for sessions that are not a ring's.
    #[must_use]
    pub fn native(&self) -> &[u8] {
        self.bytes(Encoding::Native)
    }

    /// The bytes for the socket, WebSocket headers included.
    pub(crate) fn bytes(&self, encoding: Encoding) -> &[u8] {
        let Inner { native, binary, text, .. } = &*self.0;
        let cell = match encoding {
            Encoding::Native => native,
            Encoding::WebSocketBinary => binary,
            Encoding::WebSocketText => text,
        };
        cell.get_or_init(|| self.encode(encoding))
    }

    fn encode(&self, encoding: Encoding) -> Vec<u8> {
        match &self.0.content {
            Content::One { message, request } => encode(message, *request, encoding),
            Content::Bundle(frames) => {
                let parts: Vec<_> = frames.iter().map(|frame| frame.bytes(encoding)).collect();
                parts.concat()
            }
        }
    }
}

fn encode(message: &ServerMessage, request: u32, encoding: Encoding) -> Vec<u8> {
    let mut payload = Vec::with_capacity(FRAME_BYTES_USUAL + text_bytes(message));
    let opcode = match encoding {
        Encoding::Native => {
            binary::write_server(message, request, &mut payload);
            return payload;
        }
        Encoding::WebSocketBinary => {
            binary::write_server(message, request, &mut payload);
            websocket::Opcode::Binary
        }
        Encoding::WebSocketText => {
            json::write_server(message, request, &mut payload);
            websocket::Opcode::Text
        }
    };
    let mut bytes = Vec::with_capacity(payload.len() + websocket::SERVER_HEADER_BYTES_MAX);
    websocket::write_header(opcode, payload.len(), &mut bytes);
    bytes.extend_from_slice(&payload);
    bytes
}

/// Bytes of nearly every frame beside the text of a message; a longer one grows its buffer.
const FRAME_BYTES_USUAL: usize = 64;

const fn text_bytes(message: &ServerMessage) -> usize {
    match message {
        ServerMessage::Message(message) => message.text.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::ids::{Offset, TimeMs};
    use wire::server::{CaughtUp, Pong};

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

    #[test]
    fn a_bundle_is_its_frames_one_after_another_in_every_encoding() {
        let news = |cursor| SharedFrame::new(CaughtUp { cursor: Offset(cursor) }, 0);
        let bundle = SharedFrame::bundle(vec![news(1), news(2), news(3)]);
        assert!(bundle.is_news() && bundle.single().is_none());
        assert_eq!((bundle.count(), bundle.messages().count()), (3, 3));
        for encoding in [Encoding::Native, Encoding::WebSocketBinary, Encoding::WebSocketText] {
            let parts: Vec<_> = (1..=3).map(|at| news(at).bytes(encoding).to_vec()).collect();
            assert_eq!(bundle.bytes(encoding), parts.concat());
        }
    }
}
