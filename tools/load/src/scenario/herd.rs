//! All sessions connect at once. Who is turned away comes again a little later, as any client
//! would; how long it took counts from the beginning.

use anyhow::{Result, bail};

use crate::limits::{COME_AGAIN, TURN};
use crate::run::{News, Run};

/// Who is where.
pub(super) struct Herd {
    ready: Vec<bool>,
    missing: usize,
    tries: Vec<u32>,
    /// When who comes again.
    again: Vec<(u64, usize)>,
}

impl Herd {
    /// Connects all slots and waits until all are ready.
    pub(super) fn come(run: &mut Run<'_>) -> Result<()> {
        let slots = run.pool.slots();
        let mut herd = Self {
            ready: vec![false; slots],
            missing: slots,
            tries: vec![0; slots],
            again: Vec::new(),
        };
        run.expect("storm", u64::try_from(slots)?);
        run.pool.forgiving = true;
        (0..slots).for_each(|slot| run.connect(slot));
        while herd.missing > 0 {
            run.turn(if herd.again.is_empty() { TURN } else { TURN / 10 })?;
            herd.count(run);
            herd.send_away(run);
            herd.let_come(run);
            let ready = slots - herd.missing;
            run.progress(u64::try_from(ready)?);
            if run.is_over() {
                bail!("{ready} of {slots} sessions became ready; {}", run.pool.reasons.join("; "));
            }
        }
        run.pool.forgiving = false;
        run.pool.reasons.clear();
        run.tally.sessions = u64::try_from(slots)?;
        Ok(())
    }

    fn count(&mut self, run: &Run<'_>) {
        for news in &run.news {
            if let News::Ready(slot) = *news
                && !std::mem::replace(&mut self.ready[slot], true)
            {
                self.missing -= 1;
            }
        }
    }

    /// Notes when those come again who were turned away. One that was ready already is broken.
    fn send_away(&mut self, run: &mut Run<'_>) {
        let now = run.pool.now_ns();
        for slot in std::mem::take(&mut run.pool.refused) {
            run.pool.broken += u64::from(self.ready[slot]);
            self.tries[slot] += 1;
            let wait = (COME_AGAIN * self.tries[slot]).as_nanos();
            self.again.push((now + u64::try_from(wait).expect("waits are short"), slot));
        }
    }

    fn let_come(&mut self, run: &mut Run<'_>) {
        let now = run.pool.now_ns();
        let due = self.again.extract_if(.., |(at_ns, _)| *at_ns <= now);
        for (_, slot) in due {
            run.tally.reconnects += 1;
            // Not `Run::connect`: it would forget when the session first tried.
            run.pool.connect(slot);
        }
    }
}
