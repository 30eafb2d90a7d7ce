//! Members that stop reading in a busy room: what the others notice of it, and what the server
//! keeps for them.

use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;

use super::Drive;
use super::pace::{open_loop, post_at};
use crate::dialect::Dialect;
use crate::gate::Step;
use crate::layout::Layout;
use crate::run::Run;

/// Receive window of the members that will stall, in bytes: small, so that the server feels it.
const WINDOW_BYTES: usize = 4 * 1024;

/// Payload in bytes: a run's messages are more than a server may keep for one session.
const PAYLOAD_BYTES: usize = 1_000;

/// Options of `slow`.
#[derive(Args, Clone, Debug)]
pub struct Slow {
    /// How many members read.
    #[arg(long, default_value_t = 100)]
    pub readers: u32,

    /// How many members stop reading.
    #[arg(long, default_value_t = 1_000)]
    pub stalled: u32,

    /// Messages a second to the room.
    #[arg(long, value_name = "PER_SECOND", default_value_t = 50.0)]
    pub rate: f64,

    /// How many messages before, and as many after they stop.
    #[arg(long, default_value_t = 1_000)]
    pub messages: u64,
}

impl Drive for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn sessions(&self) -> u32 {
        self.readers.saturating_add(self.stalled)
    }

    fn messages(&self) -> u64 {
        self.messages.saturating_mul(2)
    }

    fn unit(&self) -> u32 {
        self.sessions()
    }

    fn payload_bytes(&self) -> usize {
        PAYLOAD_BYTES
    }

    fn check(&self, layout: &Layout, _dialect: &dyn Dialect) -> Result<()> {
        let members = layout.big.members;
        ensure!(self.readers > 1, "somebody must read and somebody write");
        ensure!(self.sessions() <= members, "the layout's big room has {members} members");
        ensure!(self.rate > 0.0, "--rate must be above 0");
        Ok(())
    }

    fn drive(&self, run: &mut Run<'_>) -> Result<()> {
        run.pass(Step::Before)?;
        run.connect_all(run.options.connecting, true)?;
        let first_stalled = usize::try_from(self.readers)?;
        let stalled = first_stalled..run.pool.slots();
        stalled.clone().for_each(|slot| run.pool.shrink_window(slot, WINDOW_BYTES));
        let room = run.layout.big.room;
        let everybody = run.audience(self.sessions());
        run.expect("baseline", self.messages);
        open_loop(run, self.messages, self.rate, |run, _, due| run.post(0, room, due, everybody))?;
        run.keep_as_baseline();
        stalled.clone().for_each(|slot| run.pool.stall(slot, true));
        run.pass(Step::Ready)?;
        self.with_stalled(run, room, everybody)?;
        run.pass(Step::Measured)?;
        stalled.for_each(|slot| run.pool.stall(slot, false));
        // Those who had stalled pull what they missed: nothing may be lost to them either.
        run.settle()?;
        run.pass(Step::Checked)
    }
}

impl Slow {
    /// Posts at the rate, and waits for nobody who does not read.
    fn with_stalled(&self, run: &mut Run<'_>, room: u32, everybody: u32) -> Result<()> {
        run.expect("stalled", self.messages);
        post_at(run, self.messages, self.rate, |run, _, due| {
            run.post(0, room, due, everybody);
        })?;
        run.idle(Duration::from_secs(1))?;
        // What the stalled ones pull later was not late by the room's fault.
        run.freeze_latency();
        Ok(())
    }
}
