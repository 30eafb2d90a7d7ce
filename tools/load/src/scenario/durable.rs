//! How many messages a second the server acknowledges: senders post to rooms of their own and wait
//! for acks only.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::Drive;
use super::pace::{After, Quota, closed_loop, open_loop};
use crate::dialect::Dialect;
use crate::gate::Step;
use crate::layout::Layout;
use crate::run::Run;

/// Most messages one sender may have under way: Linnet remembers as many results.
const OUTSTANDING_MAX: u32 = 64;

/// Payload in bytes: what the store's own measurements use.
const PAYLOAD_BYTES: usize = 192;

/// Options of `durable`.
#[derive(Args, Clone, Debug)]
pub struct Durable {
    /// How many sessions post.
    #[arg(long, default_value_t = 256)]
    pub senders: u32,

    /// Messages without an ack that each keeps under way.
    #[arg(long, default_value_t = 16)]
    pub outstanding: u32,

    /// How many messages in all.
    #[arg(long, default_value_t = 200_000)]
    pub messages: u64,

    /// Seconds after which nothing more is posted, where each waits for acks.
    #[arg(long, value_name = "SECONDS")]
    pub seconds: Option<u64>,

    /// Messages a second, whatever the server does.
    #[arg(long, value_name = "PER_SECOND")]
    pub rate: Option<f64>,
}

impl Drive for Durable {
    fn name(&self) -> &'static str {
        "durable"
    }

    fn sessions(&self) -> u32 {
        self.senders
    }

    fn messages(&self) -> u64 {
        self.messages
    }

    fn payload_bytes(&self) -> usize {
        PAYLOAD_BYTES
    }

    fn check(&self, layout: &Layout, dialect: &dyn Dialect) -> Result<()> {
        ensure!(dialect.acks(), "{} acknowledges nothing", dialect.name());
        ensure!(self.senders <= layout.users, "the layout has {} users", layout.users);
        ensure!(layout.own_room(self.senders - 1).is_some(), "too few rooms of one's own");
        let allowed = 1..=OUTSTANDING_MAX;
        ensure!(allowed.contains(&self.outstanding), "--outstanding: 1 to {OUTSTANDING_MAX}");
        ensure!(self.rate.is_none_or(|rate| rate > 0.0), "--rate must be above 0");
        Ok(())
    }

    fn drive(&self, run: &mut Run<'_>) -> Result<()> {
        run.pass(Step::Before)?;
        run.connect_all(run.options.connecting, true)?;
        let lanes: Vec<usize> = (0..run.pool.slots()).collect();
        let rooms = own_rooms(run)?;
        let total = run.share.count(self.messages);
        let echoes = run.audience(1);
        run.pass(Step::Ready)?;
        match self.rate {
            None => {
                let outstanding = self.outstanding;
                let time = self.seconds.map(Duration::from_secs);
                let quota = Quota { messages: total, time };
                closed_loop(run, quota, &lanes, outstanding, After::Ack, |run, slot, due| {
                    run.post(slot, rooms[slot], due, echoes);
                })?;
            }
            Some(rate) => {
                let rate = rate / f64::from(run.share.parts);
                let count = u64::try_from(lanes.len())?;
                open_loop(run, total, rate, |run, number, due| {
                    let slot = usize::try_from(number % count).expect("below the senders");
                    run.post(slot, rooms[slot], due, echoes);
                })?;
            }
        }
        run.pass(Step::Measured)?;
        run.settle()?;
        run.pass(Step::Checked)
    }
}

/// The room of its own of every slot.
pub(super) fn own_rooms(run: &Run<'_>) -> Result<Vec<u32>> {
    let room = |slot| run.layout.own_room(run.pool.index(slot)).context("the layout was checked");
    (0..run.pool.slots()).map(room).collect()
}
