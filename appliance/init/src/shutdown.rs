//! The orderly end: services first, then DATA, then the machine. Every wait is bounded, and the
//! watchdog goes on counting behind it.

use std::time::Duration;

use rustix::system::{RebootCommand, reboot};

use crate::clock::boot_ms;
use crate::events::Ending;
use crate::limits::{LAST_WRITES_MS, STOP_GRACE_MS};
use crate::logs::{self, Logs};
use crate::mounts;
use crate::restart2;
use crate::run::Running;

/// How long a killed service may take to vanish, in milliseconds.
const KILL_MS: u64 = 2_000;

/// How often the end of a wait is looked for.
const LOOK: Duration = Duration::from_millis(20);

/// The boot loader's words: partition 0 is "as autoboot.txt says", with its [tryboot] section.
const TRYBOOT: &std::ffi::CStr = c"0 tryboot";

/// Ends everything. Does not return on a real machine.
pub(crate) fn end(ending: Ending, running: &mut Running, logs: &Logs) {
    logs.say(match ending {
        Ending::Reboot => "The box restarts.",
        Ending::Tryboot => "The box restarts to try the other slot once.",
        Ending::PowerOff => "The box goes off.",
    });
    running.begin_end(u32::try_from(STOP_GRACE_MS).unwrap_or(u32::MAX));
    if !wait(running, STOP_GRACE_MS) {
        logs.say("A service did not end in time and is killed; its log will recover.");
        running.kill_left();
        wait(running, KILL_MS);
    }
    last_writes(running, logs);
    let error = stop_machine(ending);
    logs.say(&format!("The kernel refused to stop: {error}. Pull the plug; all is stored."));
}

/// On a thread: a card may take long for what waits in memory, and longer than the watchdog waits.
fn last_writes(running: &mut Running, logs: &Logs) {
    let (writes, own) = (running.writes(), logs.clone());
    let work = std::thread::spawn(move || {
        writes.end();
        rustix::fs::sync();
        mounts::unmount_data(&own);
        rustix::fs::sync();
    });
    let deadline = boot_ms() + LAST_WRITES_MS;
    while !work.is_finished() && boot_ms() < deadline {
        running.feed_end();
        std::thread::sleep(LOOK);
    }
    if !work.is_finished() {
        logs.say("The card does not take the last writes; what was confirmed is on it.");
    }
}

/// Returns only with an error.
fn stop_machine(ending: Ending) -> std::io::Error {
    let plain = |command| match reboot(command) {
        Ok(()) => std::io::Error::other("nothing happened"),
        Err(error) => error.into(),
    };
    match ending {
        Ending::Reboot => {
            logs::console("linnet-init: restarting");
            plain(RebootCommand::Restart)
        }
        Ending::Tryboot => {
            logs::console("linnet-init: restarting with tryboot");
            restart2::restart(TRYBOOT)
        }
        Ending::PowerOff => {
            logs::console("linnet-init: powering off");
            plain(RebootCommand::PowerOff)
        }
    }
}

/// Waits until no service is left; `false` when the time was not enough.
fn wait(running: &mut Running, at_most_ms: u64) -> bool {
    let deadline = boot_ms() + at_most_ms;
    while running.any_left() {
        if boot_ms() >= deadline {
            return false;
        }
        running.feed_end();
        std::thread::sleep(LOOK);
    }
    true
}
