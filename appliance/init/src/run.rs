//! The main loop of pid 1: one event at a time, every decision in one place, nothing that blocks.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use rustix::process::{Signal, WaitOptions, wait};
use update::control::{
    BoardHealth, ClockReport, FromInit, FromNet, Health, LedHint, Network, SOCKET_PATH, ToInit,
    VERSION,
};
use update::control::{read_frame, sentence};
use update::slots::BootVerdict;

use crate::board;
use crate::boot::Booted;
use crate::clock::{self, boot_ms};
use crate::cmdline::TestWord;
use crate::control::{self, ConnectionId, Connections};
use crate::events::{self, Ending, Event};
use crate::keeping::Keeper;
use crate::limits::{
    AT_REST_MS, BOARD_LOOK_MS, CLOCK_PERSIST_MS, EVENTS_MAX, SILENT_KILL_MS, TICK_MS,
};
use crate::logs::Logs;
use crate::mounts::{DATA_LINNET, RUN_NET};
use crate::orders::refused;
use crate::status;
use crate::supervise::{Program, SELF, Service};
use crate::watchdog::Vigil;
use crate::{memory, power, storage};

const LINNETD: &str = "/usr/bin/linnetd";

/// Runs until the box is to stop; hands back what the orderly end needs.
pub(crate) fn run(booted: Booted, logs: &Logs) -> (Ending, Running) {
    let (sender, receiver) = sync_channel(EVENTS_MAX);
    if let Err(error) = events::watch_signals(sender.clone()) {
        logs.say(&format!("Signals cannot be watched: {error}."));
    }
    let path = Path::new(SOCKET_PATH);
    if let Err(error) = control::listen(path, sender.clone(), logs) {
        logs.say(&format!("The control socket cannot be opened: {error}."));
    }
    power::watch(sender.clone());
    if let (Some(disk), Some(offset)) = (&booted.disk, booted.cmdline.slot_area) {
        storage::watch(disk.device(), offset, sender.clone());
    }
    booted.hand_on_net_settings(logs);
    let mut running = Running::new(booted, sender, logs.clone());
    let ending = running.until_stopped(&receiver);
    (ending, running)
}

/// Everything that the main loop knows.
pub(crate) struct Running {
    pub(crate) booted: Booted,
    pub(crate) keeper: Keeper,
    pub(crate) logs: Logs,
    events: SyncSender<Event>,
    pub(crate) linnetd: Service,
    pub(crate) net: Service,
    /// Only where the owner named a log server.
    syslog: Option<Service>,
    pub(crate) connections: Connections,
    vigil: Vigil,
    pub(crate) facts: status::Facts,
    pub(crate) network: Network,
    pub(crate) clock: Option<ClockReport>,
    pub(crate) board: BoardHealth,
    board_said: Vec<String>,
    looked_at_ms: u64,
    heard_at_ms: u64,
    persisted_at_ms: u64,
    running_said: bool,
    /// When the memory is to be counted, if a test asks for it.
    memory_at_ms: Option<u64>,
    complaint: Option<&'static str>,
    pub(crate) crash_kept_at_ms: Option<u64>,
}

impl Running {
    fn new(booted: Booted, events: SyncSender<Event>, logs: Logs) -> Self {
        let now = boot_ms();
        let log_server = booted.provisioning.as_ref().and_then(|file| file.syslog.clone());
        let facts = status::Facts {
            trial: booted.verdict == Some(BootVerdict::Trial),
            rolled_back: matches!(
                booted.verdict,
                Some(BootVerdict::RolledBack | BootVerdict::Unbootable)
            ),
            failed: booted.welcome.rescue.is_some(),
            clock_set: booted.clock_set,
            ..status::Facts::default()
        };
        Self {
            linnetd: Service::new(linnetd(booted.welcome.rescue.as_deref())),
            net: Service::new(net()),
            syslog: log_server
                .map(|server| Service::new(syslog(&server, &booted.welcome.host_name))),
            booted,
            logs,
            events,
            connections: Connections::default(),
            keeper: Keeper::default(),
            vigil: Vigil::new(now),
            facts,
            network: Network::default(),
            board: BoardHealth::default(),
            board_said: Vec::new(),
            looked_at_ms: 0,
            clock: None,
            heard_at_ms: now,
            persisted_at_ms: now,
            running_said: false,
            memory_at_ms: None,
            complaint: None,
            crash_kept_at_ms: None,
        }
    }

