//! What a session is told by the thread that holds it, not by the core.

use wire::FrameError;
use wire::server::{Closing, Error, Reason};

use crate::limits::RETRY_AFTER_MS;

/// Bytes of an error's sentence: serde quotes unknown field names, which the peer chose.
pub const TEXT_BYTES_MAX: usize = 256;

/// The answer to a frame that could not be read.
#[must_use]
pub fn answer(error: &FrameError) -> Error {
    let reason = match error {
        FrameError::TooLong { .. } => Reason::TooLong,
        FrameError::UnknownKind(_) => Reason::UnknownKind,
        FrameError::TooShort(_) | FrameError::Malformed(_) | FrameError::Body(_) => {
            Reason::Malformed
        }
    };
    self::error(reason, &error.to_string())
}

/// An error; the sentence is cut to [`TEXT_BYTES_MAX`].
#[must_use]
pub fn error(reason: Reason, text: &str) -> Error {
    let end = |(at, character): (usize, char)| at + character.len_utf8();
    let ends = text.char_indices().map(end).take_while(|end| *end <= TEXT_BYTES_MAX);
    Error {
        reason,
        field: String::new(),
        text: text[..ends.last().unwrap_or(0)].to_owned(),
        retry_after_ms: None,
        expected: None,
    }
}

/// The answer to whoever sends more than `hello` needs before it said it.
#[must_use]
pub fn too_much_before_hello() -> Error {
    error(Reason::TooLong, "too much was sent before hello was answered")
}

/// What clients are told when sessions end because nobody listens to them any more.
#[must_use]
pub fn closing() -> Closing {
    Closing {
        reason: Reason::ShuttingDown,
        text: "the box is restarting".to_owned(),
        retry_after_ms: Some(RETRY_AFTER_MS),
    }
}
