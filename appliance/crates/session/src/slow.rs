//! The rules for a reader that is slow.
//!
//! Over the cap fan-out (news with request 0) is dropped and the core hears so once; a frame with
//! a flush note always passes and opens the queue for fan-out again, because the core sends one
//! only where it covers what was dropped. Answers and `room_at` always pass.

use wire::ServerMessage;

/// Byte caps of a session.
#[derive(Clone, Copy, Debug)]
pub struct Caps {
    /// Queued bytes above which fan-out is dropped.
    pub soft: usize,
    /// Queued bytes above which the session is closed.
    pub hard: usize,
}

/// What a queue has to know of a frame.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Nobody asked for it, and a `sync` brings it again.
    pub fan_out: bool,
    /// The core wants to hear when it is out.
    pub flush_note: bool,
    /// Its length.
    pub bytes: usize,
}

/// What becomes of an offered frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// It is to be queued.
    Queued,
    /// It is dropped, and the first one: tell the core.
    Overflowed,
    /// It is dropped.
    Dropped,
    /// Even what must not be dropped is too much: close the session.
    TooSlow,
}

/// Whether fan-out is dropped until the next flush note.
#[derive(Clone, Copy, Debug, Default)]
pub struct Overflow(bool);

impl Overflow {
    /// Decides about a frame for a session that has `queued` bytes waiting.
    #[inline]
    pub fn decide(&mut self, frame: Facts, queued: usize, caps: Caps) -> Offer {
        let fan_out = frame.fan_out && !frame.flush_note;
        if fan_out && (self.0 || queued >= caps.soft) {
            let first = !std::mem::replace(&mut self.0, true);
            return if first { Offer::Overflowed } else { Offer::Dropped };
        }
        if queued + frame.bytes > caps.hard {
            return Offer::TooSlow;
        }
        self.0 &= !frame.flush_note;
        Offer::Queued
    }
}

/// What a `sync` brings again. Answers are no news, whether the client numbered its request or
/// not, nor are the first and last frame and the notes that stand for what was dropped.
#[inline]
#[must_use]
pub const fn is_news(message: &ServerMessage) -> bool {
    use ServerMessage as M;
    match message {
        M::User(_) | M::Room(_) | M::RoomGone(_) | M::MemberChange(_) | M::Message(_) => true,
        M::ReadMark(_) | M::CaughtUp(_) | M::MembersChanged(_) => true,
        M::Greeting(_) | M::Welcome(_) | M::Ack(_) | M::Refused(_) | M::AlreadyApplied(_) => false,
        M::Error(_) | M::RoomAt(_) | M::HistoryPage(_) | M::Pong(_) | M::Closing(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPS: Caps = Caps { soft: 40, hard: 100 };

    fn facts(fan_out: bool, flush_note: bool) -> Facts {
        Facts { fan_out, flush_note, bytes: 10 }
    }

    #[test]
    fn fan_out_over_the_cap_is_dropped_until_a_flush_note() {
        let mut overflow = Overflow::default();
        let (news, answer, note) = (facts(true, false), facts(false, false), facts(true, true));
        assert_eq!(overflow.decide(news, 39, CAPS), Offer::Queued);
        assert_eq!(overflow.decide(news, 40, CAPS), Offer::Overflowed);
        assert_eq!(overflow.decide(news, 40, CAPS), Offer::Dropped);
        assert_eq!(overflow.decide(news, 0, CAPS), Offer::Dropped, "drained is not enough");
        assert_eq!(overflow.decide(answer, 0, CAPS), Offer::Queued);
        assert_eq!(overflow.decide(note, 90, CAPS), Offer::Queued);
        assert_eq!(overflow.decide(news, 0, CAPS), Offer::Queued);
    }

    #[test]
    fn what_must_not_be_dropped_passes_up_to_the_hard_cap() {
        let mut overflow = Overflow::default();
        assert_eq!(overflow.decide(facts(false, false), 90, CAPS), Offer::Queued);
        assert_eq!(overflow.decide(facts(false, false), 91, CAPS), Offer::TooSlow);
        assert_eq!(overflow.decide(facts(true, true), 91, CAPS), Offer::TooSlow);
    }
}
