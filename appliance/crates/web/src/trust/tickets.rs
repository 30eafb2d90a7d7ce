//! Session tickets (RFC 8446, 4.6.1) whose keys outlive the process: after a power cut everybody
//! reconnects at once, and a resumed handshake costs the box no signature.
//!
//! `tls/tickets.key` holds two generations, readable by linnetd alone. The newest seals, both open,
//! so a ticket is good for at least [`TICKET_LIFETIME`] and at most twice that. A stolen key opens
//! no recorded session of TLS 1.3, where resumption makes fresh keys as well (psk_dhe_ke); one of
//! TLS 1.2 it does. No failure here keeps anybody out: without keys there are full handshakes.

use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use ring_crypto::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use rustls::server::ProducesTickets;
use sha2::{Digest, Sha256};
use wire::ids::TimeMs;

use super::files::Folder;
use crate::limits::{TICKET_BYTES_MAX, TICKET_LIFETIME};

const MAGIC: &[u8; 8] = b"LINNETT1";
const NAME_BYTES: usize = 16;
const SECRET_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
const GENERATION_BYTES: usize = NAME_BYTES + SECRET_BYTES;
const CHECKED_BYTES: usize = MAGIC.len() + 8 + 2 * GENERATION_BYTES;

/// The file: magic, milliseconds since 1970 of the last rotation in little endian, the newest and
/// the previous generation (name, secret), SHA-256 of all that.
const FILE_BYTES: usize = CHECKED_BYTES + 32;

/// Seals and opens tickets for rustls.
pub(super) struct Tickets(RwLock<Keys>);

/// Both generations and when the next one is due.
struct Keys {
    generations: Generations,
    due: Instant,
}

#[derive(Clone)]
struct Generations {
    /// When the newest was made, as far as the clock knew.
    made: TimeMs,
    newest: Generation,
    previous: Generation,
}

#[derive(Clone)]
struct Generation {
    name: [u8; NAME_BYTES],
    secret: [u8; SECRET_BYTES],
}

impl Tickets {
    /// Loads the keys; makes new ones where there are none, or none that can be read.
    pub(super) fn open(folder: &Folder, now: TimeMs, instant: Instant) -> Self {
        let stored = folder.load_tickets().and_then(|file| match file {
            Some(bytes) => Generations::read(&bytes).map(Some),
            None => Ok(None),
        });
        let stored = stored.unwrap_or_else(|error| {
            tracing::warn!(%error, "the keys of session tickets are lost; there are new ones now");
            None
        });
        // A clock that is behind, as before the time is known, makes nothing look old.
        let age = |made: TimeMs| Duration::from_millis(now.0.saturating_sub(made.0));
        let (generations, age) = match stored {
            Some(stored) if age(stored.made) < TICKET_LIFETIME => {
                let age = age(stored.made);
                (stored, age)
            }
            Some(stored) if age(stored.made) < TICKET_LIFETIME * 2 => {
                (keep(folder, stored.next(now)), Duration::ZERO)
            }
            _ => (keep(folder, Generations::new(now)), Duration::ZERO),
        };
        Self(RwLock::new(Keys { generations, due: instant + (TICKET_LIFETIME - age) }))
    }

    /// Makes the next generation when it is time, by the monotonic clock: the wall clock may not
    /// be set.
    pub(super) fn rotate(&self, folder: &Folder, now: TimeMs, instant: Instant) {
        let next = {
            let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
            if instant < keys.due {
                return;
            }
            keys.generations.next(now)
        };
        let keys = Keys { generations: keep(folder, next), due: instant + TICKET_LIFETIME };
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = keys;
    }
}

/// Writes the keys down; where that fails they serve until the next start.
fn keep(folder: &Folder, generations: Generations) -> Generations {
    if let Err(error) = folder.store_tickets(&generations.to_bytes()) {
        tracing::warn!(%error, "the keys of session tickets could not be stored");
    }
    generations
}

impl Generations {
    fn new(made: TimeMs) -> Self {
        Self { made, newest: Generation::random(), previous: Generation::random() }
    }

