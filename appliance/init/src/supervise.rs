//! Starting a service and starting it again: the pure back-off, and the process itself.
//! A service is never given up; a machine that nobody logs in to has nobody to start it by hand.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, WaitStatus, kill_process_group};

use crate::limits::{FAILURES_SHOWN, RESTART_MS_MAX, RESTART_MS_MIN, STABLE_MS};
use crate::logs::Logs;

/// This very binary, whatever it is called.
pub(crate) const SELF: &str = "/proc/self/exe";

/// When to start again. Pure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The service ended after `ran_ms`; returns the pause before the next start.
    pub(crate) fn on_exit(&mut self, ran_ms: u64) -> u64 {
        if ran_ms >= STABLE_MS {
            self.failures = 0;
        }
        let pause = RESTART_MS_MIN << self.failures.min(20);
        self.failures = self.failures.saturating_add(1);
        pause.min(RESTART_MS_MAX)
    }

    /// Whether it fails so often that the owner should know.
    pub(crate) fn is_failing(&self) -> bool {
        self.failures >= FAILURES_SHOWN
    }

    /// It is well after `runs_ms`. Only a stable one is forgiven: some fail a moment after they
    /// were well, over and over.
    pub(crate) fn on_well(&mut self, runs_ms: u64) {
        if runs_ms >= STABLE_MS {
            self.failures = 0;
        }
    }
}

/// What a service runs and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    /// Name for the log.
    pub(crate) name: &'static str,
    /// Executable.
    pub(crate) path: String,
    /// Arguments.
    pub(crate) arguments: Vec<String>,
    /// Row of the guard's table of rights; without one it runs as init does, which only tests do.
    pub(crate) guard: Option<&'static str>,
    /// Whether it is handed the log on stdin.
    pub(crate) takes_log: bool,
    /// Whether stdout carries frames for init instead of log lines.
    pub(crate) reports: bool,
}

/// The state of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running { pid: Pid, since_ms: u64 },
    Waiting { until_ms: u64 },
    Stopped,
}

/// A supervised service.
#[derive(Debug)]
pub(crate) struct Service {
    program: Program,
    backoff: Backoff,
    state: State,
    starts: u32,
    restarts: bool,
}

impl Service {
    /// To be started at the next [`Self::start_if_due`].
    pub(crate) fn new(program: Program) -> Self {
        let state = State::Waiting { until_ms: 0 };
        Self { program, backoff: Backoff::default(), state, starts: 0, restarts: true }
    }

    /// Starts the service when its time has come; hands out the reports' end where it has one.
    pub(crate) fn start_if_due(
        &mut self,
        now_ms: u64,
        logs: &Logs,
    ) -> Option<impl io::Read + use<>> {
        let State::Waiting { until_ms } = self.state else { return None };
        if now_ms < until_ms {
            return None;
        }
        match spawn(&self.program) {
            Ok(mut child) => {
                let pid = Pid::from_child(&child);
                self.state = State::Running { pid, since_ms: now_ms };
                self.starts = self.starts.saturating_add(1);
                copy(child.stderr.take(), self.program.name, logs);
                child.stdin.take().into_iter().for_each(|stdin| logs.forward_to(stdin));
                if self.program.reports {
                    return child.stdout.take();
                }
                copy(child.stdout.take(), self.program.name, logs);
            }
            Err(error) => {
                let path = &self.program.path;
                logs.say(&format!("{path} could not be started: {error}."));
                self.wait(now_ms, 0);
            }
        }
        None
    }

    /// A child of init ended; `true` when it was this service.
    pub(crate) fn on_exit(
        &mut self,
        ended: Pid,
        status: WaitStatus,
        now_ms: u64,
        logs: &Logs,
    ) -> bool {
        let State::Running { pid, since_ms } = self.state else { return false };
        if pid != ended {
            return false;
        }
        // What it left behind must not hold ports or files.
        let _ = kill_process_group(pid, Signal::KILL);
        let pause = self.wait(now_ms, now_ms.saturating_sub(since_ms));
        let (name, how) = (self.program.name, describe(status));
        if self.restarts {
            logs.say(&format!("{name} {how}; it is started again in {pause} ms."));
        } else {
            self.state = State::Stopped;
            logs.say(&format!("{name} {how}."));
        }
        true
    }

    /// Sends a signal to all of it, if it runs.
    pub(crate) fn signal(&self, signal: Signal) {
        if let State::Running { pid, .. } = self.state {
            // It may be gone already, which its exit will tell.
            let _ = kill_process_group(pid, signal);
        }
    }

    /// What is run at the next start; the pause before it is forgotten.
    pub(crate) fn replace(&mut self, program: Program) {
        self.program = program;
        self.backoff = Backoff::default();
        if let State::Waiting { until_ms } = &mut self.state {
            *until_ms = 0;
        }
    }

    /// No more starts.
    pub(crate) fn stop_restarting(&mut self) {
        self.restarts = false;
        if let State::Waiting { .. } = self.state {
            self.state = State::Stopped;
        }
    }

    /// Process id and start time, while it runs.
    pub(crate) fn running(&self) -> Option<(Pid, u64)> {
        match self.state {
            State::Running { pid, since_ms } => Some((pid, since_ms)),
            State::Waiting { .. } | State::Stopped => None,
        }
    }

    /// How long until it is to be started; `None` while it runs or has ended for good.
    pub(crate) fn due_in_ms(&self, now_ms: u64) -> Option<u64> {
        match self.state {
            State::Waiting { until_ms } => Some(until_ms.saturating_sub(now_ms)),
            State::Running { .. } | State::Stopped => None,
        }
    }

