//! What to change in the kernel when a lease comes, changes or goes. Pure. After the link returned
//! the old address stays until the server's answer: most often it is the same network again, and
//! nobody's connection has to break.

use std::net::Ipv4Addr;

use update::provision::is_host_address;

/// How long an unconfirmed address stays after the link came back, in milliseconds.
pub(super) const KEEP_MS: u64 = 20_000;

/// What a server gave, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lease {
    /// Our address.
    pub(crate) address: Ipv4Addr,
    /// Length of the network's prefix.
    pub(crate) prefix: u8,
    /// Default router.
    pub(crate) router: Option<Ipv4Addr>,
    /// At most what smoltcp keeps (3).
    pub(crate) name_servers: Vec<Ipv4Addr>,
    /// Time servers (option 42), at most a few.
    pub(crate) time_servers: Vec<Ipv4Addr>,
}

impl Default for Lease {
    /// No lease: an address that `checked` refuses.
    fn default() -> Self {
        let (name_servers, time_servers) = (Vec::new(), Vec::new());
        Self { address: Ipv4Addr::UNSPECIFIED, prefix: 0, router: None, name_servers, time_servers }
    }
}

impl Lease {
    /// Takes a server's offer unless it would harm the box: a server may be anybody on the cable.
    pub(crate) fn checked(self) -> Option<Self> {
        let usable = is_host_address(self.address) && (8..=32).contains(&self.prefix);
        let router = self.router.filter(|at| is_host_address(*at) && *at != self.address);
        let (mut name_servers, mut time_servers) = (self.name_servers, self.time_servers);
        name_servers.retain(|server| is_host_address(*server));
        time_servers.retain(|server| is_host_address(*server));
        usable.then_some(Self { router, name_servers, time_servers, ..self })
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Take an address away; its routes go with it.
    RemoveAddress(Ipv4Addr, u8),
    /// Add or confirm an address.
    SetAddress(Ipv4Addr, u8),
    /// Take the default route away.
    RemoveRouter(Ipv4Addr),
    /// Set the default route.
    SetRouter(Ipv4Addr),
    /// Write name servers and the lease for the next process.
    Store(Option<Lease>),
}

/// The lease that the kernel is set to.
#[derive(Debug)]
pub(crate) struct Keeper {
    held: Option<Lease>,
    drop_at_ms: Option<u64>,
}

impl Keeper {
    /// `held` is what an earlier process left behind; it stays for its time, too.
    pub(crate) fn new(held: Option<Lease>, now_ms: u64) -> Self {
        let drop_at_ms = held.as_ref().map(|_| now_ms + KEEP_MS);
        Self { held, drop_at_ms }
    }

    /// The lease in use.
    pub(crate) fn held(&self) -> Option<&Lease> {
        self.held.as_ref()
    }

    /// Whether a server confirmed it since the link came.
    pub(crate) fn is_confirmed(&self) -> bool {
        self.held.is_some() && self.drop_at_ms.is_none()
    }

    /// The cable is in again.
    pub(crate) fn on_link_up(&mut self, now_ms: u64) {
        if self.held.is_some() {
            self.drop_at_ms = Some(now_ms + KEEP_MS);
        }
    }

    /// The client has no lease any more.
    pub(crate) fn on_lost(&mut self, now_ms: u64) -> Vec<Step> {
        match self.drop_at_ms {
            // We asked anew ourselves; the address has its time.
            Some(_) => self.on_tick(now_ms),
            None => self.drop_held(),
        }
    }

    /// Time passes.
    pub(crate) fn on_tick(&mut self, now_ms: u64) -> Vec<Step> {
        match self.drop_at_ms {
            Some(at) if now_ms >= at => self.drop_held(),
            _ => Vec::new(),
        }
    }

    /// A server gave or confirmed a lease.
    pub(crate) fn on_lease(&mut self, lease: Lease) -> Vec<Step> {
        self.drop_at_ms = None;
        if self.held.as_ref() == Some(&lease) {
            return Vec::new();
        }
        let mut steps = Vec::new();
        let old = self.held.as_ref();
        let new_address = (lease.address, lease.prefix);
        let moved = old.filter(|old| (old.address, old.prefix) != new_address);
        if let Some(old) = moved {
            steps.push(Step::RemoveAddress(old.address, old.prefix));
        }
        steps.push(Step::SetAddress(lease.address, lease.prefix));
        match (lease.router, old.filter(|_| moved.is_none()).and_then(|old| old.router)) {
            (Some(router), _) => steps.push(Step::SetRouter(router)),
            (None, Some(old)) => steps.push(Step::RemoveRouter(old)),
            (None, None) => {}
        }
        steps.push(Step::Store(Some(lease.clone())));
        self.held = Some(lease);
        steps
    }

