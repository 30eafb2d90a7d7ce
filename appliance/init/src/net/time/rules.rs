//! Whom to ask, whom to believe, and when to ask again. Pure.

use std::fmt;
use std::time::Duration;

use crate::limits::CLOCK_AHEAD_S;

/// Asked only if neither owner nor network name a server. They belong to the NTP pool, whose
/// operators want devices to be modest: see [`Pace`].
const POOL: [&str; 3] = ["0.pool.ntp.org", "1.pool.ntp.org", "2.pool.ntp.org"];

/// One server's best answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sample {
    /// Who was asked.
    pub(super) server: String,
    /// What the server's clock says now, in seconds since 1970.
    pub(super) now_s: i64,
    /// What has to be added to our clock, in nanoseconds.
    pub(super) offset_ns: i64,
    /// How long question and answer travelled, in nanoseconds.
    pub(super) delay_ns: i64,
}

/// Picks one of several servers of the same standing: the middle one, so that a liar among three
/// is outvoted. Of two, the one that was named first.
pub(super) fn choose(samples: &[Sample]) -> Option<&Sample> {
    if samples.len() < 3 {
        return samples.first();
    }
    let mut sorted: Vec<_> = samples.iter().collect();
    sorted.sort_by_key(|sample| sample.offset_ns);
    Some(sorted[sorted.len() / 2])
}

/// What a time must lie between.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    build_s: u64,
}

/// Why a time is not believed, as the end of a sentence about its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    BeforeBuild,
    FarAhead,
    NoBuildTime,
}

impl Bounds {
    pub(super) fn new(build_s: u64) -> Self {
        Self { build_s }
    }

    /// No time before this release existed is true, and none ten years later is likely.
    pub(super) fn check(self, now_s: i64) -> Result<(), Refusal> {
        let now_s = u64::try_from(now_s).map_err(|_| Refusal::BeforeBuild)?;
        match now_s {
            _ if self.build_s == 0 => Err(Refusal::NoBuildTime),
            now if now < self.build_s => Err(Refusal::BeforeBuild),
            now if now > self.build_s.saturating_add(CLOCK_AHEAD_S) => Err(Refusal::FarAhead),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BeforeBuild => {
                "says a time before this release was made and is not believed; name another in \
                 ntp_servers"
            }
            Self::FarAhead => {
                "says a time over ten years after this release was made and is not believed; \
                 name another in ntp_servers"
            }
            Self::NoBuildTime => "is not believed, as this image does not say when it was made",
        })
    }
}

/// Servers by standing: the owner's, then the network's; the pool where both are empty or silent
/// and the owner did not choose.
#[derive(Debug)]
pub(super) struct Tiers {
    owner: Vec<String>,
    network: Vec<String>,
    dropped: Vec<String>,
}

impl Tiers {
    pub(super) fn new(owner: Vec<String>) -> Self {
        Self { owner, network: Vec::new(), dropped: Vec::new() }
    }

    /// What the network offers now. Another network, another chance for everybody.
    pub(super) fn set_network(&mut self, servers: Vec<String>) {
        self.network = servers;
        self.dropped.clear();
    }

    /// The server does not want to be asked.
    pub(super) fn drop_server(&mut self, server: &str) {
        self.dropped.push(server.to_owned());
    }

    /// To be asked in this order, until one tier gives a time.
    pub(super) fn to_ask(&self) -> Vec<Vec<String>> {
        let pool =
            if self.owner.is_empty() { POOL.map(str::to_owned).to_vec() } else { Vec::new() };
        let kept = |tier: &[String]| -> Vec<String> {
            tier.iter().filter(|server| !self.dropped.contains(server)).cloned().collect()
        };
        [&self.owner, &self.network, &pool].map(|tier| kept(tier)).to_vec()
    }
}

/// When to ask again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pause_s: u64,
    succeeded: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self { pause_s: Self::FIRST_S, succeeded: false }
    }
}

impl Pace {
    /// After a failure first: the network may be a moment late.
    const FIRST_S: u64 = 8;
    /// After a success first (RFC 5905's shortest interval of a client in the long run).
    const SHORTEST_S: u64 = 64;
    /// While the clock is not set: a server that comes back is found soon enough.
    const UNSET_S: u64 = 256;
    /// The crystal drifts by less than a tenth of a second in an hour.
    pub(super) const LONGEST: Duration = Duration::from_secs(3_600);