    fn until_stopped(&mut self, receiver: &Receiver<Event>) -> Ending {
        loop {
            let now = boot_ms();
            self.tick(now);
            match receiver.recv_timeout(self.pause(now)) {
                Ok(event) => {
                    if let Some(ending) = self.on(event) {
                        return ending;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    unreachable!("this loop keeps a sender of its own")
                }
            }
        }
    }

    /// Until the next tick or start, whichever is first.
    fn pause(&self, now_ms: u64) -> Duration {
        let services = [&self.linnetd, &self.net].into_iter().chain(&self.syslog);
        let due = services.filter_map(|s| s.due_in_ms(now_ms)).min();
        Duration::from_millis(due.map_or(TICK_MS, |due| due.clamp(1, TICK_MS)))
    }

    /// What time alone brings about.
    fn tick(&mut self, now_ms: u64) {
        if let Some(reports) = self.net.start_if_due(now_ms, &self.logs) {
            let events = self.events.clone();
            std::thread::spawn(move || follow_net(reports, &events));
        }
        if let Some(syslog) = &mut self.syslog {
            syslog.start_if_due(now_ms, &self.logs);
        }
        let starts = self.linnetd.starts();
        self.linnetd.start_if_due(now_ms, &self.logs);
        if self.linnetd.starts() != starts {
            self.heard_at_ms = now_ms;
            self.play_fault();
        }
        self.kill_silent(now_ms);
        self.feed(now_ms);
        if now_ms >= self.persisted_at_ms + CLOCK_PERSIST_MS {
            self.persisted_at_ms = now_ms;
            self.keep();
        }
        if now_ms >= self.looked_at_ms + BOARD_LOOK_MS {
            self.looked_at_ms = now_ms;
            self.look_at_board();
        }
        self.say_memory(now_ms);
        self.look_for_failure();
        self.booted.led.show(status::choose(&self.facts));
    }

    /// Once, when a test asked for it and the box has come to rest.
    fn say_memory(&mut self, now_ms: u64) {
        if self.memory_at_ms.is_some_and(|at| now_ms >= at) {
            self.memory_at_ms = None;
            memory::lines(Path::new("/proc")).iter().for_each(|line| self.logs.say(line));
        }
    }

    fn look_for_failure(&mut self) {
        let failing = self.linnetd.is_failing();
        if failing && !self.facts.failed {
            self.logs
                .say("linnetd fails over and over: the LED says \"failed\", the lines above why.");
        }
        self.facts.failed = self.booted.welcome.rescue.is_some() || failing;
    }

    /// What a test asked for on the command line.
    fn play_fault(&self) {
        let (signal, said) = match self.booted.cmdline.test {
            Some(TestWord::CrashLinnetd) => (Signal::KILL, "Test: linnetd is killed at its start."),
            Some(TestWord::HangLinnetd) => (Signal::STOP, "Test: linnetd is stopped at its start."),
            _ => return,
        };
        self.logs.say(said);
        self.linnetd.signal(signal);
    }

    /// Power, heat and card; each trouble is said when it comes up.
    fn look_at_board(&mut self) {
        self.board = self.booted.sensors.read(&self.board);
        let notes = board::notes(&self.board);
        for note in notes.iter().filter(|note| !self.board_said.contains(note)) {
            self.logs.say(note);
        }
        self.board_said = notes;
    }

    fn kill_silent(&mut self, now_ms: u64) {
        let silent = now_ms.saturating_sub(self.heard_at_ms) >= SILENT_KILL_MS;
        if silent && self.linnetd.running().is_some() {
            self.logs.say("linnetd has said nothing for 90 s; it is ended and started again.");
            self.linnetd.signal(Signal::KILL);
            self.heard_at_ms = now_ms;
        }
    }

    fn feed(&mut self, now_ms: u64) {
        // Without a slot area there is no storage probe to wait for.
        if self.booted.slots.is_none() {
            self.vigil.on_storage(now_ms);
        }
        let complaint = self.vigil.complaint(now_ms);
        if complaint != self.complaint {
            complaint.iter().for_each(|complaint| self.logs.say(complaint));
            self.complaint = complaint;
            self.note_stuck(complaint);
        }
        if self.vigil.may_feed(now_ms) {
            self.booted.watchdog.feed(now_ms);
        }
    }

    fn on(&mut self, event: Event) -> Option<Ending> {
        match event {
            Event::Child => self.reap(),
            Event::Stop(ending) => return Some(ending),
            Event::Net(FromNet::Network(network)) => self.on_network(network),
            Event::Net(FromNet::Clock(report)) => self.on_clock(report),
            Event::Connected(id, writer) => self.connections.add(id, writer),
            Event::Request(id, request) => return self.on_request(id, request),
            Event::Disconnected(id) => self.connections.remove(id),
            Event::StorageAnswered => self.vigil.on_storage(boot_ms()),
        }
        None
    }

    /// Collects every child that ended, orphans included.
    pub(crate) fn reap(&mut self) {
        // Not waitpid(None), which means init's own process group only.
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let now = boot_ms();
            if self.linnetd.on_exit(pid, status, now, &self.logs) {
                self.facts.healthy = false;
                self.facts.hint = LedHint::Nothing;
                self.keep_crash(now);
            } else if self.net.on_exit(pid, status, now, &self.logs) {
                self.on_network(Network::default());
            } else if let Some(syslog) = &mut self.syslog {
                syslog.on_exit(pid, status, now, &self.logs);
            }
        }
    }

