//! Everybody comes back at once: connect, TLS handshake (resumed or not), hello and the messages
//! that were missed. And `login`: new devices that fetch everything, at a bounded pace.

use anyhow::{Result, ensure};
use clap::Args;

use super::Drive;
use super::herd::Herd;
use super::pace::{After, closed_loop};
use crate::dialect::Dialect;
use crate::gate::Step;
use crate::layout::Layout;
use crate::run::Run;

/// Seconds for the server to see that everybody has gone before the storm begins.
const GONE: std::time::Duration = std::time::Duration::from_secs(1);

/// Options of `storm`.
#[derive(Args, Clone, Debug)]
pub struct Storm {
    /// How many sessions come at once; all are members of the big room.
    #[arg(long, default_value_t = 4_000)]
    pub sessions: u32,

    /// Messages posted to the big room while they were away.
    #[arg(long, default_value_t = 50)]
    pub missed: u64,

    /// Resumes TLS sessions; without it every handshake is a full one.
    #[arg(long)]
    pub resume: bool,
}

/// Options of `login`.
#[derive(Args, Clone, Debug)]
pub struct Login {
    /// How many sessions.
    #[arg(long, default_value_t = 4_000)]
    pub sessions: u32,

    /// Fetches everything first, like a new device; without it sessions begin where the first was.
    #[arg(long)]
    pub fresh: bool,
}

impl Drive for Storm {
    fn name(&self) -> &'static str {
        if self.resume { "storm-resumed" } else { "storm-cold" }
    }

    fn sessions(&self) -> u32 {
        self.sessions
    }

    fn messages(&self) -> u64 {
        self.missed
    }

    fn unit(&self) -> u32 {
        self.sessions
    }

    fn resumes(&self) -> bool {
        self.resume
    }

    fn per_session(&self) -> bool {
        true
    }

    fn check(&self, layout: &Layout, _dialect: &dyn Dialect) -> Result<()> {
        let members = layout.big.members;
        ensure!(self.sessions > 1, "a storm has more than one session");
        ensure!(self.sessions <= members, "the layout's big room has {members} members");
        Ok(())
    }

    fn drive(&self, run: &mut Run<'_>) -> Result<()> {
        run.pass(Step::Before)?;
        run.connect_all(run.options.connecting, true)?;
        (1..run.pool.slots()).for_each(|slot| run.pool.close(slot));
        run.idle(GONE)?;
        let (room, missing) = (run.layout.big.room, self.sessions - 1);
        let at_once = run.audience(1);
        closed_loop(run, self.missed, &[0], 1, After::Ack, |run, slot, due| {
            // Only the poster itself is there; the others get it when they come back.
            run.post(slot, room, due, missing + at_once);
        })?;
        run.idle(GONE)?;
        run.pool.close(0);
        run.idle(GONE)?;
        run.forget_ready();
        run.pass(Step::Ready)?;
        Herd::come(run)?;
        run.settle()?;
        run.pass(Step::Measured)?;
        run.pass(Step::Checked)
    }
}

impl Drive for Login {
    fn name(&self) -> &'static str {
        if self.fresh { "login-fresh" } else { "login" }
    }

    fn sessions(&self) -> u32 {
        self.sessions
    }

    fn messages(&self) -> u64 {
        0
    }

    fn syncs_afresh(&self) -> bool {
        self.fresh
    }

    fn per_session(&self) -> bool {
        true
    }

    fn check(&self, _layout: &Layout, _dialect: &dyn Dialect) -> Result<()> {
        Ok(())
    }

    fn drive(&self, run: &mut Run<'_>) -> Result<()> {
        run.pass(Step::Before)?;
        if !self.fresh {
            scout(run)?;
        }
        run.pass(Step::Ready)?;
        run.connect_all(run.options.connecting, false)?;
        run.pass(Step::Measured)?;
        run.pass(Step::Checked)
    }
}

/// Lets the first session go ahead and end, so that every measured one knows where to begin.
fn scout(run: &mut Run<'_>) -> Result<()> {
    run.connect_alone()?;
    run.pool.close(0);
    run.begin_anew();
    Ok(())
}
