//! One process's part of a run: what scenarios are written with.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use indicatif::ProgressBar;
use rustix::time::{ClockId, clock_gettime};

use crate::dialect::{Dialect, Event};
use crate::gate::{Gate, Step};
use crate::latency::Latency;
use crate::layout::Layout;
use crate::ledger::{Ledger, Progress};
use crate::limits::{LINGER, TURN};
use crate::options::Options;
use crate::pool::{Happening, Pool};
use crate::stamp::Stamp;
use crate::tally::Tally;

/// What the last turn brought, for scenarios to react to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// This slot's session may publish.
    Ready(usize),
    /// The server took a message of this slot.
    Acked(usize),
    /// A message of this slot reached everybody and was taken.
    Done(usize),
    /// This slot got a message of a room.
    Delivered {
        /// Who got it.
        slot: usize,
        /// Where it was posted.
        room: u32,
    },
    /// This slot's ping was answered.
    Pong(usize),
}

/// Which part of the sessions and messages is this process's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    /// From 0.
    pub(crate) part: u32,
    /// Of how many.
    pub(crate) parts: u32,
}

impl Share {
    /// The whole.
    pub(crate) const ALL: Self = Self { part: 0, parts: 1 };

    /// First and one past the last of this part of `total`.
    pub(crate) fn of(self, total: u64) -> (u64, u64) {
        let edge = |part: u32| total * u64::from(part) / u64::from(self.parts);
        (edge(self.part), edge(self.part + 1))
    }

    /// This part's number of `total`.
    pub(crate) fn count(self, total: u64) -> u64 {
        let (first, end) = self.of(total);
        end - first
    }
}

