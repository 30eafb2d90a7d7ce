//! What becomes of a connection attempt; pure.

use crate::limits::UNPROVEN_MAX;

/// How full it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) connections: usize,
    pub(crate) connections_max: usize,
    /// Connections on which nobody signed in yet.
    pub(crate) strangers: usize,
    pub(crate) stopping: bool,
}

/// What to do with an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may have a place, if there is one for its address.
    Admit,
    /// It has to prove its address first.
    Prove,
    Refuse,
}

/// Decides about an attempt; `proven` when it is sure to come from its address.
pub(crate) const fn decide(load: Load, proven: bool) -> Verdict {
    if load.stopping || load.connections >= load.connections_max {
        Verdict::Refuse
    } else if !proven && load.strangers >= UNPROVEN_MAX {
        Verdict::Prove
    } else {
        Verdict::Admit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_proven_under_load_and_nobody_comes_in_when_it_is_full() {
        let load = |connections, strangers| Load {
            connections,
            connections_max: 100,
            strangers,
            stopping: false,
        };
        assert_eq!(decide(load(15, 15), false), Verdict::Admit);
        assert_eq!(decide(load(16, UNPROVEN_MAX), false), Verdict::Prove);
        assert_eq!(decide(load(16, UNPROVEN_MAX), true), Verdict::Admit);
        assert_eq!(decide(load(99, 0), false), Verdict::Admit);
        assert_eq!(decide(load(100, 0), true), Verdict::Refuse);
        assert_eq!(decide(Load { stopping: true, ..load(0, 0) }, true), Verdict::Refuse);
    }
}
