//! Counts wrong tries per key (an address, or an address and a name) and makes that key wait.
//! Never global, so nobody can lock out others. Pure: the time is passed in; memory is bounded.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use crate::limits::{THROTTLED_MAX, WRONG_TRIES_MAX, WRONG_TRIES_PAUSE};

pub(crate) struct Throttle<K> {
    tries: HashMap<K, Tries>,
}

#[derive(Clone, Copy)]
struct Tries {
    count: u32,
    last: Instant,
}

impl<K: Hash + Eq + Clone> Throttle<K> {
    pub(crate) fn new() -> Self {
        Self { tries: HashMap::new() }
    }

    /// Counts a try before its outcome is known, so that tries side by side count as well.
    ///
    /// # Errors
    /// How long this key still has to wait.
    pub(crate) fn attempt(&mut self, key: &K, now: Instant) -> Result<(), Duration> {
        if let Some(wait) = self.wait(key, now) {
            return Err(wait);
        }
        if !self.tries.contains_key(key) && self.tries.len() >= THROTTLED_MAX {
            self.forget_one(now);
        }
        let tries = self.tries.entry(key.clone()).or_insert(Tries { count: 0, last: now });
        if now.duration_since(tries.last) >= WRONG_TRIES_PAUSE {
            tries.count = 0;
        }
        tries.count += 1;
        tries.last = now;
        Ok(())
    }

    /// How long this key has to wait now, if at all.
    pub(crate) fn wait(&self, key: &K, now: Instant) -> Option<Duration> {
        let tries = self.tries.get(key)?;
        let left = WRONG_TRIES_PAUSE.checked_sub(now.duration_since(tries.last))?;
        (tries.count >= WRONG_TRIES_MAX && !left.is_zero()).then_some(left)
    }

    /// The try was right: earlier mistakes are forgiven.
    pub(crate) fn forgive(&mut self, key: &K) {
        self.tries.remove(key);
    }

    /// The quietest makes room, one that waits only after all others: else many tries under
    /// made-up names would end a pause early.
    fn forget_one(&mut self, now: Instant) {
        let waits = |key: &K| self.wait(key, now).is_some();
        let quietest = self.tries.iter().min_by_key(|(key, tries)| (waits(key), tries.last));
        if let Some(key) = quietest.map(|(key, _)| key.clone()) {
            self.tries.remove(&key);
        }
    }
}

/// One household of addresses: an IPv6 host owns its whole /64 and could change address at will.
pub(crate) fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tenth_try_makes_only_that_key_wait_until_the_pause_is_over() {
        let (mut throttle, start) = (Throttle::new(), Instant::now());
        for _ in 0..WRONG_TRIES_MAX {
            assert_eq!(throttle.wait(&1, start), None);
            throttle.attempt(&1, start).unwrap();
        }
        assert_eq!(throttle.wait(&1, start), Some(WRONG_TRIES_PAUSE));
        assert_eq!(throttle.attempt(&1, start), Err(WRONG_TRIES_PAUSE));
        assert_eq!(throttle.attempt(&2, start), Ok(()));
        let later = start + WRONG_TRIES_PAUSE;
        assert_eq!(throttle.attempt(&1, later), Ok(()));
        assert_eq!(throttle.wait(&1, later), None);
    }

    #[test]
    fn a_right_try_forgives_earlier_mistakes() {
        let (mut throttle, now) = (Throttle::new(), Instant::now());
        for _ in 1..WRONG_TRIES_MAX {
            throttle.attempt(&1, now).unwrap();
        }
        throttle.forgive(&1);
        throttle.attempt(&1, now).unwrap();
        assert_eq!(throttle.wait(&1, now), None);
    }

    #[test]
    fn memory_is_bounded_and_the_quietest_key_makes_room() {
        let (mut throttle, start) = (Throttle::new(), Instant::now());
        for key in 0..2 * THROTTLED_MAX {
            let now = start + Duration::from_millis(u64::try_from(key).unwrap());
            throttle.attempt(&key, now).unwrap();
        }
        assert_eq!(throttle.tries.len(), THROTTLED_MAX);
        assert!(throttle.tries.contains_key(&(2 * THROTTLED_MAX - 1)));
        assert!(!throttle.tries.contains_key(&0));
    }

    #[test]
    fn a_flood_of_other_keys_does_not_end_a_pause_early() {
        let (mut throttle, start) = (Throttle::new(), Instant::now());
        for _ in 0..WRONG_TRIES_MAX {
            throttle.attempt(&0, start).unwrap();
        }
        let later = start + Duration::from_secs(1);
        for key in 1..2 * THROTTLED_MAX {
            throttle.attempt(&key, later).unwrap();
        }
        assert_eq!(throttle.tries.len(), THROTTLED_MAX);
        assert!(throttle.attempt(&0, later).is_err());
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_as_one() {
        let of = |text: &str| household(text.parse().unwrap());
        assert_eq!(of("fd00::1"), of("fd00::ffff:2"));
        assert_ne!(of("fd00::1"), of("fd00:0:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    }
}
