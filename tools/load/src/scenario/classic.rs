//! The known claim for a small server: 4,000 users that come 20 a second and then each write to
//! their neighbour every 209 s, for as long as asked.

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::Drive;
use crate::dialect::Dialect;
use crate::gate::Step;
use crate::layout::Layout;
use crate::limits::TURN;
use crate::run::{News, Run};

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

/// Options of `classic4000`.
#[derive(Args, Clone, Debug)]
pub struct Classic {
    /// How many users; neighbours write to each other.
    #[arg(long, default_value_t = 4_000)]
    pub users: u32,

    /// How many come each second.
    #[arg(long, value_name = "PER_SECOND", default_value_t = 20)]
    pub ramp: u32,

    /// Seconds between two messages of a user.
    #[arg(long, value_name = "SECONDS", default_value_t = 209)]
    pub period: u64,

    /// Seconds measured after all have come.
    #[arg(long, value_name = "SECONDS", default_value_t = 209)]
    pub seconds: u64,
}

impl Drive for Classic {
    fn name(&self) -> &'static str {
        "classic4000"
    }

    fn sessions(&self) -> u32 {
        self.users
    }

    fn messages(&self) -> u64 {
        u64::from(self.users) * self.seconds.div_ceil(self.period.max(1))
    }

    fn unit(&self) -> u32 {
        self.users
    }

    fn check(&self, layout: &Layout, _dialect: &dyn Dialect) -> Result<()> {
        let pairs = layout.pairs.len();
        ensure!(self.users.is_multiple_of(2), "--users must be even: neighbours write");
        ensure!(usize::try_from(self.users / 2)? <= pairs, "the layout has {pairs} pairs");
        ensure!(self.ramp > 0 && self.period > 0, "--ramp and --period must be above 0");
        Ok(())
    }

    fn drive(&self, run: &mut Run<'_>) -> Result<()> {
        run.pass(Step::Before)?;
        self.come(run)?;
        run.pass(Step::Ready)?;
        self.write(run)?;
        run.pass(Step::Measured)?;
        run.pass(Step::Checked)
    }
}

impl Classic {
    /// Users connect at the ramp's rate.
    fn come(&self, run: &mut Run<'_>) -> Result<()> {
        let slots = run.pool.slots();
        let start = run.pool.now_ns();
        run.expect("connecting", u64::try_from(slots)?);
        let (mut begun, mut ready) = (0, 0);
        while ready < slots {
            let due = |begun: usize| due_ns(start, begun, SECOND / u64::from(self.ramp));
            while begun < slots && due(begun) <= run.pool.now_ns() && (begun == 0 || ready > 0) {
                run.connect(begun);
                begun += 1;
            }
            run.pool.wake_at(due(begun));
            run.turn(TURN)?;
            ready += run.count(|news| matches!(news, News::Ready(_)));
            run.progress(u64::try_from(ready)?);
            let reasons = run.pool.reasons.join("; ");
            ensure!(!run.is_over(), "{ready} of {slots} sessions became ready; {reasons}");
        }
        run.tally.sessions = u64::from(self.users);
        Ok(())
    }

    /// Each user's messages are due once a period, the users' spread evenly over it.
    fn write(&self, run: &mut Run<'_>) -> Result<()> {
        let slots = run.pool.slots();
        let audience = run.audience(2);
        let start = run.pool.now_ns();
        let step = self.period * SECOND / u64::from(self.users);
        let total = usize::try_from(self.seconds * SECOND / step.max(1))?;
        run.expect("messages", u64::try_from(total)?);
        let mut posted = 0;
        while posted < total && !run.is_over() {
            while posted < total && due_ns(start, posted, step) <= run.pool.now_ns() {
                let slot = posted % slots;
                let pair = u32::try_from(slot / 2)?;
                let room = run.layout.pair_room(pair).context("the layout was checked")?;
                run.post(slot, room, due_ns(start, posted, step), audience);
                posted += 1;
            }
            run.pool.wake_at(due_ns(start, posted, step));
            run.turn(TURN)?;
            run.progress(u64::try_from(posted)?);
        }
        run.settle()
    }
}

/// When number `n` of an even stream is due.
fn due_ns(start_ns: u64, number: usize, step_ns: u64) -> u64 {
    start_ns + u64::try_from(number).expect("usize fits 64 bits") * step_ns
}
