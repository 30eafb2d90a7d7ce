//! Which of the things that are true at once the LED shows. Pure; most urgent first.

use led::Status;
use update::control::LedHint;

/// Everything that has a say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The card cannot be used, or `linnetd` fails over and over.
    pub(crate) failed: bool,
    /// File system work before the services start, or an orderly end.
    pub(crate) long_work: bool,
    /// This boot is the trial of an update.
    pub(crate) trial: bool,
    /// The last update was taken back.
    pub(crate) rolled_back: bool,
    /// `linnetd`'s last word, if it had one.
    pub(crate) healthy: bool,
    /// `linnetd`'s hint.
    pub(crate) hint: LedHint,
    /// The box has an owner.
    pub(crate) claimed: bool,
    /// There is an address.
    pub(crate) network: bool,
    /// The clock is better than its floor.
    pub(crate) clock_set: bool,
}

impl Default for Facts {
    fn default() -> Self {
        Self {
            failed: false,
            long_work: false,
            trial: false,
            rolled_back: false,
            healthy: false,
            hint: LedHint::Nothing,
            claimed: false,
            network: false,
            clock_set: false,
        }
    }
}

/// Picks the status.
pub(crate) fn choose(facts: &Facts) -> Status {
    let rows = [
        (facts.failed, Status::Failed),
        (facts.long_work || facts.hint == LedHint::LongWork, Status::LongWork),
        (facts.trial, Status::UpdateTrial),
        (!facts.healthy, Status::Booting),
        (facts.hint == LedHint::CardNearlyFull, Status::CardNearlyFull),
        (facts.rolled_back, Status::RolledBack),
        (!facts.network, Status::NoNetwork),
        (!facts.claimed, Status::WaitingToBeClaimed),
        (!facts.clock_set, Status::ClockNotSet),
    ];
    rows.into_iter().find_map(|(holds, status)| holds.then_some(status)).unwrap_or(Status::Running)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn well() -> Facts {
        let facts = Facts::default();
        Facts { healthy: true, claimed: true, network: true, clock_set: true, ..facts }
    }

    #[test]
    fn each_status_is_shown_when_it_is_the_only_news() {
        let hint = |hint| Facts { hint, ..well() };
        let rows = [
            (well(), Status::Running),
            (Facts { healthy: false, ..well() }, Status::Booting),
            (Facts { long_work: true, ..well() }, Status::LongWork),
            (hint(LedHint::LongWork), Status::LongWork),
            (hint(LedHint::CardNearlyFull), Status::CardNearlyFull),
            (Facts { claimed: false, ..well() }, Status::WaitingToBeClaimed),
            (Facts { network: false, ..well() }, Status::NoNetwork),
            (Facts { clock_set: false, ..well() }, Status::ClockNotSet),
            (Facts { trial: true, ..well() }, Status::UpdateTrial),
            (Facts { rolled_back: true, ..well() }, Status::RolledBack),
            (Facts { failed: true, ..well() }, Status::Failed),
        ];
        let mut shown: Vec<_> = rows
            .iter()
            .map(|(facts, status)| {
                assert_eq!(choose(facts), *status, "{facts:?}");
                *status
            })
            .collect();
        shown.sort();
        shown.dedup();
        assert_eq!(shown.len(), Status::ALL.len(), "every code of the list can appear");
    }

    #[test]
    fn what_must_not_be_unplugged_wins_over_what_can_wait() {
        let all = Facts { rolled_back: true, hint: LedHint::CardNearlyFull, ..Facts::default() };
        assert_eq!(choose(&all), Status::Booting);
        assert_eq!(choose(&Facts { trial: true, ..all }), Status::UpdateTrial);
        assert_eq!(choose(&Facts { long_work: true, trial: true, ..all }), Status::LongWork);
        assert_eq!(choose(&Facts { failed: true, long_work: true, ..all }), Status::Failed);
        let fresh = Facts { healthy: true, ..Facts::default() };
        assert_eq!(choose(&fresh), Status::NoNetwork, "a claim link is of no use without network");
    }
}
