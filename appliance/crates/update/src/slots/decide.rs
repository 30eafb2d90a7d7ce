//! What a boot has to do about the slots, from four facts. Pure; the table test enumerates them.

use serde::{Deserialize, Serialize};

use super::{Slot, SlotState};
use crate::limits::ARM_TIMES_MAX;

/// What the boot loader, `autoboot.txt` and the slot area say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootFacts {
    /// Default by `autoboot.txt`.
    pub default: Slot,
    /// What runs, by /proc/device-tree/chosen/bootloader/partition or the root partition.
    pub running: Slot,
    /// Whether the one-shot flag was set for this boot.
    pub flag: bool,
    /// The records, A first.
    pub slots: [SlotState; 2],
}

/// The row of the table that this boot is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BootVerdict {
    /// Nothing is pending.
    Normal,
    /// This is the trial: write `trying` as the first act, commit when healthy.
    Trial,
    /// The default was swapped and this is it: write `good`.
    Committed,
    /// The other slot was armed and never started: arm it once more.
    ArmAgain,
    /// The other slot was armed as often as allowed and never started: back to `written`, report.
    Interrupted,
    /// The other slot's trial ended without a commit: `bad` with the reason, tell the owner.
    RolledBack,
    /// The flag was set, but the boot loader came back to the default: the other slot has nothing
    /// that boots. `bad`, tell the owner.
    Unbootable,
    /// Not the default and no flag: the boot loader walked the partitions. Degraded, say so.
    Walked,
    /// The flag picked a slot that was not armed. Degraded, never commit, say so.
    Unasked,
}

impl BootVerdict {
    /// The record to write for this verdict, if any. `reason` explains a failed trial.
    pub fn record(self, facts: &BootFacts, reason: &str) -> Option<(Slot, SlotState)> {
        let running = facts.running;
        let other = running.other();
        let bad = || SlotState::Bad { reason: reason.to_owned() };
        match self {
            Self::Normal | Self::Walked | Self::Unasked => None,
            Self::Trial => Some((running, SlotState::Trying)),
            Self::Committed => Some((running, SlotState::Good)),
            Self::ArmAgain => Some((other, SlotState::Armed { times: ARM_TIMES_MAX })),
            Self::Interrupted => Some((other, SlotState::Written)),
            Self::RolledBack | Self::Unbootable => Some((other, bad())),
        }
    }

    /// One sentence for console and health page; empty when there is nothing to say.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Normal => "",
            Self::Trial => "This is the trial boot of an update; it is kept if it proves healthy.",
            Self::Committed => "The update was committed.",
            Self::ArmAgain => "The update was armed but never started; it is tried once more.",
            Self::Interrupted => {
                "The update never started its trial; it is on the card and can be tried again."
            }
            Self::RolledBack => "The update failed its trial; the previous version runs again.",
            Self::Unbootable => "The update could not be booted; the previous version runs again.",
            Self::Walked => {
                "The default system could not be booted, so the other one runs; install an update."
            }
            Self::Unasked => "A trial boot that nobody asked for; restart the box to leave it.",
        }
    }
}

