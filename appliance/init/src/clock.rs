//! Time without a battery: the floor under the clock, and the monotonic clock of everything else.
//! The floor is the later of the build time and the last persisted time, never more than ten years
//! past the build; it is used only until something better is known.

use std::path::Path;

use rustix::time::{ClockId, Timespec, clock_gettime, clock_settime};
use update::control::ClockReport;

use crate::limits::{CLOCK_AHEAD_S, CLOCK_JUMP_S, CLOCK_STEP_TOLD_S};
use crate::smallfile;

/// Where the floor outlives a power cut.
const PERSISTED: &str = "/data/clock";

/// Milliseconds since the kernel started.
pub(crate) fn boot_ms() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    u64::try_from(now.tv_sec * 1_000 + now.tv_nsec / 1_000_000).unwrap_or(0)
}

/// Raises the clock to its floor. `true` when the clock was later than that by itself, which only a
/// battery-backed clock does.
pub(crate) fn apply_floor(build_s: u64) -> std::io::Result<bool> {
    let persisted = smallfile::read_text(PERSISTED);
    let floor = floor(build_s, persisted.as_deref());
    if now_s() >= floor {
        return Ok(build_s > 0);
    }
    let tv_sec = i64::try_from(floor).unwrap_or(i64::MAX);
    clock_settime(ClockId::Realtime, Timespec { tv_sec, tv_nsec: 0 })?;
    Ok(false)
}

/// What is said about a report: every first one, and every jump that people would notice.
pub(crate) fn sentence(before: Option<&ClockReport>, report: &ClockReport) -> Option<String> {
    let (source, jump_s) = (&report.source, report.jump_s());
    if jump_s > CLOCK_JUMP_S {
        let days = jump_s / (24 * 3_600);
        let way = if report.new_s > report.old_s { "forward" } else { "back" };
        return Some(format!("The clock was moved {way} by {days} days, after {source}."));
    }
    let news = before.is_none() || jump_s >= CLOCK_STEP_TOLD_S;
    news.then(|| format!("The clock follows {source}; it was wrong by {jump_s} s."))
}

/// Stores the present time as the next boot's floor.
pub(crate) fn persist() -> std::io::Result<()> {
    smallfile::replace(Path::new(PERSISTED), format!("{}\n", now_s()).as_bytes())
}

/// What the clock says, in seconds since 1970.
pub(crate) fn now_s() -> u64 {
    u64::try_from(clock_gettime(ClockId::Realtime).tv_sec).unwrap_or(0)
}

/// The floor in seconds since 1970.
fn floor(build_s: u64, persisted: Option<&str>) -> u64 {
    let persisted = persisted.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    build_s.max(persisted).min(build_s.saturating_add(CLOCK_AHEAD_S))
}

#[cfg(test)]
mod tests {
    use update::control::ClockSource;

    use super::*;

    const BUILD: u64 = 1_800_000_000;

    #[test]
    fn floor_is_the_later_of_build_and_persisted_time() {
        assert_eq!(floor(BUILD, None), BUILD);
        assert_eq!(floor(BUILD, Some("1700000000")), BUILD);
        assert_eq!(floor(BUILD, Some("1800000500\n")), BUILD + 500);
    }

    #[test]
    fn nonsense_on_the_card_does_not_move_the_clock_far_ahead() {
        for text in ["", "soon", "-5", "99999999999999999999999"] {
            assert_eq!(floor(BUILD, Some(text)), BUILD, "{text}");
        }
        assert_eq!(floor(BUILD, Some("18446744073709551615")), BUILD + CLOCK_AHEAD_S);
    }

    #[test]
    fn first_report_and_long_jumps_are_told_and_small_corrections_are_not() {
        let report = |old_s, new_s| ClockReport {
            source: ClockSource::Server("ntp.example".into()),
            old_s,
            new_s,
        };
        let first = sentence(None, &report(BUILD, BUILD + 2)).unwrap();
        assert!(first.contains("ntp.example") && first.contains("2 s"), "{first}");
        let before = report(0, BUILD);
        assert_eq!(sentence(Some(&before), &report(BUILD, BUILD + 1)), None);
        let back = sentence(Some(&before), &report(BUILD + 60 * 86_400, BUILD)).unwrap();
        assert!(back.contains("back by 60 days"), "{back}");
    }

    #[test]
    fn monotonic_clock_runs() {
        let before = boot_ms();
        assert!(before > 0 && boot_ms() >= before);
    }
}