    fn on_network(&mut self, network: Network) {
        self.facts.network = network.link && network.address.is_some();
        self.network = network.clone();
        self.booted.welcome.network = network.clone();
        self.connections.send_all(&FromInit::Network(network));
    }

    /// The clock is better than its floor from now on, and so is the next boot's.
    pub(crate) fn on_clock(&mut self, report: ClockReport) {
        if let Some(line) = clock::sentence(self.clock.as_ref(), &report) {
            self.logs.say(&line);
        }
        self.facts.clock_set = true;
        self.clock = Some(report);
        self.persist_clock();
    }

    fn on_request(&mut self, id: ConnectionId, request: ToInit) -> Option<Ending> {
        self.heard_at_ms = boot_ms();
        let answer = match request {
            ToInit::Hello { version: VERSION, release } => {
                self.logs.say(&format!("linnetd {} is connected.", sentence(&release)));
                FromInit::Welcome(Box::new(self.booted.welcome.clone()))
            }
            ToInit::Hello { version, .. } => refused(&format!(
                "linnetd speaks version {version} of the control protocol, init speaks {VERSION}."
            )),
            ToInit::Health(health) => return self.on_health(&health),
            ToInit::LedHint(hint) => {
                self.facts.hint = hint;
                return None;
            }
            ToInit::ClaimSpent { id } => self.spend(id),
            ToInit::Status => FromInit::Status(Box::new(self.status())),
            ToInit::ReadLogs { lines_max } => {
                FromInit::Logs { lines: self.logs.tail(usize::from(lines_max)) }
            }
            ToInit::Reboot => return self.stop(id, Ending::Reboot),
            ToInit::PowerOff => return self.stop(id, Ending::PowerOff),
            ToInit::Set(setting) => self.on_setting(setting),
            ToInit::SetTime { unix_ms } => self.on_time(unix_ms),
            ToInit::FactoryReset => match self.on_factory_reset() {
                Some(refused) => refused,
                None => return self.stop(id, Ending::Reboot),
            },
        };
        self.connections.send(id, &answer);
        None
    }