/// A process's connections, accounts and clock during a scenario.
pub(crate) struct Run<'a> {
    pub(crate) pool: Pool<'a>,
    pub(crate) dialect: &'a dyn Dialect,
    pub(crate) layout: &'a Layout,
    pub(crate) options: &'a Options,
    pub(crate) share: Share,
    pub(crate) tally: Tally,
    pub(crate) news: Vec<News>,
    pub(crate) gate: Gate,
    ledger: Ledger,
    happenings: Vec<Happening>,
    /// When each slot last began to connect.
    began_ns: Vec<u64>,
    deadline: Instant,
    bar: ProgressBar,
    cpu_at_ready: Duration,
    bytes_at_ready: u64,
    ready_at_ns: u64,
    frozen: bool,
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        pool: Pool<'a>,
        dialect: &'a dyn Dialect,
        layout: &'a Layout,
        options: &'a Options,
        share: Share,
        gate: Gate,
        bar: ProgressBar,
    ) -> Self {
        let slots = pool.slots();
        Self {
            pool,
            dialect,
            layout,
            options,
            share,
            tally: Tally::default(),
            news: Vec::new(),
            gate,
            ledger: Ledger::new(slots),
            happenings: Vec::new(),
            began_ns: vec![0; slots],
            deadline: Instant::now() + options.time_limit(),
            bar,
            cpu_at_ready: Duration::ZERO,
            bytes_at_ready: 0,
            ready_at_ns: 0,
            frozen: false,
        }
    }

    /// Passes a step; what is measured lies between `Ready` and `Measured`.
    pub(crate) fn pass(&mut self, step: Step) -> Result<()> {
        if step == Step::Measured {
            let used = cpu_time().saturating_sub(self.cpu_at_ready);
            self.tally.load_cpu_us = u64::try_from(used.as_micros()).expect("runs are short");
            self.tally.bytes_received = self.pool.bytes_received - self.bytes_at_ready;
        }
        self.gate.pass(step)?;
        if step == Step::Ready {
            self.cpu_at_ready = cpu_time();
            self.bytes_at_ready = self.pool.bytes_received;
            self.ready_at_ns = self.pool.now_ns();
        }
        Ok(())
    }

    /// How far the measured phase is to go.
    pub(crate) fn expect(&self, what: &str, total: u64) {
        self.bar.set_message(what.to_owned());
        self.bar.set_length(total);
        self.bar.set_position(0);
    }

    /// How far it went.
    pub(crate) fn progress(&self, position: u64) {
        self.bar.set_position(position);
    }

    /// Whether going on is pointless: the time is up, or a connection broke.
    pub(crate) fn is_over(&self) -> bool {
        self.pool.broken > 0 || Instant::now() >= self.deadline
    }

    /// Connects a slot and notes when.
    pub(crate) fn connect(&mut self, slot: usize) {
        self.began_ns[slot] = self.pool.now_ns();
        self.pool.connect(slot);
    }

    /// Connects the first slot and waits until it is ready.
    pub(crate) fn connect_alone(&mut self) -> Result<()> {
        self.connect(0);
        loop {
            self.turn(TURN)?;
            if self.count(|news| *news == News::Ready(0)) > 0 {
                return Ok(());
            }
            if self.is_over() {
                bail!("the first session did not become ready; {}", self.pool.reasons.join("; "));
            }
        }
    }

    /// Forgets all counts: what came so far was preparation.
    pub(crate) fn begin_anew(&mut self) {
        self.tally = Tally::default();
    }

    /// Connects all slots, at most `window` at once, and waits until all are ready. With `scout`
    /// the first one goes ahead, so that the others can begin where it is.
    pub(crate) fn connect_all(&mut self, window: usize, scout: bool) -> Result<()> {
        let slots = self.pool.slots();
        self.expect("connecting", u64::try_from(slots)?);
        let (mut begun, mut ready) = (0, 0);
        while ready < slots {
            let ahead = if scout && ready == 0 { 1 } else { window };
            while begun < slots && begun - ready < ahead {
                self.connect(begun);
                begun += 1;
            }
            self.turn(TURN)?;
            ready += self.count(|news| matches!(news, News::Ready(_)));
            self.progress(u64::try_from(ready)?);
            if self.is_over() {
                let reasons = self.pool.reasons.join("; ");
                bail!("{ready} of {slots} sessions became ready; {reasons}");
            }
        }
        self.tally.sessions = u64::try_from(slots)?;
        Ok(())
    }

    pub(crate) fn count(&self, wanted: impl Fn(&News) -> bool) -> usize {
        self.news.iter().filter(|news| wanted(news)).count()
    }

    /// Posts a message that was due at this time and should reach so many members.
    pub(crate) fn post(&mut self, slot: usize, room: u32, due_ns: u64, deliveries: u32) {
        let seq = self.ledger.post(slot, due_ns, deliveries, self.dialect.acks());
        let stamp = Stamp { sender: self.pool.index(slot), seq };
        self.tally.messages += 1;
        self.pool.act(slot, |session, out| session.publish(room, stamp, out));
    }

    /// How many sessions of a room with so many connected members get a message of one of them.
    pub(crate) fn audience(&self, members: u32) -> u32 {
        if self.dialect.echoes() { members } else { members - 1 }
    }

    /// Waits for sockets, at most this long; what happened is in `news`.
    pub(crate) fn turn(&mut self, wait: Duration) -> Result<()> {
        self.happenings.clear();
        self.news.clear();
        self.pool.turn(wait, &mut self.happenings)?;
        let happenings = std::mem::take(&mut self.happenings);
        happenings.iter().for_each(|happening| self.take(happening));
        self.happenings = happenings;
        Ok(())
    }

    fn take(&mut self, happening: &Happening) {
        let Happening { slot, at_ns, event } = *happening;
        match event {
            Event::Ready => {
                self.tally.ready.record(at_ns - self.began_ns[slot]);
                self.news.push(News::Ready(slot));
            }
            Event::Pong => self.news.push(News::Pong(slot)),
            Event::Acked { stamp } => {
                let (progress, complete) = self.ledger.acked(slot, stamp, at_ns);
                self.account(slot, progress, complete, at_ns);
            }
            Event::Delivered { room, stamp } => {
                let Some(sender) = self.pool.slot(stamp.sender) else { return };
                let (progress, complete) = self.ledger.delivered(slot, sender, stamp, at_ns);
                if matches!(progress, Progress::Delivered { .. }) {
                    self.news.push(News::Delivered { slot, room });
                }
                self.account(sender, progress, complete, at_ns);
            }
        }
    }

    fn account(&mut self, sender: usize, progress: Progress, complete: bool, at_ns: u64) {
        match progress {
            Progress::Nothing => {}
            Progress::Duplicate => self.tally.duplicates += 1,
            Progress::Delivered { .. } if self.frozen => {}
            Progress::Delivered { latency_ns } => {
                let since = at_ns.saturating_sub(self.ready_at_ns);
                self.tally.delivered(latency_ns, since);
            }
            Progress::Acked { latency_ns } => {
                self.tally.acks += 1;
                self.tally.ack.record(latency_ns);
                self.news.push(News::Acked(sender));
            }
        }
        if complete {
            self.news.push(News::Done(sender));
        }
    }

    /// Turns for this long, for what may come late.
    pub(crate) fn idle(&mut self, wait: Duration) -> Result<()> {
        let end = Instant::now() + wait;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            if self.is_over() {
                break;
            }
            self.turn(left.min(TURN))?;
        }
        Ok(())
    }

    /// Waits until nothing is missing any more, or the run is over.
    pub(crate) fn settle(&mut self) -> Result<()> {
        while self.ledger.missing() != (0, 0) && !self.is_over() {
            self.turn(TURN)?;
        }
        Ok(())
    }

    /// Whether no ack is on its way to this slot.
    pub(crate) fn is_at_rest(&self, slot: usize) -> bool {
        self.ledger.is_at_rest(slot)
    }

    /// Cuts a connection and begins another one of the same session at once.
    pub(crate) fn reconnect(&mut self, slot: usize) {
        self.tally.reconnects += 1;
        self.pool.close(slot);
        self.connect(slot);
    }

    /// Forgets how long sessions took to become ready so far, as the next ones are measured.
    pub(crate) fn forget_ready(&mut self) {
        self.tally.ready = Latency::default();
    }

    /// What was delivered so far is what the rest is compared with; counts begin anew.
    pub(crate) fn keep_as_baseline(&mut self) {
        let tally = &mut self.tally;
        tally.baseline = std::mem::take(&mut tally.delivery);
        tally.ack = Latency::default();
        tally.windows.clear();
        (tally.messages, tally.deliveries, tally.acks) = (0, 0, 0);
    }

    /// What is delivered from now on is awaited, but its latency means nothing.
    pub(crate) fn freeze_latency(&mut self) {
        self.frozen = true;
    }

    /// Ends the run: waits a little for duplicates, counts what never came.
    pub(crate) fn finish(mut self) -> Result<(Tally, Gate)> {
        self.tally.timed_out = Instant::now() >= self.deadline;
        self.idle(LINGER)?;
        let (deliveries, acks) = self.ledger.missing();
        self.tally.lost += deliveries + acks;
        self.tally.broken = self.pool.broken;
        self.tally.reasons = std::mem::take(&mut self.pool.reasons);
        self.bar.finish_and_clear();
        Ok((self.tally, self.gate))
    }
}

/// Processor time of this process.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).expect("processor time is positive")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cover_everything_once() {
        let parts = |total| (0..3).map(move |part| Share { part, parts: 3 }.of(total));
        assert_eq!(parts(10).collect::<Vec<_>>(), [(0, 3), (3, 6), (6, 10)]);
        assert_eq!(parts(2).map(|(first, end)| end - first).sum::<u64>(), 2);
        assert_eq!(Share::ALL.count(7), 7);
    }
}
