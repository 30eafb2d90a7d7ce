//! One message to everybody, and everybody reads it: what readers' receipts cost.

use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;

use super::Drive;
use crate::dialect::Dialect;
use crate::gate::Step;
use crate::layout::Layout;
use crate::limits::TURN;
use crate::run::{News, Run};

/// Options of `announce`.
#[derive(Args, Clone, Debug)]
pub struct Announce {
    /// How many members are connected and read.
    #[arg(long, default_value_t = 4_000)]
    pub readers: u32,

    /// How many announcements, one after another.
    #[arg(long, default_value_t = 1)]
    pub messages: u64,

    /// Seconds for receipts to be written and told after the last one has read.
    #[arg(long, value_name = "SECONDS", default_value_t = 3)]
    pub settle: u64,
}

impl Drive for Announce {
    fn name(&self) -> &'static str {
        "announce"
    }

    fn sessions(&self) -> u32 {
        self.readers
    }

    fn messages(&self) -> u64 {
        self.messages
    }

    fn unit(&self) -> u32 {
        self.readers
    }

    fn check(&self, layout: &Layout, _dialect: &dyn Dialect) -> Result<()> {
        let members = layout.big.members;
        ensure!(self.readers <= members, "the layout's big room has {members} members");
        Ok(())
    }

    fn drive(&self, run: &mut Run<'_>) -> Result<()> {
        run.pass(Step::Before)?;
        run.connect_all(run.options.connecting, true)?;
        let room = run.layout.big.room;
        let audience = run.audience(self.readers);
        run.expect("announcing", self.messages);
        run.pass(Step::Ready)?;
        for number in 0..self.messages {
            let now = run.pool.now_ns();
            run.post(0, room, now, audience);
            read_until_done(run)?;
            run.progress(number + 1);
        }
        run.idle(Duration::from_secs(self.settle))?;
        run.pass(Step::Measured)?;
        run.pass(Step::Checked)
    }
}

/// Everybody but the author reads what arrives, until all have it.
fn read_until_done(run: &mut Run<'_>) -> Result<()> {
    let mut done = false;
    while !done && !run.is_over() {
        run.turn(TURN)?;
        for place in 0..run.news.len() {
            match run.news[place] {
                News::Delivered { slot, room } if slot != 0 => {
                    run.pool.act(slot, |session, out| session.mark_read(room, out));
                }
                News::Done(_) => done = true,
                _ => {}
            }
        }
    }
    Ok(())
}
