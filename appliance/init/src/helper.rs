//! Running e2fsprogs' programs to their end while the watchdog is fed only as long as they move.

use std::io;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use crate::clock::boot_ms;
use crate::limits::{HELPER_POLL_MS, HELPER_STUCK_MS};
use crate::logs::Logs;
use crate::progress::{self, Teller};
use crate::smallfile::read_text;

/// Runs `program`; `moving` is called while it makes progress.
pub(crate) fn run(
    program: &str,
    arguments: &[&str],
    logs: &Logs,
    moving: &mut dyn FnMut(),
) -> io::Result<ExitStatus> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| io::Error::other(format!("{program} could not be started: {error}")))?;
    let name = program.rsplit('/').next().unwrap_or(program).to_owned();
    let share = Arc::new(AtomicU8::new(0));
    copy(child.stdout.take(), &name, logs, &share);
    copy(child.stderr.take(), &name, logs, &share);
    let mut teller = Teller::new(boot_ms());
    let mut trail = Trail::new(boot_ms());
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        let now = boot_ms();
        let percent = share.load(Ordering::Relaxed);
        if let Some(tenth) = teller.tell(now, percent) {
            logs.say(&format!("{name} has done {tenth} % of its work."));
        }
        if trail.step(now, format!("{} {percent}", marks(child.id()))) {
            moving();
        } else if trail.is_stuck(now) {
            logs.say(&format!("{name} has not moved for two minutes and was ended."));
            child.kill()?;
        }
        std::thread::sleep(Duration::from_millis(HELPER_POLL_MS));
    }
}

/// Keeps the program's lines; those about progress go into `share` instead.
fn copy(
    from: Option<impl io::Read + Send + 'static>,
    name: &str,
    logs: &Logs,
    share: &Arc<AtomicU8>,
) {
    let Some(from) = from else { return };
    let (name, logs, share) = (name.to_owned(), logs.clone(), Arc::clone(share));
    let taken = move |line: &str| {
        let percent = progress::percent(line);
        if let Some(percent) = percent {
            share.fetch_max(percent, Ordering::Relaxed);
        }
        percent.is_some()
    };
    std::thread::spawn(move || logs.copy_except(&name, from, taken));
}

/// What a process has used and moved so far: it changes exactly while the process works.
fn marks(pid: u32) -> String {
    let io = read_text(format!("/proc/{pid}/io")).unwrap_or_default();
    let stat = read_text(format!("/proc/{pid}/stat")).unwrap_or_default();
    // proc_pid_stat(5), counted after the name: utime is the 12th field, stime the 13th.
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let times: Vec<_> = after_name.split_ascii_whitespace().skip(11).take(2).collect();
    format!("{io} {}", times.join(" "))
}

/// Remembers when the marks last changed.
struct Trail {
    marks: String,
    moved_at_ms: u64,
}

impl Trail {
    fn new(now_ms: u64) -> Self {
        Self { marks: String::new(), moved_at_ms: now_ms }
    }

    fn step(&mut self, now_ms: u64, marks: String) -> bool {
        let moved = marks != self.marks;
        if moved {
            self.marks = marks;
            self.moved_at_ms = now_ms;
        }
        moved
    }

    fn is_stuck(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.moved_at_ms) >= HELPER_STUCK_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_runs_to_its_end_and_its_output_is_kept() {
        let logs = Logs::default();
        let mut moves = 0;
        let status = run("/bin/echo", &["hello"], &logs, &mut || moves += 1).unwrap();
        assert!(status.success());
        let deadline = boot_ms() + 5_000;
        while logs.tail(5).is_empty() && boot_ms() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(logs.tail(5), ["echo: hello"]);
        assert!(run("/no/such/program", &[], &logs, &mut || ()).is_err());
    }

    #[test]
    fn lines_of_progress_do_not_reach_the_log() {
        let logs = Logs::default();
        let script = "echo '1 1 2 /dev/vda7' >&2; echo kept >&2";
        run("/bin/sh", &["-c", script], &logs, &mut || ()).unwrap();
        let deadline = boot_ms() + 5_000;
        while logs.tail(5).is_empty() && boot_ms() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(logs.tail(5), ["sh: kept"]);
    }

    #[test]
    fn process_that_uses_nothing_is_stuck_after_its_time() {
        let mut trail = Trail::new(0);
        assert!(trail.step(10, "a".into()));
        assert!(!trail.step(20, "a".into()));
        assert!(!trail.is_stuck(10 + HELPER_STUCK_MS - 1));
        assert!(trail.is_stuck(10 + HELPER_STUCK_MS));
        assert!(trail.step(10 + HELPER_STUCK_MS, "b".into()));
        assert!(!trail.is_stuck(10 + HELPER_STUCK_MS));
    }

    #[test]
    fn marks_of_a_working_process_change() {
        let pid = std::process::id();
        let before = marks(pid);
        let deadline = boot_ms() + 5_000;
        while marks(pid) == before && boot_ms() < deadline {
            std::hint::black_box((0..100_000u64).sum::<u64>());
        }
        assert_ne!(marks(pid), before);
    }
}