    fn stop(&mut self, id: ConnectionId, ending: Ending) -> Option<Ending> {
        self.connections.send(id, &FromInit::Done);
        Some(ending)
    }

    fn on_health(&mut self, health: &Health) -> Option<Ending> {
        let now = boot_ms();
        self.vigil.on_health(now, health.ok, health.progress);
        if self.facts.healthy && !health.ok {
            self.logs.say(&format!("linnetd is not well: {}", sentence(&health.detail)));
        }
        self.facts.healthy = health.ok;
        self.facts.claimed = health.claimed;
        if health.ok {
            self.linnetd.on_well(now);
            self.say_running(health, now);
        }
        if health.ok && !health.claimed {
            self.booted.claim.show(&self.network, &self.logs);
        }
        let tries = health.ok && self.booted.cmdline.test == Some(TestWord::Tryboot);
        tries.then_some(Ending::Tryboot)
    }

    /// Once per boot: the line that harnesses wait for. With a nonce on the command line only a
    /// health result that carries it counts, so that the guest's log cannot say it by itself.
    fn say_running(&mut self, health: &Health, now_ms: u64) {
        if let Some(line) =
            running_line(self.running_said, &self.booted.cmdline.health_nonce, health)
        {
            self.running_said = true;
            let counts = self.booted.cmdline.test == Some(TestWord::Memory);
            self.memory_at_ms = counts.then_some(now_ms + AT_REST_MS);
            self.logs.say(&format!("{line}boot_ms={now_ms}"));
        }
    }

    fn spend(&mut self, id: update::claim::ProvisioningId) -> FromInit {
        let Some(slots) = &mut self.booted.slots else {
            return refused("There is no slot area on this card; flash it anew.");
        };
        let mut area = slots.area().clone();
        if let Err(error) = area.spend(id) {
            return refused(&error.to_string());
        }
        match slots.store_for_ever(area) {
            Ok(()) => FromInit::Done,
            Err(error) => refused(&format!("The slot area could not be written: {error}.")),
        }
    }

    /// For the orderly end: no new starts, everybody is told.
    pub(crate) fn begin_end(&mut self, grace_ms: u32) {
        self.facts.long_work = true;
        self.booted.led.show(status::choose(&self.facts));
        let services = [&mut self.linnetd, &mut self.net].into_iter().chain(&mut self.syslog);
        services.for_each(Service::stop_restarting);
        self.net.signal(Signal::TERM);
        // linnetd ends by itself once it was told; a signal would only cut its checkpoint short.
        if !self.connections.send_all(&FromInit::Shutdown { grace_ms }) {
            self.linnetd.signal(Signal::TERM);
        }
    }

    /// Kills what did not end.
    pub(crate) fn kill_left(&mut self) {
        for service in [&self.linnetd, &self.net].into_iter().chain(&self.syslog) {
            service.signal(Signal::KILL);
        }
    }

    /// Whether any service still runs.
    pub(crate) fn any_left(&mut self) -> bool {
        self.reap();
        if self.linnetd.running().is_some() || self.net.running().is_some() {
            return true;
        }
        // The last to go, as the others' last words are for it.
        let syslog = self.syslog.as_ref().filter(|syslog| syslog.running().is_some());
        syslog.iter().for_each(|syslog| syslog.signal(Signal::TERM));
        syslog.is_some()
    }

    /// Feeds the watchdog during the bounded end.
    pub(crate) fn feed_end(&mut self) {
        self.booted.watchdog.feed(boot_ms());
    }
}

