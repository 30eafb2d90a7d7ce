//! What the owner may ask of the box below the chat: settings, time, factory reset; and the answer
//! to a status request. `linnetd` has checked who asks; here it is checked what can be done.

use rustix::process::Signal;
use rustix::system::sethostname;
use rustix::time::{ClockId, Timespec, clock_settime};
use update::control::{ClockReport, ClockSource, FromInit, Setting, Status, sentence};
use update::limits::NOTES_MAX;
use update::slots::SlotState;

use crate::board;
use crate::clock::boot_ms;
use crate::limits::CLOCK_AHEAD_S;
use crate::run::Running;

/// Nothing may be stored in the memory that stands in for DATA: it would be gone tomorrow.
const NO_DATA: &str = "The data partition cannot be used, so nothing was stored.";

impl Running {
    pub(crate) fn on_setting(&mut self, setting: Setting) -> FromInit {
        if self.booted.welcome.rescue.is_some() {
            return refused(NO_DATA);
        }
        if let Err(why) = self.booted.settings.set(setting) {
            return refused(&why);
        }
        self.take_settings();
        FromInit::Done
    }

    /// Lets the stored settings take effect: names for everybody, the rest is the network's.
    fn take_settings(&mut self) {
        let name = self.booted.effective().host_name;
        let name = name.unwrap_or_else(|| crate::boot::HOST_NAME.to_owned());
        if name != self.booted.welcome.host_name {
            if let Err(error) = sethostname(name.as_bytes()) {
                self.logs.say(&format!("The host name could not be set: {error}."));
            }
            self.logs.say(&format!("The box is called {name} from now on."));
            self.booted.welcome.host_name.clone_from(&name);
            self.connections.send_all(&FromInit::HostName { name });
        }
        self.restart_net();
    }

    /// The child reads its settings at its start; it gives its address back nowhere in between.
    fn restart_net(&mut self) {
        self.booted.hand_on_net_settings(&self.logs);
        self.net.replace(crate::run::net());
        self.net.signal(Signal::TERM);
    }

    pub(crate) fn on_time(&mut self, unix_ms: u64) -> FromInit {
        let unix_s = unix_ms / 1_000;
        if !is_plausible(unix_s, self.booted.build_s) {
            return refused(
                "This time is before the release was made or more than ten years after it: \
                 correct the clock of the device that you use.",
            );
        }
        let old_s = crate::clock::now_s();
        let tv_sec = i64::try_from(unix_s).unwrap_or(i64::MAX);
        let tv_nsec = i64::try_from(unix_ms % 1_000).unwrap_or(0) * 1_000_000;
        if let Err(error) = clock_settime(ClockId::Realtime, Timespec { tv_sec, tv_nsec }) {
            return refused(&format!("The clock could not be set: {error}."));
        }
        let source = ClockSource::Owner;
        self.on_clock(ClockReport { source, old_s, new_s: unix_s });
        FromInit::Done
    }

    /// Writes the order into the slot area, from where no power cut takes it back; the next boot
    /// carries it out. `None` when that is done and the box restarts.
    pub(crate) fn on_factory_reset(&mut self) -> Option<FromInit> {
        let provisioning = self.booted.provisioning.as_ref().map(|file| file.id);
        let Some(slots) = &mut self.booted.slots else {
            return Some(refused("There is no slot area on this card; flash it anew."));
        };
        match slots.order_reset(provisioning) {
            Ok(()) => {
                self.logs.say("A factory reset was ordered by the owner; the box restarts for it.");
                None
            }
            Err(why) => Some(refused(&why)),
        }
    }

    pub(crate) fn status(&self) -> Status {
        let slots = self.booted.slots.as_ref().map(|slots| slots.area().slots.clone());
        let notes = self.notes().iter().take(NOTES_MAX).map(|note| sentence(note)).collect();
        Status {
            uptime_ms: boot_ms(),
            slots: slots.unwrap_or([SlotState::Empty, SlotState::Empty]),
            boot: self.booted.verdict,
            starts: self.linnetd.starts(),
            clock_set: self.facts.clock_set,
            clock: self.clock.clone(),
            watchdog: self.booted.watchdog.is_open(),
            network: self.network.clone(),
            host_name: self.booted.welcome.host_name.clone(),
            time_zone: self.booted.effective().time_zone,
            board: self.board.clone(),
            last_end: self.booted.last_end.clone(),
            notes,
        }
    }

    /// Sentences for the owner: what is wrong now, then what was wrong at the start.
    fn notes(&self) -> Vec<String> {
        let mut notes = board::notes(&self.board);
        notes.extend(self.network.complaints.iter().cloned());
        notes.extend(self.clock.as_ref().and_then(crate::clock::note));
        notes.extend(self.booted.last_end.as_ref().and_then(crate::evidence::note));
        notes.extend(self.booted.notes.iter().cloned());
        notes.extend(self.booted.welcome.complaints.iter().cloned());
        notes
    }
}

fn is_plausible(unix_s: u64, build_s: u64) -> bool {
    (build_s..=build_s.saturating_add(CLOCK_AHEAD_S)).contains(&unix_s) || build_s == 0
}

pub(crate) fn refused(reason: &str) -> FromInit {
    FromInit::Refused { reason: sentence(reason) }
}
