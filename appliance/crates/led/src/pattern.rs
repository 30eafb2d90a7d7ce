//! A repeating on/off pattern as a pure function of time, so that a test or a harness can predict
//! every edge.

/// Times in milliseconds: on, off, on, off, … then from the start again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pattern {
    steps: &'static [u16],
}

impl Pattern {
    /// Wraps a table of steps: an even number, none of them zero.
    ///
    /// # Panics
    /// When the table is none; every table is a constant and met by the tests.
    pub fn new(steps: &'static [u16]) -> Self {
        let is_table = !steps.is_empty() && steps.len().is_multiple_of(2) && !steps.contains(&0);
        assert!(is_table, "a pattern is pairs of on and off");
        Self { steps }
    }

    /// Whether the LED is on `at_ms` after the pattern began.
    pub fn level(&self, at_ms: u64) -> bool {
        self.step(at_ms).0.is_multiple_of(2)
    }

    /// How long after `at_ms` the level changes next; never zero.
    pub fn next_edge_in_ms(&self, at_ms: u64) -> u64 {
        self.step(at_ms).1
    }

    /// Length of one repetition.
    pub fn cycle_ms(&self) -> u64 {
        self.steps.iter().map(|step| u64::from(*step)).sum()
    }

    /// Index of the step at `at_ms` and what is left of it.
    fn step(&self, at_ms: u64) -> (usize, u64) {
        let mut left = at_ms % self.cycle_ms();
        for (index, step) in self.steps.iter().enumerate() {
            let step = u64::from(*step);
            if left < step {
                return (index, step - left);
            }
            left -= step;
        }
        unreachable!("a remainder lies within the cycle")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Status;

    /// Shorter flashes are lost on the eye and on a camera.
    const STEP_MS_MIN: u64 = 100;
    /// Nobody counts flashes for longer.
    const CYCLE_MS_MAX: u64 = 6_000;

    fn edges(pattern: Pattern) -> Vec<u64> {
        let mut at = 0;
        let mut edges = Vec::new();
        while at < pattern.cycle_ms() {
            let level = pattern.level(at);
            let next = at + pattern.next_edge_in_ms(at);
            assert!((at..next).all(|t| pattern.level(t) == level));
            assert_ne!(pattern.level(next), level);
            edges.push(next - at);
            at = next;
        }
        edges
    }

    #[test]
    fn level_changes_exactly_at_the_announced_edges() {
        for status in Status::ALL {
            let edges = edges(status.pattern());
            assert_eq!(edges.iter().sum::<u64>(), status.pattern().cycle_ms(), "{status}");
            assert!(edges.iter().all(|step| *step >= STEP_MS_MIN), "{status}");
        }
    }

    #[test]
    fn pattern_repeats_for_ever() {
        let pattern = Status::Failed.pattern();
        for at in 0..pattern.cycle_ms() {
            assert_eq!(pattern.level(at), pattern.level(at + 1_000_000 * pattern.cycle_ms()));
        }
        assert!(pattern.next_edge_in_ms(u64::MAX) > 0);
    }

    #[test]
    fn no_two_codes_look_alike_and_none_is_too_long_to_read() {
        for (index, status) in Status::ALL.iter().enumerate() {
            assert!(status.pattern().cycle_ms() <= CYCLE_MS_MAX, "{status}");
            for other in &Status::ALL[index + 1..] {
                assert_ne!(status.pattern(), other.pattern(), "{status} and {other}");
            }
        }
    }

    #[test]
    fn every_code_moves_so_that_a_dead_box_is_told_from_a_live_one() {
        for status in Status::ALL {
            assert!(edges(status.pattern()).len() >= 2, "{status}");
        }
    }

    #[test]
    #[should_panic(expected = "pairs of on and off")]
    fn odd_table_is_a_mistake() {
        Pattern::new(&[100]);
    }
}
