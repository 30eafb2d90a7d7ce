//! When acks wait for company; pure. A send costs the kernel as much for one ack as for ten
//! messages, and a third of a busy box's sends would carry an ack alone.
//!
//! While many frames come in, a session that would get only its own acks waits a little for
//! something else to ride with. On a quiet box nothing waits.

use std::collections::VecDeque;
use std::time::Instant;

use crate::limits::{ACK_COMPANY_FRAMES, ACK_COMPANY_WINDOW, ACK_COMPANY_WITHIN};
use crate::table::Key;

/// Those who wait, and how busy the ring is.
pub(crate) struct Company {
    waiting: VecDeque<(Instant, Key)>,
    window_ends: Instant,
    /// Frames from clients when the window began.
    frames_before: u64,
    busy: bool,
}

impl Company {
    pub(crate) const fn new(now: Instant) -> Self {
        Self { waiting: VecDeque::new(), window_ends: now, frames_before: 0, busy: false }
    }

    /// Looks how many frames came in so far.
    pub(crate) fn observe(&mut self, now: Instant, frames_in: u64) {
        if now < self.window_ends {
            return;
        }
        let late = now.duration_since(self.window_ends) >= ACK_COMPANY_WINDOW;
        self.busy = !late && frames_in - self.frames_before >= ACK_COMPANY_FRAMES;
        (self.window_ends, self.frames_before) = (now + ACK_COMPANY_WINDOW, frames_in);
    }

    /// True while acks wait.
    pub(crate) const fn is_sought(&self) -> bool {
        self.busy
    }

    /// Notes somebody who waits from now on.
    pub(crate) fn wait(&mut self, now: Instant, key: Key) {
        self.waiting.push_back((now + ACK_COMPANY_WITHIN, key));
    }

    /// The next one who has waited long enough.
    pub(crate) fn overdue(&mut self, now: Instant) -> Option<Key> {
        let (until, key) = *self.waiting.front()?;
        (until <= now).then(|| self.waiting.pop_front()).map(|_| key)
    }

    /// When the next one has waited long enough.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.waiting.front().map(|(until, _)| *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const KEY: Key = Key { generation: 0, slot: 1 };

    #[test]
    fn acks_wait_on_a_busy_ring_only_and_never_longer_than_said() {
        let start = Instant::now();
        let mut company = Company::new(start);
        assert!(!company.is_sought());
        company.observe(start, 0);
        company.observe(start + ACK_COMPANY_WINDOW / 2, ACK_COMPANY_FRAMES);
        assert!(!company.is_sought(), "the window is not over");
        company.observe(start + ACK_COMPANY_WINDOW, ACK_COMPANY_FRAMES);
        assert!(company.is_sought());
        company.wait(start, KEY);
        assert_eq!(company.next(), Some(start + ACK_COMPANY_WITHIN));
        assert_eq!(company.overdue(start), None);
        assert_eq!(company.overdue(start + ACK_COMPANY_WITHIN), Some(KEY));
        assert_eq!(company.overdue(start + ACK_COMPANY_WITHIN), None);
    }

    #[test]
    fn a_ring_that_slept_is_not_busy_for_what_came_before() {
        let start = Instant::now();
        let mut company = Company::new(start);
        company.observe(start, 0);
        company.observe(start + Duration::from_secs(1), ACK_COMPANY_FRAMES);
        assert!(!company.is_sought());
    }
}
