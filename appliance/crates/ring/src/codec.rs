//! From bytes to messages, whichever framing and encoding a session speaks; pure.
//!
//! A WebSocket session's frames follow its client: text is JSON, binary is postcard.

use session::answers::{answer, error};
use session::native;
use wire::binary::{FrameError, Header};
use wire::server::{Error, Reason};
use wire::{ClientMessage, json};

use crate::event::Protocol;
use crate::shared::Encoding;
use crate::websocket::{self, CloseCode, Violation};

/// Decoder of one session.
#[derive(Debug)]
pub(crate) enum Codec {
    Native(native::Decoder),
    WebSocket { decoder: websocket::Decoder, binary: bool },
}

/// What a session sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Frame {
        request: u32,
        message: ClientMessage,
    },
    /// A kind that may be skipped, or a pong.
    Nothing,
    /// The frame is bad and this is the answer; the session goes on.
    Refused {
        request: u32,
        error: Error,
    },
    Ping(Vec<u8>),
    Close(Option<u16>),
}

/// Framing is lost: the answer, and the status of the close frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) error: Error,
    pub(crate) code: CloseCode,
}

impl Codec {
    pub(crate) fn new(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Native => Self::Native(native::Decoder::default()),
            Protocol::WebSocket { binary } => {
                Self::WebSocket { decoder: websocket::Decoder::default(), binary }
            }
        }
    }

    /// How frames to this session are written now.
    pub(crate) const fn encoding(&self) -> Encoding {
        match self {
            Self::Native(_) => Encoding::Native,
            Self::WebSocket { binary: true, .. } => Encoding::WebSocketBinary,
            Self::WebSocket { binary: false, .. } => Encoding::WebSocketText,
        }
    }

    pub(crate) const fn is_websocket(&self) -> bool {
        matches!(self, Self::WebSocket { .. })
    }

    /// Takes one frame off the front of `input`; none when it is not whole yet.
    ///
    /// # Errors
    /// When framing is lost.
    pub(crate) fn next(&mut self, input: &mut &[u8], max: usize) -> Result<Option<Step>, Lost> {
        match self {
            Self::Native(decoder) => {
                let received = decoder
                    .next(input, max)
                    .map_err(|error| Lost { error: answer(&error), code: CloseCode::TooBig })?;
                Ok(received.map(native_step))
            }
            Self::WebSocket { decoder, binary } => {
                let received = decoder.next(input, max).map_err(broken)?;
                Ok(received.map(|received| websocket_step(received, binary)))
            }
        }
    }
}

fn native_step(received: native::Received) -> Step {
    let native::Received { request, message } = received;
    match message {
        Ok(Some(message)) => Step::Frame { request, message },
        Ok(None) => Step::Nothing,
        Err(error) => Step::Refused { request, error: answer(&error) },
    }
}

fn websocket_step(received: websocket::Received, binary: &mut bool) -> Step {
    match received {
        websocket::Received::Text(text) => {
            *binary = false;
            text_step(&text)
        }
        websocket::Received::Binary(frame) => {
            *binary = true;
            binary_step(&frame)
        }
        websocket::Received::Ping(payload) => Step::Ping(payload),
        websocket::Received::Pong => Step::Nothing,
        websocket::Received::Close(code) => Step::Close(code),
    }
}

fn text_step(text: &str) -> Step {
    match json::read_client(text) {
        Ok(frame) => match frame.message {
            Some(message) => Step::Frame { request: frame.request, message },
            None => Step::Nothing,
        },
        Err(error) => Step::Refused { request: 0, error: answer(&error) },
    }
}

/// A binary message holds exactly one frame; the message's own length keeps framing.
fn binary_step(message: &[u8]) -> Step {
    match Header::read(message, usize::MAX) {
        Ok(Some(header)) if header.frame_bytes() == message.len() => {
            native_step(native::read(&header, message))
        }
        Ok(header) => {
            let text = "a binary message must hold exactly one frame".to_owned();
            let request = header.map_or(0, |header| header.request);
            Step::Refused { request, error: answer(&FrameError::Malformed(text)) }
        }
        Err(error) => Step::Refused { request: 0, error: answer(&error) },
    }
}

fn broken(violation: Violation) -> Lost {
    let reason = match violation {
        Violation::TooBig { .. } => Reason::TooLong,
        _ => Reason::Malformed,
    };
    Lost { error: error(reason, &violation.to_string()), code: violation.close_code() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use session::answers::TEXT_BYTES_MAX;
    use wire::binary;
    use wire::client::Ping;

    fn refused(step: Step) -> (u32, Reason) {
        let Step::Refused { request, error } = step else { panic!("not refused: {step:?}") };
        (request, error.reason)
    }

    fn ping(request: u32) -> Vec<u8> {
        let mut frame = Vec::new();
        binary::write_client(&Ping {}.into(), request, &mut frame);
        frame
    }

    #[test]
    fn the_encoding_follows_the_clients_newest_frame() {
        let mut binary = false;
        let step = websocket_step(websocket::Received::Binary(ping(3)), &mut binary);
        assert_eq!(step, Step::Frame { request: 3, message: Ping {}.into() });
        assert!(binary);
        let text = r#"{"kind":"ping","request":4,"body":{}}"#.to_owned();
        let step = websocket_step(websocket::Received::Text(text), &mut binary);
        assert_eq!(step, Step::Frame { request: 4, message: Ping {}.into() });
        assert!(!binary);
    }

    #[test]
    fn bad_frames_in_whole_messages_get_an_answer_and_keep_the_session() {
        assert_eq!(refused(text_step("{}")), (0, Reason::Malformed));
        assert_eq!(refused(text_step(r#"{"kind":"x","body":{}}"#)), (0, Reason::UnknownKind));
        assert_eq!(refused(binary_step(&[ping(5), ping(6)].concat())), (5, Reason::Malformed));
        assert_eq!(refused(binary_step(&ping(5)[..8])), (0, Reason::Malformed));
        assert_eq!(refused(binary_step(b"")), (0, Reason::Malformed));
        assert_eq!(refused(binary_step(&[0xff; 4])), (0, Reason::Malformed));
        let mut unknown = ping(7);
        unknown[5] = 0xee;
        assert_eq!(refused(binary_step(&unknown)), (7, Reason::UnknownKind));
    }

    #[test]
    fn an_answer_never_quotes_more_than_its_limit() {
        let name = "ä".repeat(5_000);
        let text = format!(r#"{{"kind":"ping","body":{{"{name}":1}}}}"#);
        let Step::Refused { error, .. } = text_step(&text) else { panic!("taken") };
        assert!(error.text.len() <= TEXT_BYTES_MAX, "{}", error.text.len());
    }
}
