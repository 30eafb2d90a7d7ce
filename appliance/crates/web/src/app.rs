//! What every request handler shares. One thread runs them all; the locks are held for moments.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use update::hex;

use crate::claim::{Challenge, Standing};
use crate::config::{Claimable, Clock, Config, Network, StaticFile};
use crate::core::{Core, CoreError, Facts};
use crate::handover::Adopt;
use crate::passwords::Passwords;
use crate::server::Place;
use crate::throttle::Throttle;
use crate::trust::{Trust, TrustError};

/// Shared by all handlers and accept loops.
pub(crate) struct App {
    pub(crate) core: Arc<dyn Core>,
    pub(crate) adopt: Adopt,
    pub(crate) trust: Trust,
    pub(crate) passwords: Passwords,
    pub(crate) claim_tries: Tries<IpAddr>,
    pub(crate) login_tries: Tries<(IpAddr, String)>,
    pub(crate) version: &'static str,
    pub(crate) site: &'static [StaticFile],
    /// Port of the HTTPS listener, for redirects.
    pub(crate) https_port: u16,
    network: RwLock<Arc<Network>>,
    claimable: Mutex<Option<Claimable>>,
    clock: Clock,
    clock_floor: wire::ids::TimeMs,
}

impl App {
    pub(crate) fn new(config: Config, https_port: u16) -> Result<Self, TrustError> {
        let trust = Trust::open(
            &config.data,
            config.box_id,
            &config.network,
            (config.clock)(),
            config.clock_floor,
        )?;
        Ok(Self {
            core: config.core,
            adopt: config.adopt,
            trust,
            passwords: Passwords::new(),
            claim_tries: Tries::new(),
            login_tries: Tries::new(),
            version: config.version,
            site: config.site,
            https_port,
            network: RwLock::new(Arc::new(config.network)),
            claimable: Mutex::new(config.claim),
            clock: config.clock,
            clock_floor: config.clock_floor,
        })
    }

    pub(crate) fn network(&self) -> Arc<Network> {
        let network = self.network.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&network)
    }

    pub(crate) fn set_network(&self, network: Network) {
        *self.network.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(network);
        self.refresh_leaf();
    }

    pub(crate) fn set_claimable(&self, claimable: Option<Claimable>) {
        *lock(&self.claimable) = claimable;
    }

    /// Makes the certificate follow names, addresses and clock; the old one stays if that fails.
    pub(crate) fn refresh_leaf(&self) {
        let refreshed = self.trust.refresh(&self.network(), (self.clock)(), self.clock_floor);
        if let Err(error) = refreshed {
            tracing::error!(%error, "the certificate could not be renewed; the old one stays");
        }
    }

    pub(crate) fn rotate_tickets(&self) {
        self.trust.rotate_tickets((self.clock)());
    }

    pub(crate) async fn standing(&self) -> Result<(Standing, Facts), CoreError> {
        let facts = self.core.facts().await?;
        let claimable = *lock(&self.claimable);
        let claimed = facts.claimed;
        Ok((Standing { claimable, claimed }, facts))
    }

    pub(crate) fn ca_sha256_hex(&self) -> String {
        hex::encode(&self.trust.fingerprint().sha256)
    }
}

/// A [`Throttle`] behind a lock, on the monotonic clock.
pub(crate) struct Tries<K>(Mutex<Throttle<K>>);

impl<K: std::hash::Hash + Eq + Clone> Tries<K> {
    fn new() -> Self {
        Self(Mutex::new(Throttle::new()))
    }

    pub(crate) fn attempt(&self, key: &K) -> Result<(), std::time::Duration> {
        lock(&self.0).attempt(key, Instant::now())
    }

    pub(crate) fn wait(&self, key: &K) -> Option<std::time::Duration> {
        lock(&self.0).wait(key, Instant::now())
    }

    pub(crate) fn forgive(&self, key: &K) {
        lock(&self.0).forgive(key);
    }
}

/// What a handler knows about the connection its request came on.
#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// Exporter of the TLS connection, for the claim proof; none on the plain port.
    pub(crate) tls_exporter: Option<[u8; 32]>,
    /// The claim challenge given on this connection.
    pub(crate) challenge: Arc<Mutex<Option<Challenge>>>,
    /// Held by the connection, and by the session that it becomes.
    pub(crate) place: Arc<Place>,
}

impl Peer {
    pub(crate) fn new(
        address: SocketAddr,
        tls_exporter: Option<[u8; 32]>,
        place: Arc<Place>,
    ) -> Self {
        Self { address, tls_exporter, challenge: Arc::default(), place }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
