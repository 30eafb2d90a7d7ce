//! Argon2id on blocking threads: two at once, a bounded queue, equal time for unknown users.

use std::sync::Arc;

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use crate::limits::{ARGON2_MEMORY_KIB, ARGON2_PASSES, HASH_QUEUE_MAX, HASHES_AT_ONCE};

/// Salt and output of a hash that no password has: unknown users cost as much as known ones.
const NOBODYS_SALT_AND_OUTPUT: &str =
    "AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Why there is no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The queue is full.
    Busy,
    /// No randomness, or a stored hash that is none.
    Broken,
}

pub(crate) struct Passwords {
    /// Running and waiting together.
    places: Arc<Semaphore>,
    running: Arc<Semaphore>,
}

impl Passwords {
    pub(crate) fn new() -> Self {
        Self {
            places: Arc::new(Semaphore::new(HASHES_AT_ONCE + HASH_QUEUE_MAX)),
            running: Arc::new(Semaphore::new(HASHES_AT_ONCE)),
        }
    }

    /// The PHC text to store for a new password.
    pub(crate) async fn hash(&self, password: String) -> Result<String, Refused> {
        self.queued(move || {
            let mut salt = [0; 16];
            getrandom::fill(&mut salt).map_err(|_| Refused::Broken)?;
            let salt = SaltString::encode_b64(&salt).map_err(|_| Refused::Broken)?;
            let hash = hasher().hash_password(password.as_bytes(), &salt);
            hash.map(|hash| hash.to_string()).map_err(|_| Refused::Broken)
        })
        .await
    }

    /// Whether the password belongs to the stored hash; none is an unknown user and takes as long.
    pub(crate) async fn verify(
        &self,
        password: String,
        stored: Option<String>,
    ) -> Result<bool, Refused> {
        self.queued(move || {
            let known = stored.is_some();
            let stored = stored.unwrap_or_else(nobodys_hash);
            let stored = PasswordHash::new(&stored).map_err(|_| Refused::Broken)?;
            let verdict = hasher().verify_password(password.as_bytes(), &stored);
            Ok(verdict.is_ok() && known)
        })
        .await
    }

    /// The places travel with the work: a client that gives up does not free a running thread.
    async fn queued<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Refused> + Send + 'static,
    ) -> Result<T, Refused> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| Refused::Busy)?;
        let running = Arc::clone(&self.running).acquire_owned().await;
        let running = running.map_err(|_| Refused::Broken)?;
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop((running, place));
            result
        });
        done.await.map_err(|_| Refused::Broken)?
    }
}

fn hasher() -> Argon2<'static> {
    let params = Params::new(ARGON2_MEMORY_KIB, ARGON2_PASSES, 1, None)
        .expect("the constants lie inside Argon2's bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn nobodys_hash() -> String {
    let costs = format!("m={ARGON2_MEMORY_KIB},t={ARGON2_PASSES},p=1");
    format!("$argon2id$v=19${costs}${NOBODYS_SALT_AND_OUTPUT}")
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
    }

    #[test]
    fn a_password_fits_its_own_hash_alone() {
        run(async {
            let passwords = Passwords::new();
            let hash = passwords.hash("correct horse".to_owned()).await.unwrap();
            assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
            let verify = |word: &str| passwords.verify(word.to_owned(), Some(hash.clone()));
            assert_eq!(verify("correct horse").await, Ok(true));
            assert_eq!(verify("correct horsf").await, Ok(false));
        });
    }

    #[test]
    fn an_unknown_user_costs_a_whole_hash_and_is_never_right() {
        run(async {
            let passwords = Passwords::new();
            let hash = passwords.hash("known".to_owned()).await.unwrap();
            let mut took = [Vec::new(), Vec::new()];
            for _ in 0..5 {
                for (stored, took) in [Some(hash.clone()), None].into_iter().zip(&mut took) {
                    let start = Instant::now();
                    assert_eq!(passwords.verify("wrong".to_owned(), stored).await, Ok(false));
                    took.push(start.elapsed());
                }
            }
            let fastest = took.map(|took| took.into_iter().min().unwrap());
            assert!(fastest[1] * 2 > fastest[0], "{fastest:?}");
        });
    }

    #[test]
    fn beyond_the_queue_the_answer_is_busy_at_once() {
        run(async {
            let passwords = Passwords::new();
            let held = Arc::clone(&passwords.places);
            let all = u32::try_from(HASHES_AT_ONCE + HASH_QUEUE_MAX).unwrap();
            let held = held.try_acquire_many_owned(all).unwrap();
            assert_eq!(passwords.hash("x".to_owned()).await, Err(Refused::Busy));
            drop(held);
            assert!(passwords.hash("x".to_owned()).await.is_ok());
        });
    }

    #[test]
    fn a_stored_hash_that_is_none_is_said_to_be_broken() {
        let verdict = run(Passwords::new().verify("x".to_owned(), Some("?".to_owned())));
        assert_eq!(verdict, Err(Refused::Broken));
    }
}