    pub(super) fn pause(&self) -> Duration {
        Duration::from_secs(self.pause_s)
    }

    pub(super) fn on_success(&mut self) {
        let doubled = if self.succeeded { self.pause_s * 2 } else { Self::SHORTEST_S };
        self.succeeded = true;
        self.pause_s = doubled.clamp(Self::SHORTEST_S, Self::LONGEST.as_secs());
    }

    pub(super) fn on_failure(&mut self) {
        let most = if self.succeeded { Self::LONGEST.as_secs() } else { Self::UNSET_S };
        self.pause_s = (self.pause_s * 2).min(most.max(self.pause_s));
    }

    /// A server said that this is too often.
    pub(super) fn slow_down(&mut self) {
        self.pause_s = (self.pause_s * 4).clamp(Self::SHORTEST_S, Self::LONGEST.as_secs());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILD: u64 = 1_800_000_000;
    const YEAR: i64 = 365 * 86_400;

    fn sample(server: &str, offset_s: i64) -> Sample {
        let offset_ns = offset_s * 1_000_000_000;
        Sample { server: server.to_owned(), now_s: 0, offset_ns, delay_ns: 1 }
    }

    #[test]
    fn times_before_the_build_or_decades_ahead_are_refused() {
        let bounds = Bounds::new(BUILD);
        let now = BUILD as i64 + 2 * YEAR;
        assert_eq!(bounds.check(now), Ok(()));
        assert_eq!(bounds.check(now + 60 * YEAR), Err(Refusal::FarAhead));
        for early in [now - 60 * YEAR, 0, -1, i64::MIN, BUILD as i64 - 1] {
            assert_eq!(bounds.check(early), Err(Refusal::BeforeBuild), "{early}");
        }
        assert_eq!(bounds.check(i64::MAX), Err(Refusal::FarAhead));
        assert_eq!(Bounds::new(0).check(now), Err(Refusal::NoBuildTime));
    }

    #[test]
    fn liar_among_three_is_outvoted() {
        let liar = YEAR * 3;
        for order in [[liar, 1, 2], [1, liar, 2], [1, 2, -liar]] {
            let samples: Vec<_> = order.iter().map(|offset| sample("x", *offset)).collect();
            assert!(choose(&samples).unwrap().offset_ns.abs() <= 2_000_000_000, "{order:?}");
        }
        assert_eq!(choose(&[sample("a", 9), sample("b", 1)]).unwrap().server, "a");
        assert_eq!(choose(&[]), None);
    }

    #[test]
    fn owner_s_servers_come_first_and_keep_the_pool_out() {
        let mut tiers = Tiers::new(vec!["mine".into()]);
        tiers.set_network(vec!["theirs".into()]);
        assert_eq!(tiers.to_ask(), [vec!["mine".to_owned()], vec!["theirs".into()], vec![]]);
        let mut tiers = Tiers::new(vec![]);
        assert_eq!(tiers.to_ask()[2], POOL);
        tiers.set_network(vec!["theirs".into(), "other".into()]);
        tiers.drop_server("theirs");
        assert_eq!(tiers.to_ask()[1], ["other"]);
        tiers.set_network(vec!["theirs".into()]);
        assert_eq!(tiers.to_ask()[1], ["theirs"]);
    }

    #[test]
    fn questions_become_rarer_with_success_and_with_failure() {
        let mut pace = Pace::default();
        let pauses: Vec<_> = (0..9)
            .map(|_| {
                pace.on_success();
                pace.pause().as_secs()
            })
            .collect();
        assert_eq!(pauses, [64, 128, 256, 512, 1024, 2048, 3600, 3600, 3600]);
        let mut pace = Pace::default();
        (0..20).for_each(|_| pace.on_failure());
        assert_eq!(pace.pause().as_secs(), Pace::UNSET_S);
        pace.slow_down();
        assert_eq!(pace.pause().as_secs(), 4 * Pace::UNSET_S);
        pace.on_failure();
        assert_eq!(pace.pause().as_secs(), 4 * Pace::UNSET_S, "a wish of the server stands");
        (0..9).for_each(|_| pace.slow_down());
        assert_eq!(pace.pause(), Pace::LONGEST);
    }
}
