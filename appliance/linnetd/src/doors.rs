//! Where sessions live, rings and QUIC, as the core sees them: one kind of event, one way to send.
//! The two crates meet here only.

use bytes::Bytes;
use quic::{CloseReason, Event, Frame};
use ring::{RingEvent, SharedFrame};
use wire::{SessionId, Targets};

/// RING as a session's id gives it.
const QUIC: usize = quic::limits::RING as usize;

/// What one turn has for the sessions, whoever holds them. It leaves with `flush`.
pub(crate) struct Doors {
    pub(crate) rings: ring::Outbox,
    pub(crate) quic: quic::Outbox,
}

impl Doors {
    /// Sends a frame to sessions. Waits while a full batch meets a full queue.
    pub(crate) fn send(&mut self, to: &Targets, frame: &SharedFrame, flush_note: bool) {
        // Targets ascend, and QUIC has the highest number.
        if to.as_slice().last().is_some_and(|session| session.ring() == QUIC) {
            let part = to.by_ring().last().map(|(_, part)| part);
            self.quic.send(part.expect("it has a session"), native(frame), flush_note);
        }
        self.rings.send(to, frame, flush_note);
    }

    /// Sends a last frame, then closes the session once it is out.
    pub(crate) fn close(&mut self, session: SessionId, frame: SharedFrame) {
        match session.ring() {
            QUIC => self.quic.close(session, native(&frame)),
            _ => self.rings.close(session, frame),
        }
    }

    /// At the end of a turn.
    pub(crate) fn flush(&mut self) {
        self.rings.flush();
        self.quic.flush();
    }
}

/// The rings' frame with its native bytes, which both share.
fn native(frame: &SharedFrame) -> Frame {
    struct Native(SharedFrame);
    impl AsRef<[u8]> for Native {
        fn as_ref(&self) -> &[u8] {
            self.0.native()
        }
    }
    let bytes = Bytes::from_owner(Native(frame.clone()));
    let (message, request) = frame.single().expect("rings bundle, the core does not");
    Frame::encoded(message, request, bytes)
}

/// An event of QUIC's as one of the rings'.
pub(crate) fn as_ring_event(event: Event) -> RingEvent {
    match event {
        Event::Connected { session, peer } => RingEvent::Connected { session, peer },
        Event::Frame { session, request, message } => {
            RingEvent::Frame { session, request, message }
        }
        Event::Flushed { session } => RingEvent::Flushed { session },
        Event::Overflowed { session } => RingEvent::Overflowed { session },
        Event::Closed { session, reason } => {
            RingEvent::Closed { session, reason: as_ring_reason(reason) }
        }
    }
}

fn as_ring_reason(reason: CloseReason) -> ring::CloseReason {
    match reason {
        CloseReason::Peer => ring::CloseReason::Peer,
        CloseReason::Lost => ring::CloseReason::Lost,
        CloseReason::Dead => ring::CloseReason::Dead,
        CloseReason::Violation => ring::CloseReason::Violation,
        CloseReason::TooSlow => ring::CloseReason::TooSlow,
        CloseReason::Asked => ring::CloseReason::Asked,
        CloseReason::ShuttingDown => ring::CloseReason::ShuttingDown,
    }
}

// No ring has the number of QUIC's sessions.
const _: () = assert!(ring::limits::RINGS_MAX <= QUIC);

#[cfg(test)]
mod tests {
    use super::*;
    use wire::ids::TimeMs;
    use wire::server::Pong;

    #[test]
    fn quic_gets_the_very_bytes_that_rings_send() {
        let frame = SharedFrame::new(Pong { time_ms: TimeMs(5) }, 9);
        let own = Frame::new(Pong { time_ms: TimeMs(5) }, 9);
        assert_eq!(native(&frame).bytes(), own.bytes());
        assert_eq!(native(&frame).bytes().as_ptr(), frame.native().as_ptr());
    }
}
