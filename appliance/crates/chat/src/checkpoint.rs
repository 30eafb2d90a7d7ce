//! When the store gets what changed, and what that is.

use wire::ids::{Offset, TimeMs};

use crate::chat::Chat;
use crate::config::Mutant;
use crate::limits::{CHECKPOINT_MS, CHECKPOINT_RETRY_MS};
use crate::port::Output;
use crate::state::{Change, Touched};

/// Repeats that the list of touched entities may hold before they are dropped: 400 KB.
const TOUCHED_SLACK: usize = 16 * 1024;

/// Entities changed since the last checkpoint, and the checkpoint under way.
#[derive(Debug, Default)]
pub(crate) struct Checkpoints {
    /// Repeats are dropped when the list has doubled, and at last by the checkpoint.
    touched: Vec<Touched>,
    distinct: usize,
    records: u64,
    /// When the first record since the last checkpoint came.
    waiting_since: Option<TimeMs>,
    under_way: Option<UnderWay>,
    not_before: TimeMs,
}

#[derive(Debug)]
struct UnderWay {
    applied: Offset,
    touched: Vec<Touched>,
}

impl Checkpoints {
    /// A record was applied.
    pub(crate) fn note(&mut self, touched: Vec<Touched>) {
        self.touched.extend(touched);
        self.records += 1;
        if self.touched.len() >= 2 * self.distinct + TOUCHED_SLACK {
            self.drop_repeats();
        }
    }

    fn drop_repeats(&mut self) {
        self.touched.sort_unstable();
        self.touched.dedup();
        self.distinct = self.touched.len();
    }

    /// `full`: many bodies wait in memory for a checkpoint.
    fn due(&mut self, now: TimeMs, records_max: u64, full: bool) -> bool {
        if self.records == 0 {
            return false;
        }
        let since = *self.waiting_since.get_or_insert(now);
        let late = now.0.saturating_sub(since.0) >= CHECKPOINT_MS;
        let many = late || full || self.records >= records_max;
        self.under_way.is_none() && now >= self.not_before && many
    }

    fn begin(&mut self, applied: Offset) -> &[Touched] {
        self.drop_repeats();
        self.distinct = 0;
        let touched = std::mem::take(&mut self.touched);
        self.records = 0;
        self.waiting_since = None;
        &self.under_way.insert(UnderWay { applied, touched }).touched
    }

    fn done(&mut self, applied: Offset) -> bool {
        let mine = self.under_way.as_ref().is_some_and(|under_way| under_way.applied == applied);
        if mine {
            self.under_way = None;
        }
        mine
    }

    /// The store could not write: what it should have got goes into the next one.
    pub(crate) fn failed(&mut self, applied: Offset, now: TimeMs) {
        if self.under_way.as_ref().is_some_and(|under_way| under_way.applied == applied)
            && let Some(under_way) = self.under_way.take()
        {
            self.touched.extend(under_way.touched);
            self.records = self.records.max(1);
            self.waiting_since = Some(TimeMs(now.0.saturating_sub(CHECKPOINT_MS)));
            self.not_before = TimeMs(now.0 + CHECKPOINT_RETRY_MS);
        }
    }
}

impl Chat {
    pub(crate) fn checkpoint_when_due(&mut self) {
        let shares = &self.config.shares;
        let full = self.hot.unsaved_bytes() >= shares.unsaved_bytes_max / 4;
        if self.checkpoints.due(self.now, shares.checkpoint_records, full) {
            self.checkpoint();
        }
    }

    /// What the store holds is known to have been acknowledged: with it, damage at the very end of
    /// the log is not taken for a batch that a power cut tore.
    pub(crate) fn checkpoint_at_end(&mut self) {
        if self.checkpoints.under_way.is_none() && self.checkpoints.records > 0 {
            self.checkpoint();
        }
    }

    fn checkpoint(&mut self) {
        let applied = self.state.head();
        let mut changes = vec![Change::Meta(self.state.meta.clone())];
        let touched = self.checkpoints.begin(applied);
        changes.extend(touched.iter().filter_map(|touched| self.state.change(*touched)));
        if self.config.is(Mutant::CheckpointForgetsMembers) {
            changes.retain(|change| !matches!(change, Change::Member { .. }));
        }
        let output = Output::Checkpoint { applied, changes };
        if self.config.is(Mutant::CheckpointAhead) {
            self.pending.at_once(output);
        } else {
            self.pending.hold(applied, output);
        }
    }

    pub(crate) fn checkpoint_done(&mut self, applied: Offset) {
        if self.checkpoints.done(applied) {
            self.hot.saved(applied, self.config.shares.hot_bytes_max);
        }
    }
}
