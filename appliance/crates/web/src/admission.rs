//! How often one household of addresses may connect. Pure: the time is passed in; memory is
//! bounded.
//!
//! A connection costs a TLS handshake at most, so this bounds what one address costs in processor
//! time, as the places bound what it costs in memory. Who comes too often is closed before any
//! handshake: nothing could be said to it that costs less.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Instant;

use crate::limits::{
    NEW_CONNECTION_EVERY, NEW_CONNECTIONS_AT_ONCE, NEWCOMERS_MAX, REFUSALS_TOLD_EVERY,
};

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Admitted,
    Refused {
        /// Say it in the log: nothing was said for a while.
        tell: bool,
    },
}

/// When each address would be through with its connections at its pace (GCRA, ITU-T I.371).
#[derive(Default)]
pub(crate) struct Admission {
    due: HashMap<IpAddr, Instant>,
    told: Option<Instant>,
}

impl Admission {
    /// Decides about a connection of an address, as `throttle::household` gives it.
    pub(crate) fn decide(&mut self, address: IpAddr, now: Instant) -> Verdict {
        if self.due.len() >= NEWCOMERS_MAX && !self.due.contains_key(&address) {
            self.due.retain(|_, due| *due > now);
            if self.due.len() >= NEWCOMERS_MAX {
                // So many addresses at once are no single one's doing: the places bound them.
                return Verdict::Admitted;
            }
        }
        let due = self.due.entry(address).or_insert(now);
        let ahead = NEW_CONNECTION_EVERY * NEW_CONNECTIONS_AT_ONCE;
        if due.saturating_duration_since(now) >= ahead {
            return Verdict::Refused { tell: self.tell(now) };
        }
        *due = (*due).max(now) + NEW_CONNECTION_EVERY;
        Verdict::Admitted
    }

    fn tell(&mut self, now: Instant) -> bool {
        let quiet = |told: Instant| now.duration_since(told) >= REFUSALS_TOLD_EVERY;
        let tell = self.told.is_none_or(quiet);
        if tell {
            self.told = Some(now);
        }
        tell
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn address(number: usize) -> IpAddr {
        std::net::Ipv4Addr::from_bits(u32::try_from(number).unwrap()).into()
    }

    fn admitted(admission: &mut Admission, number: usize, now: Instant) -> u32 {
        let mut count = 0;
        while admission.decide(address(number), now) == Verdict::Admitted {
            count += 1;
        }
        count
    }

    #[test]
    fn a_burst_is_let_in_then_the_pace_holds_for_that_address_alone() {
        let (mut admission, start) = (Admission::default(), Instant::now());
        assert_eq!(admitted(&mut admission, 1, start), NEW_CONNECTIONS_AT_ONCE);
        assert_eq!(admission.decide(address(2), start), Verdict::Admitted);
        let later = start + 10 * NEW_CONNECTION_EVERY;
        assert_eq!(admitted(&mut admission, 1, later), 10);
        let much_later = later + Duration::from_secs(3_600);
        assert_eq!(admitted(&mut admission, 1, much_later), NEW_CONNECTIONS_AT_ONCE);
    }

    #[test]
    fn refusals_are_told_once_in_a_while() {
        let (mut admission, start) = (Admission::default(), Instant::now());
        let next = start + REFUSALS_TOLD_EVERY;
        for now in [start, next] {
            for _ in 0..NEW_CONNECTIONS_AT_ONCE {
                assert_eq!(admission.decide(address(1), now), Verdict::Admitted);
            }
            for tell in [true, false, false] {
                assert_eq!(admission.decide(address(1), now), Verdict::Refused { tell });
            }
        }
    }

    #[test]
    fn memory_is_bounded_and_nobody_is_refused_for_it() {
        let (mut admission, start) = (Admission::default(), Instant::now());
        for number in 0..2 * NEWCOMERS_MAX {
            assert_eq!(admission.decide(address(number), start), Verdict::Admitted);
        }
        assert_eq!(admission.due.len(), NEWCOMERS_MAX);
        admission.decide(address(9_999), start + NEW_CONNECTION_EVERY);
        assert_eq!(admission.due.len(), 1, "those whose time passed are forgotten");
    }
}