    fn next(&self, made: TimeMs) -> Self {
        Self { made, newest: Generation::random(), previous: self.newest.clone() }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FILE_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.made.0.to_le_bytes());
        for generation in [&self.newest, &self.previous] {
            bytes.extend_from_slice(&generation.name);
            bytes.extend_from_slice(&generation.secret);
        }
        let checksum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&checksum);
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Self, std::io::Error> {
        let damaged = || std::io::Error::other("the file is damaged");
        let (checked, checksum) = bytes.split_at_checked(CHECKED_BYTES).ok_or_else(damaged)?;
        let intact = *checksum == *Sha256::digest(checked) && checked.starts_with(MAGIC);
        let rest = checked[MAGIC.len()..].split_first_chunk().filter(|_| intact);
        let (made, generations) = rest.ok_or_else(damaged)?;
        let (newest, previous) = generations.split_at(GENERATION_BYTES);
        Ok(Self {
            made: TimeMs(u64::from_le_bytes(*made)),
            newest: Generation::read(newest).ok_or_else(damaged)?,
            previous: Generation::read(previous).ok_or_else(damaged)?,
        })
    }
}

impl Generation {
    fn random() -> Self {
        Self { name: random(), secret: random() }
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (name, secret) = bytes.split_first_chunk()?;
        Some(Self { name: *name, secret: secret.try_into().ok()? })
    }

    fn key(&self) -> LessSafeKey {
        let key = UnboundKey::new(&CHACHA20_POLY1305, &self.secret);
        LessSafeKey::new(key.expect("the secret has 32 bytes"))
    }

    /// The ticket: name, nonce, sealed session, tag. Nonces are random: 2^32 of them under one key
    /// collide with a chance of 2^-33, and a generation seals far fewer.
    fn seal(&self, session: &[u8]) -> Option<Vec<u8>> {
        let nonce: [u8; NONCE_LEN] = random();
        let start = NAME_BYTES + NONCE_LEN;
        let mut ticket = Vec::with_capacity(start + session.len() + TAG_BYTES);
        ticket.extend_from_slice(&self.name);
        ticket.extend_from_slice(&nonce);
        ticket.extend_from_slice(session);
        let (nonce, name) = (Nonce::assume_unique_for_key(nonce), Aad::from(self.name));
        let sealed = &mut ticket[start..];
        let tag = self.key().seal_in_place_separate_tag(nonce, name, sealed).ok()?;
        ticket.extend_from_slice(tag.as_ref());
        (ticket.len() <= TICKET_BYTES_MAX).then_some(ticket)
    }

    fn open(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = ticket.strip_prefix(&self.name)?.split_first_chunk()?;
        let mut session = sealed.to_vec();
        let (nonce, name) = (Nonce::assume_unique_for_key(*nonce), Aad::from(self.name));
        let bytes = self.key().open_in_place(nonce, name, &mut session).ok()?.len();
        session.truncate(bytes);
        Some(session)
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(TICKET_LIFETIME.as_secs()).expect("half a day in seconds")
    }

    fn encrypt(&self, session: &[u8]) -> Option<Vec<u8>> {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        keys.generations.newest.seal(session)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        if ticket.len() > TICKET_BYTES_MAX {
            return None;
        }
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Generations { newest, previous, .. } = &keys.generations;
        newest.open(ticket).or_else(|| previous.open(ticket))
    }
}

