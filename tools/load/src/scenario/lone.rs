//! One sender, one message at a time: what a lone message costs on the disk.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::Drive;
use super::pace::{After, Quota, closed_loop};
use crate::dialect::Dialect;
use crate::gate::Step;
use crate::layout::Layout;
use crate::run::Run;

/// Payload in bytes: what the store's own measurements use.
const PAYLOAD_BYTES: usize = 192;

/// Options of `lone`.
#[derive(Args, Clone, Debug)]
pub struct Lone {
    /// How many messages; twice a checkpoint's worth shows its cost too.
    #[arg(long, default_value_t = 4_096)]
    pub messages: u64,

    /// Seconds after which nothing more is posted.
    #[arg(long, value_name = "SECONDS")]
    pub seconds: Option<u64>,
}

impl Drive for Lone {
    fn name(&self) -> &'static str {
        "lone"
    }

    fn sessions(&self) -> u32 {
        1
    }

    fn messages(&self) -> u64 {
        self.messages
    }

    fn payload_bytes(&self) -> usize {
        PAYLOAD_BYTES
    }

    fn check(&self, layout: &Layout, dialect: &dyn Dialect) -> Result<()> {
        ensure!(dialect.acks(), "{} acknowledges nothing", dialect.name());
        ensure!(layout.own_room(0).is_some(), "the layout has no room of one's own");
        Ok(())
    }

    fn drive(&self, run: &mut Run<'_>) -> Result<()> {
        let room = run.layout.own_room(0).context("the layout was checked")?;
        run.pass(Step::Before)?;
        run.connect_all(1, true)?;
        let echoes = run.audience(1);
        run.pass(Step::Ready)?;
        let time = self.seconds.map(Duration::from_secs);
        let quota = Quota { messages: self.messages, time };
        closed_loop(run, quota, &[0], 1, After::Everybody, |run, slot, due| {
            run.post(slot, room, due, echoes);
        })?;
        run.pass(Step::Measured)?;
        run.pass(Step::Checked)
    }
}
