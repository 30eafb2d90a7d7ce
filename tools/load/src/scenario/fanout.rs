//! One room with many members: a sender's next message follows when the last member has the
//! previous one, or messages come at a rate.

use anyhow::{Result, ensure};
use clap::Args;

use super::Drive;
use super::pace::{After, closed_loop, open_loop};
use crate::dialect::Dialect;
use crate::gate::Step;
use crate::layout::Layout;
use crate::run::Run;

/// Options of `fanout`.
#[derive(Args, Clone, Debug)]
pub struct Fanout {
    /// How many members are connected.
    #[arg(long, default_value_t = 1_000)]
    pub members: u32,

    /// How many of them post, each one message at a time.
    #[arg(long, default_value_t = 1)]
    pub in_flight: u32,

    /// How many messages in all; each is delivered to every member.
    #[arg(long, default_value_t = 400)]
    pub messages: u64,

    /// Messages a second, whatever the server does.
    #[arg(long, value_name = "PER_SECOND")]
    pub rate: Option<f64>,
}

impl Drive for Fanout {
    fn name(&self) -> &'static str {
        "fanout"
    }

    fn sessions(&self) -> u32 {
        self.members
    }

    fn messages(&self) -> u64 {
        self.messages
    }

    fn unit(&self) -> u32 {
        self.members
    }

    fn check(&self, layout: &Layout, _dialect: &dyn Dialect) -> Result<()> {
        let members = layout.big.members;
        ensure!(self.members <= members, "the layout's big room has {members} members");
        ensure!((1..=self.members).contains(&self.in_flight), "--in-flight: 1 to all members");
        ensure!(self.rate.is_none_or(|rate| rate > 0.0), "--rate must be above 0");
        Ok(())
    }

    fn drive(&self, run: &mut Run<'_>) -> Result<()> {
        run.pass(Step::Before)?;
        run.connect_all(run.options.connecting, true)?;
        let room = run.layout.big.room;
        let audience = run.audience(self.members);
        let lanes: Vec<usize> = (0..usize::try_from(self.in_flight)?).collect();
        run.pass(Step::Ready)?;
        match self.rate {
            None => {
                closed_loop(run, self.messages, &lanes, 1, After::Everybody, |run, slot, due| {
                    run.post(slot, room, due, audience);
                })?
            }
            Some(rate) => open_loop(run, self.messages, rate, |run, number, due| {
                let lane = number % u64::from(self.in_flight);
                run.post(usize::try_from(lane).expect("below the members"), room, due, audience);
            })?,
        }
        run.pass(Step::Measured)?;
        run.pass(Step::Checked)
    }
}