impl std::fmt::Debug for Tickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tickets")
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    bytes
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const NOW: TimeMs = TimeMs(1_800_000_000_000);
    const SESSION: &[u8] = b"a session that goes on";

    /// DATA with its `tls` folder.
    fn data() -> (tempfile::TempDir, Folder) {
        let data = tempfile::tempdir().unwrap();
        std::fs::create_dir(data.path().join("tls")).unwrap();
        let folder = Folder::new(data.path());
        (data, folder)
    }

    fn after(lifetimes: f64) -> Duration {
        TICKET_LIFETIME.mul_f64(lifetimes)
    }

    fn later(lifetimes: f64) -> TimeMs {
        TimeMs(NOW.0 + u64::try_from(after(lifetimes).as_millis()).unwrap())
    }

    #[test]
    fn a_ticket_is_good_after_a_restart_within_its_lifetime_and_not_for_ever() {
        for (lifetimes, good) in [(0.0, true), (0.9, true), (1.5, true), (2.1, false)] {
            let (_data, folder) = data();
            let instant = Instant::now();
            let ticket = Tickets::open(&folder, NOW, instant).encrypt(SESSION).unwrap();
            let again = Tickets::open(&folder, later(lifetimes), instant);
            let opened = again.decrypt(&ticket);
            assert_eq!(opened.as_deref(), good.then_some(SESSION), "{lifetimes}");
        }
    }

    #[test]
    fn a_clock_that_fell_back_makes_no_ticket_bad() {
        let (_data, folder) = data();
        let instant = Instant::now();
        let ticket = Tickets::open(&folder, NOW, instant).encrypt(SESSION).unwrap();
        let again = Tickets::open(&folder, TimeMs(0), instant);
        assert_eq!(again.decrypt(&ticket).unwrap(), SESSION);
        again.rotate(&folder, TimeMs(0), instant + after(1.0));
        assert_ne!(again.encrypt(SESSION).unwrap()[..NAME_BYTES], ticket[..NAME_BYTES]);
    }

    #[test]
    fn two_rotations_end_a_ticket_and_a_restart_knows_of_them() {
        let (_data, folder) = data();
        let start = Instant::now();
        let tickets = Tickets::open(&folder, NOW, start);
        let ticket = tickets.encrypt(SESSION).unwrap();
        tickets.rotate(&folder, later(0.9), start + after(0.9));
        tickets.rotate(&folder, later(1.0), start + after(1.0));
        tickets.rotate(&folder, later(1.9), start + after(1.9));
        assert_eq!(tickets.decrypt(&ticket).unwrap(), SESSION, "one rotation so far");
        let second = tickets.encrypt(SESSION).unwrap();
        tickets.rotate(&folder, later(2.0), start + after(2.0));
        for tickets in [&tickets, &Tickets::open(&folder, later(2.5), start)] {
            assert_eq!(tickets.decrypt(&ticket), None);
            assert_eq!(tickets.decrypt(&second).unwrap(), SESSION);
        }
    }

    #[test]
    fn a_restart_does_not_put_off_the_rotation() {
        let (_data, folder) = data();
        let start = Instant::now();
        let name = |tickets: &Tickets| tickets.encrypt(SESSION).unwrap()[..NAME_BYTES].to_vec();
        let first = name(&Tickets::open(&folder, NOW, start));
        let again = Tickets::open(&folder, later(0.8), start);
        assert_eq!(name(&again), first);
        again.rotate(&folder, later(0.9), start + after(0.1));
        assert_eq!(name(&again), first);
        again.rotate(&folder, later(1.0), start + after(0.21));
        assert_ne!(name(&again), first);
    }

    #[test]
    fn the_file_is_its_owners_alone_and_damage_anywhere_means_new_keys() {
        let (data, folder) = data();
        let path = data.path().join("tls/tickets.key");
        let ticket = Tickets::open(&folder, NOW, Instant::now()).encrypt(SESSION).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let good = std::fs::read(&path).unwrap();
        assert_eq!(good.len(), FILE_BYTES);
        let mut bad: Vec<Vec<u8>> = (0..good.len())
            .map(|at| {
                let mut bytes = good.clone();
                bytes[at] ^= 0x40;
                bytes
            })
            .collect();
        bad.extend([Vec::new(), good[..good.len() - 1].to_vec(), [&good[..], &[0]].concat()]);
        for bytes in bad {
            std::fs::write(&path, &bytes).unwrap();
            let fresh = Tickets::open(&folder, NOW, Instant::now());
            assert_eq!(fresh.decrypt(&ticket), None);
            let renewed = fresh.encrypt(SESSION).unwrap();
            let again = Tickets::open(&folder, NOW, Instant::now());
            assert_eq!(again.decrypt(&renewed).unwrap(), SESSION, "the new ones are stored");
        }
    }

    #[test]
    fn where_keys_cannot_be_stored_tickets_work_until_the_next_start() {
        let data = tempfile::tempdir().unwrap();
        let folder = Folder::new(&data.path().join("missing"));
        let tickets = Tickets::open(&folder, NOW, Instant::now());
        let ticket = tickets.encrypt(SESSION).unwrap();
        assert_eq!(tickets.decrypt(&ticket).unwrap(), SESSION);
    }

    #[test]
    fn a_changed_ticket_is_none() {
        let (_data, folder) = data();
        let tickets = Tickets::open(&folder, NOW, Instant::now());
        let ticket = tickets.encrypt(SESSION).unwrap();
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(tickets.decrypt(&changed), None, "byte {at}");
            assert_eq!(tickets.decrypt(&ticket[..at]), None, "{at} bytes");
        }
        assert_eq!(tickets.decrypt(&vec![0; TICKET_BYTES_MAX + 1]), None);
        assert_eq!(tickets.encrypt(&vec![0; TICKET_BYTES_MAX]), None);
    }
}
