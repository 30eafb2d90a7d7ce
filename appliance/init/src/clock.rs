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

/// The battery-backed clock in seconds since 1970, where there is one.
const BATTERY: &str = "/sys/class/rtc/rtc0/since_epoch";

/// Milliseconds since the kernel started.
pub(crate) fn boot_ms() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    u64::try_from(now.tv_sec * 1_000 + now.tv_nsec / 1_000_000).unwrap_or(0)
}

/// Sets the clock for the start. `true` when a battery-backed clock says a time that can be right;
/// most often the kernel has taken it over already.
pub(crate) fn apply_floor(build_s: u64) -> std::io::Result<bool> {
    let floor = floor(build_s, smallfile::read_text(PERSISTED).as_deref());
    let battery = smallfile::read_text(BATTERY).and_then(|text| text.parse().ok());
    let start = start(build_s, floor, now_s(), battery);
    if let Some(at_s) = start.set_s {
        let tv_sec = i64::try_from(at_s).unwrap_or(i64::MAX);
        clock_settime(ClockId::Realtime, Timespec { tv_sec, tv_nsec: 0 })?;
    }
    Ok(start.known)
}

/// What the clock shall say at the start.
#[derive(Debug, PartialEq, Eq)]
struct Start {
    set_s: Option<u64>,
    known: bool,
}

/// The running clock and the battery's are believed between the floor and ten years after the
/// build; a clock beyond is as wrong as one before.
fn start(build_s: u64, floor_s: u64, now_s: u64, battery_s: Option<u64>) -> Start {
    let latest_s = build_s.saturating_add(CLOCK_AHEAD_S);
    let plausible = |at_s: &u64| build_s > 0 && (floor_s..=latest_s).contains(at_s);
    match battery_s.filter(plausible) {
        _ if plausible(&now_s) => Start { set_s: None, known: true },
        Some(at_s) => Start { set_s: Some(at_s), known: true },
        None if build_s == 0 && now_s >= floor_s => Start { set_s: None, known: false },
        None => Start { set_s: Some(floor_s), known: false },
    }
}

/// What is said about a report: every first one, and every jump that people would notice.
pub(crate) fn sentence(before: Option<&ClockReport>, report: &ClockReport) -> Option<String> {
    let (source, jump_s) = (&report.source, report.jump_s());
    let news = before.is_none() || jump_s >= CLOCK_STEP_TOLD_S;
    note(report).or_else(|| {
        news.then(|| format!("The clock follows {source}; it was wrong by {jump_s} s."))
    })
}

/// What the owner sees of a jump that no drift explains.
pub(crate) fn note(report: &ClockReport) -> Option<String> {
    let (source, jump_s) = (&report.source, report.jump_s());
    let days = jump_s / (24 * 3_600);
    let way = if report.new_s > report.old_s { "forward" } else { "back" };
    (jump_s > CLOCK_JUMP_S)
        .then(|| format!("The clock was moved {way} by {days} days by {source}."))
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
    fn only_a_clock_that_can_be_right_is_left_alone() {
        let (floor, year) = (BUILD + 500, 365 * 86_400);
        let unset = Start { set_s: Some(floor), known: false };
        let good = floor + year;
        assert_eq!(start(BUILD, floor, good, None), Start { set_s: None, known: true });
        assert_eq!(start(BUILD, floor, 7, None), unset, "1970");
        assert_eq!(start(BUILD, floor, good + 60 * year, None), unset, "sixty years ahead");
        let battery = Start { set_s: Some(good), known: true };
        assert_eq!(start(BUILD, floor, 7, Some(good)), battery);
        assert_eq!(start(BUILD, floor, 7, Some(9)), unset, "an empty battery");
        assert_eq!(start(BUILD, floor, 7, Some(u64::MAX)), unset);
        assert_eq!(start(0, 0, good, Some(good)), Start { set_s: None, known: false });
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
