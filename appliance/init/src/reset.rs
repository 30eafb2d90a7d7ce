//! The factory reset before the services start: by a pin that is held to ground, or by a new id in
//! the provisioning file. Both only order it in the slot area; making DATA anew is the same step as
//! on a first start, and a power cut in between changes nothing about the order.

use rppal::gpio::{Gpio, InputPin, Level};
use update::claim::ProvisioningId;

use crate::limits::{RESET_BOUNCE_MS, RESET_HELD_MS_MAX, RESET_HOLD_MS};

/// BCM 3: pin 5 of the 40-pin header, next to ground on pin 6. It has a resistor to 3.3 V on the
/// board, so an open pin never reads as held.
pub(crate) const PIN: u8 = 3;

/// How far holding the pin came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Not held, or let go.
    Released,
    /// Held, not long enough yet.
    Held,
    /// Held for the whole time and let go then.
    Complete,
    /// Never let go: a switch or a board on the pin, nobody's finger.
    TooLong,
}

/// Follows the pin's level over time. A contact that bounces is still held; one that opens for
/// longer is not. Pure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hold {
    since_ms: u64,
    low_at_ms: u64,
}

impl Hold {
    /// The pin was found held at this moment.
    pub(crate) fn new(now_ms: u64) -> Self {
        Self { since_ms: now_ms, low_at_ms: now_ms }
    }

    /// One more look at the pin.
    pub(crate) fn step(&mut self, now_ms: u64, low: bool) -> Progress {
        // A look that comes late proves nothing about the time in between.
        let gap = now_ms.saturating_sub(self.low_at_ms);
        let held = self.low_at_ms.saturating_sub(self.since_ms);
        if gap > RESET_BOUNCE_MS {
            let complete = !low && held >= RESET_HOLD_MS;
            return if complete { Progress::Complete } else { Progress::Released };
        }
        if low {
            self.low_at_ms = now_ms;
        }
        if held > RESET_HELD_MS_MAX { Progress::TooLong } else { Progress::Held }
    }
}

/// The pin, on a board that has it.
pub(crate) struct Pin(InputPin);

impl Pin {
    /// `None` without a GPIO block; the LED's driver has said so already.
    pub(crate) fn open() -> Option<Self> {
        let pin = Gpio::new().ok()?.get(PIN).ok()?.into_input_pullup();
        Some(Self(pin))
    }

    /// Whether it is connected to ground.
    pub(crate) fn is_low(&self) -> bool {
        self.0.read() == Level::Low
    }
}

/// The id in the provisioning file that orders a reset, if it has not done so before.
pub(crate) fn ordered_by_file(
    id: Option<ProvisioningId>,
    is_spent: impl Fn(&ProvisioningId) -> bool,
) -> Option<ProvisioningId> {
    id.filter(|id| !is_spent(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks every 10 ms at a pin whose level is a function of time.
    fn hold(low: impl Fn(u64) -> bool) -> (Progress, u64) {
        let mut hold = Hold::new(0);
        for now in (10..2 * RESET_HELD_MS_MAX).step_by(10) {
            match hold.step(now, low(now)) {
                Progress::Held => {}
                end => return (end, now),
            }
        }
        (Progress::Held, 2 * RESET_HELD_MS_MAX)
    }

    #[test]
    fn a_pin_that_is_never_let_go_erases_nothing() {
        assert_eq!(hold(|_| true).0, Progress::TooLong);
    }

    #[test]
    fn only_the_whole_time_counts() {
        let (end, at) = hold(|now| now <= RESET_HOLD_MS);
        assert_eq!(end, Progress::Complete);
        assert!(at > RESET_HOLD_MS);
        let (end, at) = hold(|now| now < RESET_HOLD_MS - 10);
        assert_eq!(end, Progress::Released);
        assert!(at > RESET_HOLD_MS - 10);
        assert_eq!(hold(|_| false).0, Progress::Released);
    }

    #[test]
    fn bouncing_contact_is_held_and_an_open_one_is_not() {
        let bounces = |now: u64| !now.is_multiple_of(RESET_BOUNCE_MS);
        assert_eq!(hold(|now| bounces(now) && now < 2 * RESET_HOLD_MS).0, Progress::Complete);
        let opens = |now: u64| !(4_000..=4_000 + 2 * RESET_BOUNCE_MS).contains(&now);
        assert_eq!(hold(opens).0, Progress::Released);
    }

    #[test]
    fn look_that_comes_late_does_not_complete_a_hold() {
        let mut hold = Hold::new(0);
        assert_eq!(hold.step(RESET_HOLD_MS, true), Progress::Released);
    }

    #[test]
    fn id_in_the_file_works_once() {
        let id = ProvisioningId::from_random([5; 16]);
        assert_eq!(ordered_by_file(Some(id), |_| false), Some(id));
        assert_eq!(ordered_by_file(Some(id), |spent| *spent == id), None);
        assert_eq!(ordered_by_file(None, |_| false), None);
    }
}
