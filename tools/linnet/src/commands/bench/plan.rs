//! What is done to the box, for how long, and at most how much it writes. Pure.

use load::{Durable, Idle, Lone, Scenario};

/// Devices that are signed in for a run: with more, signing in takes longer than measuring.
pub(super) const DEVICES: u32 = 8;

/// Sessions that a box allows each device.
const SESSIONS_PER_DEVICE: u32 = 4;

/// Small requests a second at which a box paces one session.
pub(super) const SESSION_PACE: u32 = 2_000;

/// Small requests by which a session may be ahead of that pace.
const SESSION_BURST: u32 = 1_000;

/// Messages without an ack of each device: half of the 64 that a box allows, so that none is
/// refused while acks travel.
const OUTSTANDING: u32 = 32;

/// Lone messages at most: with them come two checkpoints, which belong to their price.
const LONE_MESSAGES_MAX: u64 = 4_096;

/// Length of every message: what the box's own measurements use.
pub(super) const PAYLOAD_BYTES: usize = 192;

/// Bytes that reach the card for a message that is alone, rounded up from the measured 4.6 KB.
const LONE_CARD_BYTES: u64 = 5_000;

/// Bytes that reach the card for a message among many, rounded up.
const SHARED_CARD_BYTES: u64 = 1_000;

/// Bytes of log that the box prepares meanwhile: one segment in use and two spares of 8 MiB. Those
/// that follow are within what a message counts as.
const PREPARED_BYTES: u64 = 3 * 8 * 1024 * 1024;

/// Shortest run in seconds: one for each part.
pub(super) const SECONDS_MIN: u64 = 3;

/// Length of a run in seconds unless asked for: figures are steady, and an owner waits for it.
pub(super) const SECONDS_DEFAULT: u64 = 30;

/// Longest run in seconds: a card is not to be worn out by measuring.
pub(super) const SECONDS_MAX: u64 = 120;

/// Seconds of every part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    idle: u64,
    lone: u64,
    durable: u64,
}

impl Plan {
    /// Shares out so many seconds: most to what needs many messages to be steady.
    pub(super) fn new(seconds: u64) -> Self {
        let idle = (seconds / 6).max(1);
        let lone = (seconds / 3).max(1);
        Self { idle, lone, durable: seconds.saturating_sub(idle + lone).max(1) }
    }

    pub(super) fn idle(self) -> Scenario {
        let sessions = DEVICES * SESSIONS_PER_DEVICE;
        Scenario::Idle(Idle { sessions, silence: self.idle, warm_up: 0, untouched: true })
    }

    pub(super) fn lone(self) -> Scenario {
        Scenario::Lone(Lone { messages: LONE_MESSAGES_MAX, seconds: Some(self.lone) })
    }

    pub(super) fn durable(self) -> Scenario {
        Scenario::Durable(Durable {
            senders: DEVICES,
            outstanding: OUTSTANDING,
            messages: self.durable_messages_max(),
            seconds: Some(self.durable),
            rate: None,
        })
    }

    /// What the pace lets through: a fast box is ended by the time all the same.
    fn durable_messages_max(self) -> u64 {
        let each = u64::from(SESSION_PACE) * self.durable + u64::from(SESSION_BURST);
        u64::from(DEVICES) * each
    }

    /// Bytes that the card takes at most.
    fn card_bytes_max(self) -> u64 {
        let lone = LONE_MESSAGES_MAX * LONE_CARD_BYTES;
        lone + self.durable_messages_max() * SHARED_CARD_BYTES + PREPARED_BYTES
    }

    /// Told before anything is done.
    pub(super) fn announcement(self) -> String {
        let seconds = self.idle + self.lone + self.durable;
        let megabytes = self.card_bytes_max().div_ceil(1_000_000);
        format!(
            "This measures the box for about {seconds} s while others may use it. It signs in \
             {DEVICES} devices of yours and takes them away again. It writes at most about \
             {megabytes} MB to the card, as messages in a new room \"bench DATE\" of which only \
             you are a member; room and messages stay."
        )
    }
}

/// Seconds after which a part is given up: its own and what signing in and a stuck card take.
pub(super) const fn seconds_max(scenario: &Scenario) -> u64 {
    const SPARE: u64 = 60;
    let own = match scenario {
        Scenario::Idle(it) => it.silence,
        Scenario::Lone(Lone { seconds: Some(seconds), .. })
        | Scenario::Durable(Durable { seconds: Some(seconds), .. }) => *seconds,
        _ => SECONDS_MAX,
    };
    own + SPARE
}

const _: () = assert!(OUTSTANDING <= 64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up_and_none_is_empty() {
        for seconds in SECONDS_MIN..=SECONDS_MAX {
            let Plan { idle, lone, durable } = Plan::new(seconds);
            assert_eq!(idle + lone + durable, seconds);
            assert!(idle >= 1 && lone >= 1 && durable >= 1, "{seconds}");
        }
    }

    #[test]
    fn the_announcement_bounds_what_is_written() {
        // 15 s of 16,000 messages of 1 KB, 8,000 ahead, 4,096 of 5 KB, 25 MB of segments.
        let plan = Plan::new(30);
        assert_eq!(plan, Plan { idle: 5, lone: 10, durable: 15 });
        let text = plan.announcement();
        assert!(text.contains("about 30 s") && text.contains("about 294 MB"), "{text}");
    }

    #[test]
    fn a_part_may_take_longer_than_it_should_but_not_for_ever() {
        assert_eq!(seconds_max(&Plan::new(30).durable()), 75);
        assert_eq!(seconds_max(&Plan::new(30).idle()), 65);
    }
}
