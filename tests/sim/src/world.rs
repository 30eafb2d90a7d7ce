//! One run: simulated time, the queue of events, and who handles which.

use std::collections::BTreeMap;

use chat::{Output, Ticket};
use wire::ids::{Offset, RoomId, Seq};
use wire::server::{Message, Reason, SyncMode};
use wire::{ClientMessage, ServerMessage};

use crate::client::Client;
use crate::machine::Machine;
use crate::mutants::Faults;
use crate::net::Link;
use crate::plan::Plan;
use crate::random::Random;
use crate::trace::Trace;
use crate::truth::Truth;
use crate::violation::{Checked, Violation, broken};

/// Simulated time after the active part until everything must have settled.
const SETTLE_MS: u64 = 240_000;

/// Events of one run; more means that something runs in circles.
const EVENTS_MAX: u64 = 3_000_000;

/// What happens next.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Start,
    Tick { generation: u64 },
    Commit { generation: u64 },
    Checkpoint { generation: u64 },
    Read { generation: u64, ticket: Ticket, room: RoomId, first: Seq, last: Seq },
    Fault { again: bool },
    Refill,
    Connect { client: usize },
    Arrive { link: usize, request: u32, message: ClientMessage },
    Opened { link: usize },
    Gone { link: usize },
    Flushed { link: usize },
    Overflowed { link: usize },
    Drain { link: usize },
    Act { client: usize },
    Watch { client: usize },
}

/// Numbers for the last line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) commands: u64,
    pub(crate) messages: u64,
    pub(crate) kills: u64,
    pub(crate) cuts: u64,
    pub(crate) failed_syncs: u64,
    pub(crate) restores: u64,
    pub(crate) overflows: u64,
    pub(crate) checkpoints: u64,
    pub(crate) full: u64,
    /// How often clients met what.
    pub(crate) met: BTreeMap<&'static str, u64>,
}

pub(crate) struct World {
    pub(crate) random: Random,
    pub(crate) plan: Plan,
    pub(crate) now: u64,
    events: BTreeMap<(u64, u64), Event>,
    order: u64,
    pub(crate) machine: Machine,
    pub(crate) truth: Truth,
    pub(crate) clients: Vec<Client>,
    pub(crate) links: Vec<Link>,
    pub(crate) link_of: Vec<Option<usize>>,
    /// Messages that left the box: they must never change or vanish.
    pub(crate) promised: BTreeMap<Offset, Message>,
    pub(crate) active: bool,
    /// Records of the first accounts.
    pub(crate) set_up_head: Offset,
    pub(crate) tally: Tally,
    pub(crate) trace: Trace,
}

/// What a run came to.
pub(crate) struct Ended {
    pub(crate) tally: Tally,
    pub(crate) hash: u64,
    pub(crate) violation: Option<Violation>,
}

/// Runs one seed to its end.
pub(crate) fn run(seed: u64, faults: Faults, print: bool) -> Ended {
    let mut random = Random::new(seed);
    let plan = Plan::new(&mut random);
    let mut trace = Trace::new(print);
    trace.line(0, &format!("{plan:?}"));
    let machine = Machine::new(&mut random, &plan, faults);
    let mut world = World {
        random,
        plan,
        now: 1,
        events: BTreeMap::new(),
        order: 0,
        machine,
        truth: Truth::default(),
        clients: Vec::new(),
        links: Vec::new(),
        link_of: Vec::new(),
        promised: BTreeMap::new(),
        active: true,
        set_up_head: Offset(0),
        tally: Tally::default(),
        trace,
    };
    let violation = world.play().err();
    if let Some(violation) = &violation {
        world.note(|| format!("VIOLATION {}: {}", violation.check, violation.text));
    }
    Ended { tally: world.tally, hash: world.trace.hash(), violation }
}

impl World {
    fn play(&mut self) -> Checked {
        self.set_up()?;
        let end = self.now + self.plan.active_ms;
        self.run_until(end)?;
        self.heal()?;
        let limit = self.now + SETTLE_MS;
        while !self.settled()? {
            if self.now > limit {
                self.check_end()?;
                return broken("settles", self.unsettled());
            }
            let next = self.now + 500;
            self.run_until(next)?;
        }
        self.check_end()
    }

    pub(crate) fn run_until(&mut self, end: u64) -> Checked {
        while let Some((&(time, order), _)) = self.events.first_key_value() {
            if time > end {
                break;
            }
            let Some(event) = self.events.remove(&(time, order)) else { break };
            self.now = self.now.max(time);
            if self.order > EVENTS_MAX {
                return broken("settles", "the run goes in circles");
            }
            self.handle(event)?;
        }
        self.now = end;
        Ok(())
    }

