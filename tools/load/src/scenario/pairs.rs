//! One-to-one chat: of each pair the even session posts to the pair's room.

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::Drive;
use super::pace::{After, closed_loop, open_loop};
use crate::dialect::Dialect;
use crate::gate::Step;
use crate::layout::Layout;
use crate::run::Run;

/// Options of `pairs`.
#[derive(Args, Clone, Debug)]
pub struct Pairs {
    /// How many pairs.
    #[arg(long, default_value_t = 200)]
    pub pairs: u32,

    /// How many messages in all.
    #[arg(long, default_value_t = 100_000)]
    pub messages: u64,

    /// Messages a second, whatever the server does; none means one under way in each pair.
    #[arg(long, value_name = "PER_SECOND")]
    pub rate: Option<f64>,
}

impl Drive for Pairs {
    fn name(&self) -> &'static str {
        "pairs"
    }

    fn sessions(&self) -> u32 {
        self.pairs.saturating_mul(2)
    }

    fn messages(&self) -> u64 {
        self.messages
    }

    fn unit(&self) -> u32 {
        2
    }

    fn check(&self, layout: &Layout, _dialect: &dyn Dialect) -> Result<()> {
        let pairs = layout.pairs.len();
        ensure!(usize::try_from(self.pairs)? <= pairs, "the layout has {pairs} pairs");
        ensure!(self.rate.is_none_or(|rate| rate > 0.0), "--rate must be above 0");
        Ok(())
    }

    fn drive(&self, run: &mut Run<'_>) -> Result<()> {
        run.pass(Step::Before)?;
        run.connect_all(run.options.connecting, true)?;
        let lanes: Vec<usize> = (0..run.pool.slots()).step_by(2).collect();
        let rooms = rooms(run, &lanes)?;
        let total = run.share.count(self.messages);
        run.pass(Step::Ready)?;
        // The runner counts the other's copy and, where there is one, the author's own.
        let audience = run.audience(2);
        match self.rate {
            None => closed_loop(run, total, &lanes, 1, After::Partner, |run, slot, due| {
                run.post(slot, rooms[slot / 2], due, audience);
            })?,
            Some(rate) => {
                let rate = rate / f64::from(run.share.parts);
                let count = u64::try_from(lanes.len())?;
                open_loop(run, total, rate, |run, number, due| {
                    let pair = usize::try_from(number % count).expect("below the pairs");
                    run.post(lanes[pair], rooms[pair], due, audience);
                })?;
            }
        }
        run.pass(Step::Measured)?;
        run.pass(Step::Checked)
    }
}

fn rooms(run: &Run<'_>, lanes: &[usize]) -> Result<Vec<u32>> {
    let room = |slot: &usize| {
        let pair = run.pool.index(*slot) / 2;
        run.layout.pair_room(pair).context("the layout was checked")
    };
    lanes.iter().map(room).collect()
}