    /// How often it was started.
    pub(crate) fn starts(&self) -> u32 {
        self.starts
    }

    /// It said that it is well.
    pub(crate) fn on_well(&mut self, now_ms: u64) {
        if let State::Running { since_ms, .. } = self.state {
            self.backoff.on_well(now_ms.saturating_sub(since_ms));
        }
    }

    /// Whether it fails so often that the owner should know.
    pub(crate) fn is_failing(&self) -> bool {
        self.backoff.is_failing()
    }

    fn wait(&mut self, now_ms: u64, ran_ms: u64) -> u64 {
        let pause = self.backoff.on_exit(ran_ms);
        self.state = State::Waiting { until_ms: now_ms + pause };
        pause
    }
}

fn spawn(program: &Program) -> io::Result<Child> {
    let mut command = match program.guard {
        Some(row) => {
            let mut command = Command::new(SELF);
            command.args(["guard", row]).arg(&program.path);
            command
        }
        None => Command::new(&program.path),
    };
    command
        .args(&program.arguments)
        .env_clear()
        .env("PATH", "/usr/bin:/usr/sbin")
        .current_dir("/")
        .stdin(if program.takes_log { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    command.spawn()
}

fn copy(from: Option<impl io::Read + Send + 'static>, name: &'static str, logs: &Logs) {
    if let Some(from) = from {
        let logs = logs.clone();
        std::thread::spawn(move || logs.copy(name, from));
    }
}

fn describe(status: WaitStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(libc::SIGSYS)) => "was ended for a system call that it may not make".to_owned(),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::time::{Duration, Instant};

    use rustix::process::{WaitOptions, waitpid};

    use super::*;

    fn program(script: &str, reports: bool) -> Program {
        Program {
            name: "test",
            path: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            guard: None,
            takes_log: false,
            reports,
        }
    }

    fn fail(backoff: &mut Backoff) {
        for _ in 0..FAILURES_SHOWN {
            backoff.on_exit(10);
        }
    }

    fn wait_for(service: &Service) -> (Pid, WaitStatus) {
        let (pid, _) = service.running().unwrap();
        waitpid(Some(pid), WaitOptions::empty()).unwrap().unwrap()
    }

    #[test]
    fn pauses_double_to_their_limit_and_never_end() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..9).map(|_| backoff.on_exit(10)).collect();
        assert_eq!(pauses, [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
        (0..1_000).for_each(|_| assert_eq!(backoff.on_exit(0), RESTART_MS_MAX));
    }

    #[test]
    fn service_that_was_stable_or_well_starts_afresh() {
        let mut backoff = Backoff::default();
        fail(&mut backoff);
        assert!(backoff.is_failing());
        assert_eq!(backoff.on_exit(STABLE_MS), RESTART_MS_MIN);
        assert!(!backoff.is_failing());
        fail(&mut backoff);
        backoff.on_well(STABLE_MS - 1);
        assert!(backoff.is_failing(), "well for a moment is not enough");
        backoff.on_well(STABLE_MS);
        assert!(!backoff.is_failing());
    }

    #[test]
    fn ended_service_is_started_again_after_its_pause_and_its_lines_are_kept() {
        let logs = Logs::default();
        let mut service = Service::new(program("echo out; echo err >&2; exit 3", false));
        assert!(service.start_if_due(1_000, &logs).is_none());
        let (pid, status) = wait_for(&service);
        assert!(!service.on_exit(Pid::INIT, status, 1_010, &logs), "another child");
        assert!(service.on_exit(pid, status, 1_010, &logs));
        assert!(service.start_if_due(1_010 + RESTART_MS_MIN - 1, &logs).is_none());
        assert_eq!((service.starts(), service.running()), (1, None));
        assert_eq!(service.due_in_ms(1_010), Some(RESTART_MS_MIN));
        service.start_if_due(1_010 + RESTART_MS_MIN, &logs);
        assert_eq!(service.starts(), 2);
        wait_for(&service);
        for wanted in ["test: out", "test: err", "exit code 3"] {
            // The lines travel on threads of their own.
            let deadline = Instant::now() + Duration::from_secs(5);
            while !logs.tail(10).iter().any(|line| line.contains(wanted)) {
                assert!(Instant::now() < deadline, "{wanted}: {:?}", logs.tail(10));
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }

    #[test]
    fn reports_are_handed_out_and_a_missing_program_is_waited_for() {
        let logs = Logs::default();
        let mut service = Service::new(program("printf frame", true));
        let mut text = String::new();
        service.start_if_due(1, &logs).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "frame");
        wait_for(&service);

        let missing = Program { path: "/no/such".into(), ..program("", false) };
        let mut service = Service::new(missing);
        service.start_if_due(1, &logs);
        assert_eq!((service.running(), service.starts()), (None, 0));
        assert_eq!(service.state, State::Waiting { until_ms: 1 + RESTART_MS_MIN });
        service.stop_restarting();
        assert_eq!(service.state, State::Stopped);
    }

    #[test]
    fn signal_reaches_the_whole_group_and_the_end_is_final_once_wished() {
        let logs = Logs::default();
        let mut service = Service::new(program("sleep 60 & wait", false));
        service.start_if_due(1, &logs);
        service.stop_restarting();
        service.signal(Signal::KILL);
        let (pid, status) = wait_for(&service);
        assert_eq!(describe(status), "was ended by signal 9");
        assert!(service.on_exit(pid, status, 2, &logs));
        assert_eq!(service.state, State::Stopped);
        service.start_if_due(u64::MAX, &logs);
        assert_eq!(service.running(), None);
    }
}
