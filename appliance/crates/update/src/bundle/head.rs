//! The fixed 112 bytes in front of the manifest, and what exactly is signed.
//!
//! magic (8), version u32, length of the manifest u32, signer's public key (32), signature (64).
//! Numbers are little endian. Signed are the first 48 bytes and the manifest.

use super::{Manifest, PublicKey, Refusal, Signature};
use crate::limits::BUNDLE_MANIFEST_BYTES_MAX;

const MAGIC: [u8; 8] = *b"LINNETUP";
const VERSION: u32 = 1;
const SIGNED_BYTES: usize = 48;

/// Length of the head in bytes.
pub const HEAD_BYTES: usize = SIGNED_BYTES + 64;

/// A head that was read but not yet believed.
#[derive(Debug)]
pub(super) struct Head {
    signed: [u8; SIGNED_BYTES],
    signature: Signature,
    pub(super) manifest_bytes: usize,
}

impl Head {
    /// Takes the fixed fields apart; bounds the manifest before a byte of it is kept.
    pub(super) fn read(bytes: &[u8; HEAD_BYTES]) -> Result<Self, Refusal> {
        let (signed, signature) = bytes.split_first_chunk().expect("a head holds both");
        let signature = *signature.first_chunk().expect("the rest of a head is the signature");
        let number = |at: usize| {
            u32::from_le_bytes(*signed[at..].first_chunk().expect("numbers lie inside"))
        };
        if signed[..8] != MAGIC {
            return Err(Refusal::NotABundle);
        }
        if number(8) != VERSION {
            return Err(Refusal::Version { found: number(8) });
        }
        let manifest_bytes = usize::try_from(number(12)).unwrap_or(usize::MAX);
        if manifest_bytes > BUNDLE_MANIFEST_BYTES_MAX {
            return Err(Refusal::ManifestTooLong { bytes: manifest_bytes });
        }
        Ok(Self { signed: *signed, signature, manifest_bytes })
    }

    fn key(&self) -> PublicKey {
        PublicKey::from_bytes(*self.signed[16..].last_chunk().expect("a key ends the signed part"))
    }

    /// Checks who signed and that the signature is about these bytes.
    pub(super) fn verify(&self, manifest: &[u8], accepted: &[PublicKey]) -> Result<(), Refusal> {
        let key = self.key();
        if !accepted.contains(&key) {
            return Err(Refusal::UnknownKey { fingerprint: key.fingerprint() });
        }
        let message = [&self.signed, manifest].concat();
        key.verifies(&message, &self.signature).then_some(()).ok_or(Refusal::Signature)
    }
}

/// A bundle's beginning that waits for its signature. The private key stays with the caller.
#[derive(Debug)]
pub struct Unsigned {
    head: [u8; SIGNED_BYTES],
    manifest: String,
}

impl Unsigned {
    /// Prepares the head of a bundle with this manifest and signer.
    ///
    /// # Errors
    /// [`Refusal::Manifest`] or [`Refusal::ManifestTooLong`] when no box would take it.
    pub fn new(manifest: &Manifest, signer: &PublicKey) -> Result<Self, Refusal> {
        manifest.check()?;
        let manifest = manifest.render();
        if manifest.len() > BUNDLE_MANIFEST_BYTES_MAX {
            return Err(Refusal::ManifestTooLong { bytes: manifest.len() });
        }
        let bytes = u32::try_from(manifest.len()).expect("limits.rs: a manifest is below 4 GiB");
        let mut head = [0; SIGNED_BYTES];
        head[..8].copy_from_slice(&MAGIC);
        head[8..12].copy_from_slice(&VERSION.to_le_bytes());
        head[12..16].copy_from_slice(&bytes.to_le_bytes());
        head[16..].copy_from_slice(signer.bytes());
        Ok(Self { head, manifest })
    }

    /// What the signer has to sign.
    pub fn message(&self) -> Vec<u8> {
        [&self.head, self.manifest.as_bytes()].concat()
    }

    /// The bundle's beginning: head, signature, manifest. The packed chunks follow it.
    pub fn sealed(&self, signature: &Signature) -> Vec<u8> {
        [&self.head[..], signature, self.manifest.as_bytes()].concat()
    }
}