/// The start of the line, when it is due.
fn running_line(said: bool, wanted: &Option<String>, health: &Health) -> Option<String> {
    match wanted {
        _ if said || !health.ok => None,
        Some(nonce) if health.nonce.as_ref() == Some(nonce) => {
            Some(format!("running health_nonce={nonce} "))
        }
        Some(_) => None,
        None => Some("running ".to_owned()),
    }
}

/// Reads the child's reports until it ends.
fn follow_net(mut reports: impl std::io::Read, events: &SyncSender<Event>) {
    while let Ok(Some(report)) = read_frame(&mut reports) {
        if events.send(Event::Net(report)).is_err() {
            return;
        }
    }
}

fn linnetd(rescue: Option<&str>) -> Program {
    // Both families of addresses: `[::]` takes IPv4 as well.
    let fixed = [
        ("--data", DATA_LINNET),
        ("--listen", "[::]:443"),
        ("--listen-http", "[::]:80"),
        ("--listen-native", "[::]:7443"),
        ("--listen-quic", "[::]:7443"),
        ("--control", SOCKET_PATH),
    ];
    let rescue = rescue.map(|reason| ("--rescue", reason));
    let pairs = fixed.into_iter().chain(rescue);
    Program {
        name: "linnetd",
        path: LINNETD.to_owned(),
        arguments: pairs.flat_map(|(key, value)| [key.to_owned(), value.to_owned()]).collect(),
        guard: Some("linnetd"),
        takes_log: false,
        reports: false,
    }
}

pub(crate) fn net() -> Program {
    Program {
        name: "net",
        path: SELF.to_owned(),
        arguments: ["net", RUN_NET].map(str::to_owned).to_vec(),
        guard: Some("net"),
        takes_log: false,
        reports: true,
    }
}

/// The child that sends the log to the owner's server.
fn syslog(server: &str, host_name: &str) -> Program {
    Program {
        name: "syslog",
        path: SELF.to_owned(),
        arguments: ["syslog", server, host_name].map(str::to_owned).to_vec(),
        guard: Some("syslog"),
        takes_log: true,
        reports: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(ok: bool, nonce: Option<&str>) -> Health {
        let nonce = nonce.map(str::to_owned);
        Health { ok, detail: String::new(), nonce, progress: 1, claimed: true }
    }

    #[test]
    fn running_is_said_once_and_only_for_a_good_result_with_the_nonce() {
        let wanted = Some("n1".to_owned());
        let good = health(true, Some("n1"));
        let line = running_line(false, &wanted, &good);
        assert_eq!(line.as_deref(), Some("running health_nonce=n1 "));
        assert_eq!(running_line(true, &wanted, &good), None);
        for wrong in [health(false, Some("n1")), health(true, Some("n2")), health(true, None)] {
            assert_eq!(running_line(false, &wanted, &wrong), None, "{wrong:?}");
        }
        assert_eq!(running_line(false, &None, &health(true, None)).as_deref(), Some("running "));
    }

    #[test]
    fn linnetd_is_told_about_the_rescue_only_when_there_is_one() {
        assert!(!linnetd(None).arguments.contains(&"--rescue".to_owned()));
        let program = linnetd(Some("why"));
        assert_eq!(program.arguments[program.arguments.len() - 2..], ["--rescue", "why"]);
        assert_eq!(program.guard, Some("linnetd"));
    }

    #[test]
    fn reports_of_the_net_child_become_events_until_it_ends_or_lies() {
        let (sender, receiver) = sync_channel(4);
        let network = Network { link: true, ..Network::default() };
        let report = FromNet::Network(network);
        let mut bytes = update::control::encode(&report).unwrap();
        bytes.extend_from_slice(&[0xff; 8]);
        follow_net(bytes.as_slice(), &sender);
        drop(sender);
        let events: Vec<_> = receiver.iter().collect();
        assert!(matches!(events.as_slice(), [Event::Net(seen)] if *seen == report));
    }
}
