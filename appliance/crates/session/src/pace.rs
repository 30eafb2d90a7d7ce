//! How fast one session may ask, and how many long answers it may have under way.
//!
//! A session that is ahead of its pace is not read from until time has caught up, so TCP slows its
//! sender. Refusing instead would cost decoding, an answer and its encryption for every frame of a
//! flood, and every client would have to repeat what it asked; holding back costs nothing, and
//! nothing is lost.

use std::time::{Duration, Instant};

use wire::{ClientMessage, ServerMessage};

use crate::limits::{
    ASKED_PAGES_MAX, DEAR_WORK_BYTES, REQUEST_WORK_BYTES, SESSION_BURST_DEFAULT,
    SESSION_WORK_PER_SECOND_DEFAULT,
};

/// How much work one session may cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaceConfig {
    /// Bytes of work per second, not 0; a small request counts as
    /// [`REQUEST_WORK_BYTES`](crate::limits::REQUEST_WORK_BYTES) beside its own length.
    pub work_per_second: u32,
    /// How far ahead of that pace it may be.
    pub burst: Duration,
}

impl Default for PaceConfig {
    fn default() -> Self {
        Self { work_per_second: SESSION_WORK_PER_SECOND_DEFAULT, burst: SESSION_BURST_DEFAULT }
    }
}

/// The pace of one session (GCRA, ITU-T I.371): when all that it asked for would be due.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    due: Instant,
}

impl Pace {
    /// A session that asked for nothing yet.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self { due: now }
    }

    /// Whether the session may ask for more now.
    #[inline]
    #[must_use]
    pub fn admits(self, now: Instant, config: PaceConfig) -> bool {
        self.wait(now, config).is_zero()
    }

    /// How long until the session may ask for more.
    #[inline]
    #[must_use]
    pub fn wait(self, now: Instant, config: PaceConfig) -> Duration {
        self.due.saturating_duration_since(now).saturating_sub(config.burst)
    }

    /// Notes work, be it more than the session may cause at once.
    #[inline]
    pub fn spend(&mut self, work_bytes: usize, now: Instant, config: PaceConfig) {
        let nanos = work_bytes as u64 * 1_000_000_000 / u64::from(config.work_per_second);
        self.due = self.due.max(now) + Duration::from_nanos(nanos);
    }
}

/// What a message costs beside its own length.
#[inline]
#[must_use]
pub const fn work_of(message: &ClientMessage) -> usize {
    match message {
        // They look at many rooms or messages, and at the card.
        ClientMessage::Hello(_) | ClientMessage::Sync(_) | ClientMessage::ReadHistory(_) => {
            DEAR_WORK_BYTES
        }
        _ => REQUEST_WORK_BYTES,
    }
}

/// History pages that a session asked for and that are not in its queue yet. The first page that
/// it takes may be long, so it gets no more of them under way than its queue can hold.
#[derive(Clone, Copy, Debug, Default)]
pub struct AskedPages {
    requests: [u32; ASKED_PAGES_MAX],
    count: usize,
}

impl AskedPages {
    /// Nothing more is decoded until a page came.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.count == ASKED_PAGES_MAX
    }

    /// A request went to the core.
    pub fn ask(&mut self, request: u32, message: &ClientMessage) {
        if matches!(message, ClientMessage::ReadHistory(_)) && !self.is_full() {
            self.requests[self.count] = request;
            self.count += 1;
        }
    }

    /// Whether a message may be the answer to a request for a page.
    #[must_use]
    pub const fn may_answer(message: &ServerMessage) -> bool {
        matches!(message, ServerMessage::HistoryPage(_) | ServerMessage::Error(_))
    }

    /// An answer came: a page, or why there is none.
    #[inline]
    pub fn answer(&mut self, request: u32, message: &ServerMessage) {
        if Self::may_answer(message) {
            self.answered(request);
        }
    }

    /// An answer for which [`Self::may_answer`] is true came.
    pub fn answered(&mut self, request: u32) {
        let asked = self.requests[..self.count].iter().position(|asked| *asked == request);
        if let Some(at) = asked {
            self.count -= 1;
            self.requests.swap(at, self.count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::client::{Ping, ReadHistory};
    use wire::ids::{RoomId, TimeMs};
    use wire::server::{HistoryPage, Pong};

    const CONFIG: PaceConfig =
        PaceConfig { work_per_second: 1_000_000, burst: Duration::from_secs(2) };

    #[test]
    fn a_burst_passes_then_the_pace_holds_for_ever() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let taken = |pace: &mut Pace, now| {
            let mut taken = 0;
            while pace.admits(now, CONFIG) {
                pace.spend(1_000, now, CONFIG);
                taken += 1;
            }
            taken
        };
        assert_eq!(taken(&mut pace, start), 2_001);
        assert_eq!(taken(&mut pace, start), 0);
        let mut sum = 0;
        for ms in 1..=1_000 {
            sum += taken(&mut pace, start + Duration::from_millis(ms));
        }
        assert_eq!(sum, 1_000, "a thousand pieces of a thousandth each second");
        assert_eq!(taken(&mut pace, start + Duration::from_secs(3_600)), 2_001);
    }

    #[test]
    fn one_piece_of_work_may_be_longer_than_the_burst_and_is_paid_off() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.spend(10_000_000, start, CONFIG);
        assert!(!pace.admits(start + Duration::from_millis(7_999), CONFIG));
        assert!(pace.admits(start + Duration::from_secs(8), CONFIG));
    }

    #[test]
    fn pages_are_counted_from_question_to_answer_and_nothing_else_is() {
        let page = ReadHistory { room: RoomId(1), before: None, limit: 200 }.into();
        let answer = HistoryPage { room: RoomId(1), messages: vec![], damaged: 0, before: None };
        let answer = ServerMessage::from(answer);
        let mut asked = AskedPages::default();
        asked.ask(9, &Ping {}.into());
        for request in 0..3 {
            assert!(!asked.is_full());
            asked.ask(request, &page);
        }
        assert!(asked.is_full());
        asked.answer(7, &answer);
        asked.answer(1, &Pong { time_ms: TimeMs(1) }.into());
        assert!(asked.is_full(), "no page that was asked for came");
        asked.answer(1, &answer);
        assert!(!asked.is_full());
        asked.ask(8, &page);
        asked.answer(1, &answer);
        assert!(asked.is_full(), "it was answered before");
    }
}
