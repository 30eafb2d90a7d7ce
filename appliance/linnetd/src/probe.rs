//! The health device: posts a message through the hidden room and waits until it is durable and
//! read back. Proves core, log and card; runs in its own thread and reports to init.

use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Instant;

use chat::{ApiCall, ApiReply};
use tokio::sync::oneshot::error::TryRecvError;
use update::control::{self, Health, LedHint};

use crate::health::Status;
use crate::limits::{PROBE_INTERVAL, PROBE_TIMEOUT};
use crate::link::Link;

/// Pause between two looks for the answer: the probe is in no hurry.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(5);

/// One round trip.
///
/// # Errors
/// One sentence that says what did not work.
pub(crate) fn round_trip(link: &Arc<Link>, nonce: u64) -> Result<(), String> {
    let Some(mut answer) = link.call(ApiCall::HealthProbe { nonce }) else {
        return Err("the core takes no calls".into());
    };
    let deadline = Instant::now() + PROBE_TIMEOUT;
    loop {
        match answer.try_recv() {
            Ok(Ok(ApiReply::Healthy { nonce: back, .. })) if back == nonce => return Ok(()),
            Ok(Ok(_)) => return Err("another message than the one posted came back".into()),
            Ok(Err(error)) => return Err(error.to_string()),
            Err(TryRecvError::Closed) => return Err("the core is going down".into()),
            Err(TryRecvError::Empty) if Instant::now() > deadline => {
                return Err("a message did not become durable in time".into());
            }
            Err(TryRecvError::Empty) => std::thread::sleep(PAUSE),
        }
    }
}

/// Looks at the box now and then, and words what it saw.
pub(crate) struct Examiner {
    link: Arc<Link>,
    status: Arc<Status>,
    nonce: Option<String>,
    last_probe: Option<(Instant, Result<(), String>)>,
    /// As the core said last.
    claimed: bool,
}

impl Examiner {
    pub(crate) fn new(link: Arc<Link>, status: Arc<Status>, nonce: Option<String>) -> Self {
        Self { link, status, nonce, last_probe: None, claimed: false }
    }

    /// A round trip when one is due. A good one writes to the card, so it is rare; after a bad one
    /// the next is due at once.
    pub(crate) fn examine(&mut self) -> Result<(), String> {
        if let Some((at, Ok(()))) = &self.last_probe
            && at.elapsed() < PROBE_INTERVAL
        {
            return Ok(());
        }
        let result = round_trip(&self.link, number_of(self.nonce.as_deref()));
        if result.is_ok() {
            self.status.advance();
        }
        self.status.set_probe(result.clone().err());
        self.last_probe = Some((Instant::now(), result.clone()));
        result
    }

    /// What init is told.
    pub(crate) fn report(&mut self) -> (Health, LedHint) {
        let result = self.examine();
        // A core with no time to answer does not make the box nobody's.
        self.claimed = claimed(&self.link).unwrap_or(self.claimed);
        let health = Health {
            ok: result.is_ok(),
            detail: control::sentence(&result.err().unwrap_or_default()),
            nonce: self.nonce.clone(),
            progress: self.status.progress() + self.link.durable().0,
            claimed: self.claimed,
        };
        let hint = if self.status.card_low() { LedHint::CardNearlyFull } else { LedHint::Nothing };
        (health, hint)
    }
}

fn claimed(link: &Link) -> Option<bool> {
    match link.call(ApiCall::Facts)?.blocking_recv() {
        Ok(Ok(ApiReply::Facts(facts))) => Some(facts.claimed),
        _ => None,
    }
}

/// The boot nonce as the number that travels through the health room.
fn number_of(nonce: Option<&str>) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    nonce.hash(&mut hasher);
    hasher.finish()
}
