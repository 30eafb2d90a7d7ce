//! The orderly end: services first, then DATA, then the machine. Every wait is bounded, and the
//! watchdog goes on counting behind it.

use std::time::Duration;

use rustix::system::{RebootCommand, reboot};

use crate::clock::boot_ms;
use crate::events::Ending;
use crate::limits::STOP_GRACE_MS;
use crate::logs::{self, Logs};
use crate::mounts;
use crate::run::Running;

/// How long a killed service may take to vanish, in milliseconds.
const KILL_MS: u64 = 2_000;

/// Ends everything. Does not return on a real machine.
pub(crate) fn end(ending: Ending, running: &mut Running, logs: &Logs) {
    logs.say(match ending {
        Ending::Reboot => "The box restarts.",
        Ending::PowerOff => "The box goes off.",
    });
    running.begin_end(u32::try_from(STOP_GRACE_MS).unwrap_or(u32::MAX));
    if !wait(running, STOP_GRACE_MS) {
        logs.say("A service did not end in time and is killed; its log will recover.");
        running.kill_left();
        wait(running, KILL_MS);
    }
    running.persist_clock();
    rustix::fs::sync();
    mounts::unmount_data(logs);
    rustix::fs::sync();
    let (command, done) = match ending {
        Ending::Reboot => (RebootCommand::Restart, "linnet-init: restarting"),
        Ending::PowerOff => (RebootCommand::PowerOff, "linnet-init: powering off"),
    };
    logs::console(done);
    if let Err(error) = reboot(command) {
        logs.say(&format!("The kernel refused to stop: {error}. Pull the plug; all is stored."));
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
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}