/// Picks the row.
pub fn decide(facts: &BootFacts) -> BootVerdict {
    let own = &facts.slots[facts.running.index()];
    let other = &facts.slots[facts.running.other().index()];
    if facts.running != facts.default {
        return match (facts.flag, own) {
            (true, SlotState::Armed { .. }) => BootVerdict::Trial,
            (true, _) => BootVerdict::Unasked,
            (false, _) => BootVerdict::Walked,
        };
    }
    match (own, other) {
        (SlotState::Armed { .. } | SlotState::Trying, _) => BootVerdict::Committed,
        (_, SlotState::Trying) => BootVerdict::RolledBack,
        (_, SlotState::Armed { .. }) if facts.flag => BootVerdict::Unbootable,
        (_, SlotState::Armed { times }) if *times < ARM_TIMES_MAX => BootVerdict::ArmAgain,
        (_, SlotState::Armed { .. }) => BootVerdict::Interrupted,
        _ => BootVerdict::Normal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states() -> Vec<SlotState> {
        vec![
            SlotState::Empty,
            SlotState::Writing,
            SlotState::Written,
            SlotState::Armed { times: 1 },
            SlotState::Armed { times: ARM_TIMES_MAX },
            SlotState::Trying,
            SlotState::Good,
            SlotState::Bad { reason: "x".into() },
        ]
    }

    fn tuples() -> Vec<BootFacts> {
        let mut all = Vec::new();
        for default in Slot::ALL {
            for running in Slot::ALL {
                for flag in [false, true] {
                    for a in states() {
                        for b in states() {
                            let slots = [a.clone(), b];
                            all.push(BootFacts { default, running, flag, slots });
                        }
                    }
                }
            }
        }
        all
    }

    /// The rows of the design, written as predicates that must not overlap and must cover all.
    fn rows(facts: &BootFacts) -> Vec<BootVerdict> {
        let own = &facts.slots[facts.running.index()];
        let other = &facts.slots[facts.running.other().index()];
        let is_default = facts.running == facts.default;
        let armed = |state: &SlotState| matches!(state, SlotState::Armed { .. });
        let own_pending = armed(own) || *own == SlotState::Trying;
        let fresh_arm = *other == SlotState::Armed { times: 1 };
        let waits = is_default && !own_pending && armed(other);
        let rows = [
            (BootVerdict::Trial, facts.flag && !is_default && armed(own)),
            (BootVerdict::Unasked, facts.flag && !is_default && !armed(own)),
            (BootVerdict::Walked, !facts.flag && !is_default),
            (BootVerdict::Committed, is_default && own_pending),
            (BootVerdict::RolledBack, is_default && !own_pending && *other == SlotState::Trying),
            (BootVerdict::Unbootable, waits && facts.flag),
            (BootVerdict::ArmAgain, waits && !facts.flag && fresh_arm),
            (BootVerdict::Interrupted, waits && !facts.flag && !fresh_arm),
            (
                BootVerdict::Normal,
                is_default && !own_pending && !armed(other) && *other != SlotState::Trying,
            ),
        ];
        rows.into_iter().filter_map(|(verdict, holds)| holds.then_some(verdict)).collect()
    }

    #[test]
    fn every_tuple_lies_in_exactly_one_row_and_decide_picks_it() {
        let all = tuples();
        assert_eq!(all.len(), 2 * 2 * 2 * 8 * 8);
        for facts in &all {
            assert_eq!(rows(facts), vec![decide(facts)], "{facts:?}");
        }
    }

    #[test]
    fn records_settle_after_one_more_boot_of_the_default() {
        for facts in tuples() {
            let mut after = facts.clone();
            if let Some((slot, state)) = decide(&facts).record(&facts, "why") {
                after.slots[slot.index()] = state;
            }
            // The flag is one-shot, so whatever happened, the next boot is of the default.
            after.flag = false;
            after.running = after.default;
            for _ in 0..3 {
                if let Some((slot, state)) = decide(&after).record(&after, "why") {
                    after.slots[slot.index()] = state;
                }
            }
            assert_eq!(decide(&after), BootVerdict::Normal, "{facts:?}");
        }
    }

    #[test]
    fn only_a_commit_makes_a_pending_slot_good() {
        for facts in tuples() {
            let verdict = decide(&facts);
            if let Some((slot, SlotState::Good)) = verdict.record(&facts, "why") {
                assert_eq!((verdict, slot), (BootVerdict::Committed, facts.default));
            }
        }
    }

    #[test]
    fn power_cut_at_each_step_of_an_update_lands_in_its_row() {
        let good = SlotState::Good;
        let facts = |default, running, flag, b: SlotState| BootFacts {
            default,
            running,
            flag,
            slots: [good.clone(), b],
        };
        let (a, b) = (Slot::A, Slot::B);
        let armed = SlotState::Armed { times: 1 };
        let steps = [
            (facts(a, a, false, SlotState::Writing), BootVerdict::Normal),
            (facts(a, a, false, SlotState::Written), BootVerdict::Normal),
            (facts(a, a, false, armed.clone()), BootVerdict::ArmAgain),
            (facts(a, b, true, armed.clone()), BootVerdict::Trial),
            (facts(a, a, false, SlotState::Trying), BootVerdict::RolledBack),
            (facts(b, b, false, SlotState::Trying), BootVerdict::Committed),
            (facts(b, b, false, armed), BootVerdict::Committed),
            (facts(b, b, false, SlotState::Good), BootVerdict::Normal),
        ];
        for (facts, verdict) in steps {
            assert_eq!(decide(&facts), verdict, "{facts:?}");
        }
    }
}
