//! Sessions that exchanged one long message each and then are silent: memory per session, and
//! whether all still live afterwards.

use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;

use super::Drive;
use super::durable::own_rooms;
use super::pace::{After, closed_loop};
use crate::dialect::Dialect;
use crate::gate::Step;
use crate::layout::Layout;
use crate::limits::TURN;
use crate::run::{News, Run};

/// Payload in bytes: fills the buffers that a session might keep.
const PAYLOAD_BYTES: usize = 4_096;

/// Messages under way at once, so that memory for queues does not count as the sessions'.
const OUTSTANDING: usize = 32;

/// Messages under way at once in the warm-up: below what a device may have without an ack.
const WARM_UP_OUTSTANDING: u32 = 16;

/// For the server to see that the one who warmed it up has gone.
const GONE: Duration = Duration::from_millis(500);

/// Options of `idle`.
#[derive(Args, Clone, Debug)]
pub struct Idle {
    /// How many sessions.
    #[arg(long, default_value_t = 4_000)]
    pub sessions: u32,

    /// Seconds of silence before memory is looked at.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub silence: u64,

    /// Messages posted beforehand, so that what the server keeps of recent messages, whoever
    /// posted them, does not count as the sessions' memory.
    #[arg(long, value_name = "MESSAGES", default_value_t = 8_192)]
    pub warm_up: u64,

    /// Connects only, and exchanges nothing.
    #[arg(long)]
    pub untouched: bool,
}

impl Drive for Idle {
    fn name(&self) -> &'static str {
        "idle"
    }

    fn sessions(&self) -> u32 {
        self.sessions
    }

    fn messages(&self) -> u64 {
        if self.untouched { 0 } else { u64::from(self.sessions).saturating_add(self.warm_up) }
    }

    fn payload_bytes(&self) -> usize {
        PAYLOAD_BYTES
    }

    fn measured(&self) -> (Step, Step) {
        (Step::Before, Step::Measured)
    }

    fn per_session(&self) -> bool {
        true
    }

    fn check(&self, layout: &Layout, _dialect: &dyn Dialect) -> Result<()> {
        let rooms = u32::try_from(layout.own.len())?;
        let users = self.sessions.min(layout.users);
        ensure!(self.untouched || rooms >= users, "the layout has {rooms} rooms of one's own");
        Ok(())
    }

    fn drive(&self, run: &mut Run<'_>) -> Result<()> {
        self.warm_up(run)?;
        run.pass(Step::Before)?;
        run.connect_all(run.options.connecting, true)?;
        run.pass(Step::Ready)?;
        if !self.untouched {
            exchange(run)?;
        }
        run.idle(Duration::from_secs(self.silence))?;
        run.pass(Step::Measured)?;
        ping_all(run)?;
        run.pass(Step::Checked)
    }
}

impl Idle {
    /// The first session of this process posts its share alone and leaves.
    fn warm_up(&self, run: &mut Run<'_>) -> Result<()> {
        let total = run.share.count(self.warm_up);
        if self.untouched || total == 0 {
            return Ok(());
        }
        run.connect_alone()?;
        let (room, echoes) = (own_rooms(run)?[0], run.audience(1));
        closed_loop(run, total, &[0], WARM_UP_OUTSTANDING, After::Everybody, |run, slot, due| {
            run.post(slot, room, due, echoes);
        })?;
        run.pool.close(0);
        run.begin_anew();
        run.idle(GONE)
    }
}

/// Every session posts to its own room and waits for its own copy. Other devices of the same user
/// get copies too; they are not waited for.
fn exchange(run: &mut Run<'_>) -> Result<()> {
    let rooms = own_rooms(run)?;
    let slots = rooms.len();
    let echoes = run.audience(1);
    run.expect("messages", u64::try_from(slots)?);
    let (mut posted, mut done) = (0, 0);
    while done < slots && !run.is_over() {
        while posted < slots && posted - done < OUTSTANDING {
            let now = run.pool.now_ns();
            run.post(posted, rooms[posted], now, echoes);
            posted += 1;
        }
        run.turn(TURN)?;
        done += run.count(|news| matches!(news, News::Done(_)));
        run.progress(u64::try_from(done)?);
    }
    Ok(())
}

/// Asks every session for a sign of life; one that gives none is lost.
fn ping_all(run: &mut Run<'_>) -> Result<()> {
    let slots = run.pool.slots();
    run.expect("pings", u64::try_from(slots)?);
    let (mut asked, mut waiting, mut answered) = (0, 0, 0);
    while (asked < slots || waiting > answered) && !run.is_over() {
        while asked < slots && waiting - answered < OUTSTANDING {
            if run.pool.act(asked, |session, out| session.ping(out)) == Some(true) {
                waiting += 1;
            }
            asked += 1;
        }
        if waiting > answered {
            run.turn(TURN)?;
            answered += run.count(|news| matches!(news, News::Pong(_)));
        }
        run.progress(u64::try_from(answered)?);
    }
    run.tally.lost += u64::try_from(slots - asked + waiting - answered)?;
    Ok(())
}
