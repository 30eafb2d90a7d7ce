//! The hardware watchdog, and the decision to feed it. It is opened early and never closed by
//! magic: whatever stops pid 1, the services or the card from working ends in a reset.

use std::fs::{File, OpenOptions};
use std::io::Write;

use crate::limits::{NO_PROGRESS_MS, STORAGE_SILENT_MS, WATCHDOG_DEFAULT_S};
use crate::smallfile::read_text;

const DEVICE: &str = "/dev/watchdog";
const TIMEOUT: &str = "/sys/class/watchdog/watchdog0/timeout";

/// The device, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Watchdog {
    device: Option<File>,
    period_ms: u64,
    fed_at_ms: u64,
}

impl Watchdog {
    /// Opens the device, which starts its countdown. Without one the box works unwatched.
    pub(crate) fn open() -> Self {
        let device = OpenOptions::new().write(true).open(DEVICE).ok();
        let timeout = read_text(TIMEOUT).and_then(|text| text.parse().ok());
        let timeout_s: u64 = timeout.filter(|s| *s > 0).unwrap_or(WATCHDOG_DEFAULT_S);
        // Three misses in a row are needed before the reset.
        Self { device, period_ms: timeout_s * 1_000 / 4, fed_at_ms: 0 }
    }

    /// Whether there is one.
    pub(crate) fn is_open(&self) -> bool {
        self.device.is_some()
    }

    /// Feeds, unless that was done a moment ago. Any byte but `V` will do.
    pub(crate) fn feed(&mut self, now_ms: u64) {
        let due = self.fed_at_ms == 0 || now_ms >= self.fed_at_ms + self.period_ms;
        if let Some(device) = self.device.as_mut().filter(|_| due) {
            // A device that fails to be fed resets the box, which is then right.
            let _ = device.write_all(b"L");
            self.fed_at_ms = now_ms.max(1);
        }
    }
}

/// What is known to work, and since when. Pure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Vigil {
    service_at_ms: u64,
    progress: u64,
    storage_at_ms: u64,
}

impl Vigil {
    /// Everything is given its time from `now_ms` on.
    pub(crate) fn new(now_ms: u64) -> Self {
        Self { service_at_ms: now_ms, progress: 0, storage_at_ms: now_ms }
    }

    /// `linnetd` reported. A box that is not well counts as alive only while its counter moves, so
    /// that a replay of an hour is fed and a deadlock is not.
    pub(crate) fn on_health(&mut self, now_ms: u64, ok: bool, progress: u64) {
        if ok || progress > self.progress {
            self.service_at_ms = now_ms;
        }
        self.progress = progress;
    }

    /// The storage probe came back.
    pub(crate) fn on_storage(&mut self, now_ms: u64) {
        self.storage_at_ms = now_ms;
    }

    /// Whether the watchdog may be fed now.
    pub(crate) fn may_feed(&self, now_ms: u64) -> bool {
        self.complaint(now_ms).is_none()
    }

    /// Why not.
    pub(crate) fn complaint(&self, now_ms: u64) -> Option<&'static str> {
        if now_ms.saturating_sub(self.storage_at_ms) >= STORAGE_SILENT_MS {
            Some("The card does not answer any more; the watchdog will reset the box.")
        } else if now_ms.saturating_sub(self.service_at_ms) >= NO_PROGRESS_MS {
            Some("linnetd makes no progress, also after restarts; the watchdog will reset the box.")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Storage answers throughout, so that only the service decides.
    fn with_storage(mut vigil: Vigil, now_ms: u64) -> Vigil {
        vigil.on_storage(now_ms);
        vigil
    }

    #[test]
    fn services_get_their_time_to_start_and_no_more() {
        let vigil = Vigil::new(1_000);
        let end = 1_000 + NO_PROGRESS_MS;
        assert!(with_storage(vigil.clone(), end - 1).may_feed(end - 1));
        assert!(!with_storage(vigil, end).may_feed(end));
    }

    #[test]
    fn long_work_is_fed_while_it_moves_and_not_when_it_stands() {
        let mut vigil = Vigil::new(0);
        let mut now = 0;
        for progress in 1..100 {
            now += NO_PROGRESS_MS - 1;
            vigil.on_health(now, false, progress);
            vigil.on_storage(now);
            assert!(vigil.may_feed(now));
        }
        let stuck_since = now;
        while now < stuck_since + NO_PROGRESS_MS {
            now += 5_000;
            vigil.on_health(now, false, 99);
            vigil.on_storage(now);
        }
        assert!(!vigil.may_feed(now));
    }

    #[test]
    fn restarted_service_that_counts_from_zero_again_makes_progress() {
        let mut vigil = Vigil::new(0);
        vigil.on_health(1, false, 1_000);
        vigil.on_health(2, false, 0);
        vigil.on_health(3, false, 1);
        assert_eq!(vigil.service_at_ms, 3);
    }

    #[test]
    fn silent_card_ends_the_feeding_even_when_the_service_says_all_is_well() {
        let mut vigil = Vigil::new(0);
        vigil.on_health(STORAGE_SILENT_MS, true, 1);
        assert!(!vigil.may_feed(STORAGE_SILENT_MS));
        vigil.on_storage(STORAGE_SILENT_MS);
        assert!(vigil.may_feed(STORAGE_SILENT_MS));
    }

    #[test]
    fn machine_without_a_watchdog_is_fine() {
        let mut watchdog = Watchdog::default();
        watchdog.feed(5);
        assert!(!watchdog.is_open());
    }
}