    pub(crate) fn after(&mut self, delay: u64, event: Event) {
        self.order += 1;
        self.events.insert((self.now + delay, self.order), event);
    }

    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        let text = line();
        self.trace.line(self.now, &text);
    }

    fn handle(&mut self, event: Event) -> Checked {
        let generation = self.machine.generation;
        match event {
            Event::Start => self.start(),
            Event::Tick { generation: then } if then == generation => self.tick(),
            Event::Commit { generation: then } if then == generation => self.commit(),
            Event::Checkpoint { generation: then } if then == generation => self.checkpoint(),
            Event::Read { generation: then, ticket, room, first, last } if then == generation => {
                self.read(ticket, room, first, last)
            }
            Event::Tick { .. }
            | Event::Commit { .. }
            | Event::Checkpoint { .. }
            | Event::Read { .. } => Ok(()),
            Event::Fault { again } => self.fault(again),
            Event::Refill => {
                self.machine.disk.set_capacity(u64::MAX);
                Ok(())
            }
            Event::Connect { client } => self.connect(client),
            Event::Arrive { link, request, message } => self.arrive(link, request, message),
            Event::Opened { link } => self.opened(link),
            Event::Gone { link } => self.gone(link),
            Event::Flushed { link } => self.flushed(link),
            Event::Overflowed { link } => self.overflowed(link),
            Event::Drain { link } => self.drain(link),
            Event::Act { client } => self.act(client),
            Event::Watch { client } => self.watch(client),
        }
    }

    /// Carries out what the core asked for.
    pub(crate) fn carry_out(&mut self) -> Checked {
        while let Some(output) = self.machine.poll() {
            self.one_output(output)?;
        }
        if self.machine.wants_commit() {
            let delay = self.random.between(1, self.plan.sync_ms_max);
            let generation = self.machine.generation;
            self.after(delay, Event::Commit { generation });
        }
        Ok(())
    }

    fn one_output(&mut self, output: Output) -> Checked {
        let generation = self.machine.generation;
        match output {
            Output::Append(entry) => {
                self.machine.append(entry);
                Ok(())
            }
            Output::Send { to, request, message, flush_note } => {
                self.promise(&message)?;
                for session in to.as_slice() {
                    self.queue(*session, request, &message, flush_note)?;
                }
                Ok(())
            }
            Output::Close { session, closing } => {
                self.note(|| format!("{session:?} closed: {closing:?}"));
                self.close_link(session, closing.reason)
            }
            Output::ApiDone { ticket, reply } => self.api_done(ticket, &reply),
            Output::Read { ticket, room, first, last } => {
                self.tally.meet("cold read");
                let delay = self.random.between(1, 60);
                self.after(delay, Event::Read { generation, ticket, room, first, last });
                Ok(())
            }
            Output::Checkpoint { applied, changes } => {
                self.machine.hold_checkpoint(applied, changes);
                let delay = self.random.between(1, 120);
                self.after(delay, Event::Checkpoint { generation });
                Ok(())
            }
        }
    }

    /// What leaves the box is a promise.
    fn promise(&mut self, message: &ServerMessage) -> Checked {
        match message {
            ServerMessage::Message(message) => self.promise_message(message),
            ServerMessage::Room(room) => {
                room.last.as_ref().map_or(Ok(()), |last| self.promise_message(last))
            }
            ServerMessage::HistoryPage(page) => {
                page.messages.iter().try_for_each(|message| self.promise_message(message))
            }
            _ => Ok(()),
        }
    }

    fn promise_message(&mut self, message: &Message) -> Checked {
        match self.promised.insert(message.offset, message.clone()) {
            Some(before) if before != *message => {
                broken("one content", format!("{before:?} became {message:?}"))
            }
            _ => Ok(()),
        }
    }
}

impl Tally {
    pub(crate) fn meet(&mut self, what: &'static str) {
        *self.met.entry(what).or_default() += 1;
    }

    /// Notes what a client was sent.
    pub(crate) fn meet_message(&mut self, message: &ServerMessage) {
        self.meet(match message {
            ServerMessage::Welcome(welcome) => match welcome.sync {
                SyncMode::Resumed => "resumed",
                SyncMode::CatchUp => "catch-up",
                SyncMode::Reset => "reset",
            },
            ServerMessage::Error(error) => match error.reason {
                Reason::Gap => "gap",
                Reason::Conflict => "conflict",
                Reason::Busy => "busy",
                Reason::CardFull => "card full",
                _ => "other error",
            },
            other => other.name(),
        });
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.commands += other.commands;
        self.messages += other.messages;
        self.kills += other.kills;
        self.cuts += other.cuts;
        self.failed_syncs += other.failed_syncs;
        self.restores += other.restores;
        self.overflows += other.overflows;
        self.checkpoints += other.checkpoints;
        self.full += other.full;
        for (what, count) in &other.met {
            *self.met.entry(what).or_default() += count;
        }
    }
}
