//! A server message as it leaves here: native bytes, and what a queue has to know of them.

use bytes::Bytes;
use session::pace::AskedPages;
use session::slow::{Facts, is_news};
use wire::{ServerMessage, binary};

/// A frame, shared by reference: with quinn too, until the peer acknowledged it.
#[derive(Clone, Debug)]
pub struct Frame {
    bytes: Bytes,
    request: u32,
    news: bool,
    welcome: bool,
    may_answer: bool,
}

impl Frame {
    /// Encodes a message; `request` is the number of the frame it answers, or 0.
    #[must_use]
    pub fn new(message: impl Into<ServerMessage>, request: u32) -> Self {
        let (message, mut bytes) = (message.into(), Vec::new());
        binary::write_server(&message, request, &mut bytes);
        Self::encoded(&message, request, bytes.into())
    }

    /// Takes a message that was encoded elsewhere as a native frame.
    #[must_use]
    pub fn encoded(message: &ServerMessage, request: u32, bytes: Bytes) -> Self {
        Self {
            bytes,
            request,
            news: is_news(message),
            welcome: matches!(message, ServerMessage::Welcome(_)),
            may_answer: AskedPages::may_answer(message),
        }
    }

    /// The native frame.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub(crate) fn facts(&self, flush_note: bool) -> Facts {
        let fan_out = self.request == 0 && self.news;
        Facts { fan_out, flush_note, bytes: self.bytes.len() }
    }

    /// Somebody signed in.
    pub(crate) const fn is_welcome(&self) -> bool {
        self.welcome
    }

    /// The request for a page that this ends, if it was one.
    pub(crate) fn answered_page(&self) -> Option<u32> {
        self.may_answer.then_some(self.request)
    }
}
