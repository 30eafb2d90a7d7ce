//! The progress of e2fsck as one share of the whole. With `-C FD` it writes lines of four words:
//! pass, done, of how many, device (e2fsck(8)). Pure.

/// How much of the whole is done when a pass begins, in percent: e2fsck's own table for its bar
/// (e2fsck/unix.c). The passes differ that much in length.
const PASS_STARTS: [u64; 6] = [0, 70, 90, 92, 95, 100];

/// Reads a progress line; `None` for everything else that the program says.
pub(crate) fn percent(line: &str) -> Option<u8> {
    let mut words = line.split_ascii_whitespace();
    let pass: usize = words.next()?.parse().ok()?;
    let done: u64 = words.next()?.parse().ok()?;
    let all: u64 = words.next()?.parse().ok()?;
    let (device, nothing) = (words.next()?, words.next());
    if nothing.is_some() || !device.starts_with('/') || all == 0 || done > all {
        return None;
    }
    let begin = *PASS_STARTS.get(pass.checked_sub(1)?)?;
    let end = *PASS_STARTS.get(pass)?;
    let percent = begin + done.saturating_mul(end - begin) / all;
    u8::try_from(percent).ok()
}

/// Which of the shares are worth a line: each tenth once, and only of work that takes long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Teller {
    begun_at_ms: u64,
    told: u8,
}

/// Shorter work than this is not reported, in milliseconds.
const QUIET_MS: u64 = 3_000;

impl Teller {
    /// The work begins.
    pub(crate) fn new(now_ms: u64) -> Self {
        Self { begun_at_ms: now_ms, told: 0 }
    }

    /// The share to tell now, if any.
    pub(crate) fn tell(&mut self, now_ms: u64, percent: u8) -> Option<u8> {
        let tenth = percent - percent % 10;
        if tenth <= self.told || now_ms.saturating_sub(self.begun_at_ms) < QUIET_MS {
            return None;
        }
        self.told = tenth;
        Some(tenth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_of_a_real_run_rise_to_the_end() {
        let run =
            ["1 0 25", "1 12 25", "1 25 25", "2 8 16", "3 1 2", "4 3 4", "5 25 50", "5 50 50"];
        let seen: Vec<_> =
            run.iter().map(|words| percent(&format!("{words} /dev/mmcblk0p7")).unwrap()).collect();
        assert_eq!(seen, [0, 33, 70, 80, 91, 94, 97, 100]);
    }

    #[test]
    fn words_that_are_no_progress_are_left_to_the_log() {
        for line in [
            "",
            "/dev/vda7: clean, 11/16384 files",
            "1 2",
            "0 1 2 /dev/vda7",
            "6 1 2 /dev/vda7",
            "1 3 2 /dev/vda7",
            "1 0 0 /dev/vda7",
            "1 1 2 inodes",
            "1 1 2 /dev/vda7 more",
            "18446744073709551616 1 2 /dev/vda7",
        ] {
            assert_eq!(percent(line), None, "{line}");
        }
    }

    #[test]
    fn each_tenth_is_told_once_and_short_work_not_at_all() {
        let mut teller = Teller::new(1_000);
        assert_eq!(teller.tell(1_000 + QUIET_MS - 1, 50), None);
        assert_eq!(teller.tell(1_000 + QUIET_MS, 53), Some(50));
        assert_eq!(teller.tell(90_000, 59), None);
        assert_eq!(teller.tell(90_000, 60), Some(60));
        assert_eq!(teller.tell(90_000, 20), None, "it never goes back");
        assert_eq!(teller.tell(90_000, 100), Some(100));
    }
}
