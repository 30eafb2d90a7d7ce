//! The box's own certificate authority and the certificate it serves with.
//!
//! The CA is made once, with critical name constraints, and never replaced silently: a damaged file
//! is an error that says what to do. The leaf is re-issued whenever names, addresses or the clock
//! ask for it. [`Trust`] is opened by the server's start and shared with its accept loops.

mod files;
mod issue;
mod names;
#[cfg(test)]
mod tests;
mod tickets;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert, ServerConfig,
};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, SupportedCipherSuite, SupportedProtocolVersion};
use sha2::{Digest, Sha256};
use wire::ids::{BoxId, TimeMs};

use crate::config::Network;
use files::Folder;
use issue::{Authority, Leaf};
pub(crate) use names::is_private;
use tickets::Tickets;

/// ALPN of native sessions.
pub const ALPN_NATIVE: &[u8] = b"linnet";

/// ALPN of the web client, REST and WebSockets.
pub const ALPN_HTTP: &[u8] = b"http/1.1";

/// What people compare to know that it is their box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// SHA-256 of the CA certificate in DER.
    pub sha256: [u8; 32],
    /// Its first 88 bits as words (BIP-39, English).
    pub words: [&'static str; update::fingerprint::WORDS],
}

/// Why there is no certificate to serve with.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A file can't be read or written.
    #[error("{path}: {source}; check that the folder belongs to linnetd and has space")]
    Io {
        /// Which file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// The CA is not what was written.
    #[error(
        "{path} is damaged ({what}); restore the folder from a backup, or remove the whole folder \
         for a new identity that every device has to trust anew"
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A certificate could not be made.
    #[error("a certificate could not be made: {0}")]
    Issue(String),
}

/// The CA, the leaf in use, and where both are kept.
pub struct Trust {
    folder: Folder,
    authority: Authority,
    leaf: Mutex<Leaf>,
    live: Arc<Live>,
    tickets: Arc<Tickets>,
}

impl Trust {
    /// Loads the CA from `data`/tls, or makes it when that folder does not exist, and makes sure
    /// that the leaf fits `network` and the clock.
    ///
    /// # Errors
    /// See [`TrustError`].
    pub fn open(
        data: &Path,
        box_id: BoxId,
        network: &Network,
        now: TimeMs,
        floor: TimeMs,
    ) -> Result<Self, TrustError> {
        let folder = Folder::new(data);
        if !folder.exists()? {
            folder.create(&Authority::generate(box_id, network, now, floor)?)?;
        }
        let authority = folder.load_authority()?;
        let leaf = match folder.load_leaf(&authority) {
            Some(leaf) if leaf.fits(&authority.leaf_names(network), now) => leaf,
            _ => issue_leaf(&folder, &authority, network, now, floor)?,
        };
        let live = Arc::new(Live(RwLock::new(certified(&authority, &leaf)?)));
        let tickets = Arc::new(Tickets::open(&folder, now, Instant::now()));
        Ok(Self { folder, authority, leaf: Mutex::new(leaf), live, tickets })
    }

    /// Re-issues the leaf if names, addresses or the clock ask for it; true when it did.
    /// Connections that are open keep the old one.
    ///
    /// # Errors
    /// See [`TrustError`]; the old leaf stays in use.
    pub fn refresh(
        &self,
        network: &Network,
        now: TimeMs,
        floor: TimeMs,
    ) -> Result<bool, TrustError> {
        let mut leaf = self.leaf.lock().unwrap_or_else(PoisonError::into_inner);
        if leaf.fits(&self.authority.leaf_names(network), now) {
            return Ok(false);
        }
        *leaf = issue_leaf(&self.folder, &self.authority, network, now, floor)?;
        let fresh = certified(&self.authority, &leaf)?;
        *self.live.0.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(true)
    }

    /// Replaces the key of session tickets when it is time.
    pub fn rotate_tickets(&self, now: TimeMs) {
        self.tickets.rotate(&self.folder, now, Instant::now());
    }

    /// What people compare.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let sha256 = Sha256::digest(&self.authority.der).into();
        Fingerprint { sha256, words: update::fingerprint::words(&sha256) }
    }

    /// The CA certificate in DER, as phones import it.
    #[must_use]
    pub fn ca_der(&self) -> &[u8] {
        &self.authority.der
    }

    /// TLS for every listener: 1.3 and 1.2, ChaCha20 first (the Pi 4 has no AES instructions), one
    /// ticket that outlives a restart, and always the leaf in use.
    ///
    /// # Errors
    /// See [`TrustError`].
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, TrustError> {
        let mut config = self.config(&[&TLS13, &TLS12])?;
        config.alpn_protocols = vec![ALPN_HTTP.to_vec(), ALPN_NATIVE.to_vec()];
        config.enable_secret_extraction = true; // for the rings, which keep no rustls
        Ok(Arc::new(config))
    }

    /// The same for QUIC: 1.3 and native sessions only. There is no early data, which could be
    /// replayed.
    ///
    /// # Errors
    /// See [`TrustError`].
    pub fn quic_config(&self) -> Result<Arc<ServerConfig>, TrustError> {
        let mut config = self.config(&[&TLS13])?;
        config.alpn_protocols = vec![ALPN_NATIVE.to_vec()];
        config.max_early_data_size = 0;
        Ok(Arc::new(config))
    }

    fn config(
        &self,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Result<ServerConfig, TrustError> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
            .with_protocol_versions(versions)
            .map_err(|error| TrustError::Issue(error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.live) as Arc<dyn ResolvesServerCert>);
        config.ignore_client_order = true;
        config.send_tls13_tickets = 1;
        config.ticketer = Arc::clone(&self.tickets) as Arc<dyn ProducesTickets>;
        config.session_storage = Arc::new(NoServerSessionStorage {}); // tickets need none
        Ok(config)
    }

    /// A secret for one purpose that is the same as long as the CA is.
    #[must_use]
    pub fn secret_for(&self, purpose: &str) -> [u8; 32] {
        let digest = Sha256::new().chain_update(purpose).chain_update([0]);
        digest.chain_update(self.authority.key_der()).finalize().into()
    }
}

fn issue_leaf(
    folder: &Folder,
    authority: &Authority,
    network: &Network,
    now: TimeMs,
    floor: TimeMs,
) -> Result<Leaf, TrustError> {
    let leaf = authority.issue(authority.leaf_names(network), now, floor)?;
    if let Err(error) = folder.store_leaf(&leaf) {
        // A full card must not close the doors: the next start makes another one.
        tracing::warn!(%error, "the certificate could not be stored; it serves this run");
    }
    tracing::info!(names = %leaf.names, "issued a certificate");
    Ok(leaf)
}

fn certified(authority: &Authority, leaf: &Leaf) -> Result<Arc<CertifiedKey>, TrustError> {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf.key_der.clone()));
    let key = ring::sign::any_ecdsa_type(&key).map_err(|e| TrustError::Issue(e.to_string()))?;
    // The CA goes along so that `linnet` can pin it at first contact.
    let chain =
        vec![CertificateDer::from(leaf.der.clone()), CertificateDer::from(authority.der.clone())];
    Ok(Arc::new(CertifiedKey::new(chain, key)))
}

fn provider() -> CryptoProvider {
    let mut provider = ring::default_provider();
    provider.cipher_suites.sort_by_key(|suite| !is_chacha(suite));
    provider
}

fn is_chacha(suite: &SupportedCipherSuite) -> bool {
    matches!(
        suite.suite(),
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
    )
}

/// Hands rustls the leaf in use, so that a re-issue needs no restart.
struct Live(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Live {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let live = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&live))
    }
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Live")
    }
}