    fn drop_held(&mut self) -> Vec<Step> {
        self.drop_at_ms = None;
        match self.held.take() {
            Some(old) => vec![Step::RemoveAddress(old.address, old.prefix), Step::Store(None)],
            None => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(last: u8, router: Option<u8>) -> Lease {
        Lease {
            address: [10, 0, 0, last].into(),
            prefix: 24,
            router: router.map(|last| [10, 0, 0, last].into()),
            ..Lease::default()
        }
    }

    fn remove(last: u8) -> Step {
        Step::RemoveAddress([10, 0, 0, last].into(), 24)
    }

    #[test]
    fn first_lease_sets_all_and_its_renewal_nothing() {
        let mut keeper = Keeper::new(None, 0);
        assert!(keeper.on_lost(0).is_empty());
        let steps = keeper.on_lease(lease(5, Some(1)));
        let expected = vec![
            Step::SetAddress([10, 0, 0, 5].into(), 24),
            Step::SetRouter([10, 0, 0, 1].into()),
            Step::Store(Some(lease(5, Some(1)))),
        ];
        assert_eq!(steps, expected);
        assert!(keeper.is_confirmed());
        assert!(keeper.on_lease(lease(5, Some(1))).is_empty());
        assert!(keeper.on_tick(u64::MAX).is_empty());
    }

    #[test]
    fn changed_address_replaces_the_old_one_and_lost_router_goes() {
        let mut keeper = Keeper::new(None, 0);
        keeper.on_lease(lease(5, Some(1)));
        let steps = keeper.on_lease(lease(6, Some(1)));
        assert_eq!(steps[0], remove(5));
        assert!(steps.contains(&Step::SetRouter([10, 0, 0, 1].into())));
        let steps = keeper.on_lease(lease(6, None));
        assert!(steps.contains(&Step::RemoveRouter([10, 0, 0, 1].into())));
        assert!(!steps.contains(&remove(6)));
    }

    #[test]
    fn expired_lease_goes_at_once() {
        let mut keeper = Keeper::new(None, 0);
        keeper.on_lease(lease(5, None));
        assert_eq!(keeper.on_lost(9), [remove(5), Step::Store(None)]);
        assert_eq!(keeper.held(), None);
    }

    #[test]
    fn address_stays_over_a_replugged_cable_until_the_answer_or_its_time() {
        let mut keeper = Keeper::new(None, 0);
        keeper.on_lease(lease(5, None));
        keeper.on_link_up(1_000);
        assert!(keeper.on_lost(1_001).is_empty());
        assert!(!keeper.is_confirmed());
        assert!(keeper.on_lease(lease(5, None)).is_empty(), "same network: nothing changes");
        keeper.on_link_up(2_000);
        assert!(keeper.on_tick(2_000 + KEEP_MS - 1).is_empty());
        assert_eq!(keeper.on_tick(2_000 + KEEP_MS), [remove(5), Step::Store(None)]);
    }

    #[test]
    fn address_of_an_earlier_process_is_replaced_or_dropped() {
        let mut keeper = Keeper::new(Some(lease(5, None)), 0);
        assert!(keeper.on_lost(1).is_empty());
        assert_eq!(keeper.on_lease(lease(6, None))[0], remove(5));
        let mut keeper = Keeper::new(Some(lease(5, None)), 0);
        assert_eq!(keeper.on_tick(KEEP_MS)[0], remove(5));
    }

    #[test]
    fn offers_that_would_harm_the_box_are_not_taken() {
        let with = |address: [u8; 4], prefix| Lease {
            address: address.into(),
            prefix,
            router: Some([127, 0, 0, 1].into()),
            name_servers: vec![[255; 4].into(), [9, 9, 9, 9].into()],
            time_servers: vec![[127, 0, 0, 1].into(), [10, 0, 0, 1].into()],
        };
        for address in [[127, 0, 0, 1], [0, 0, 0, 0], [224, 0, 0, 1], [255; 4], [0, 1, 2, 3]] {
            assert_eq!(with(address, 24).checked(), None, "{address:?}");
        }
        assert_eq!(with([10, 0, 0, 5], 0).checked(), None);
        let taken = with([10, 0, 0, 5], 24).checked().unwrap();
        assert_eq!(taken.router, None);
        assert_eq!(taken.name_servers, [Ipv4Addr::new(9, 9, 9, 9)]);
        assert_eq!(taken.time_servers, [Ipv4Addr::new(10, 0, 0, 1)]);
    }
}
