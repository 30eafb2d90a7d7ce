//! The claim proof of `linnet claim`: both sides show that they know the claim token without
//! sending it, bound to the box's CA and to this one TLS connection, so that nobody in the middle
//! can use what they see. The key is the token's SHA-256: all that the box itself holds. Pure.

use std::fmt;

use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::claim::TokenHash;
use crate::hex;

/// Label of the TLS exporter (RFC 5705, RFC 8446 section 7.5); no context, 32 bytes.
pub const TLS_EXPORTER_LABEL: &[u8] = b"EXPORTER-linnet-claim";

const BOX_ROLE: &[u8] = b"linnet box";
const OWNER_ROLE: &[u8] = b"linnet owner";

/// What both sides saw. Each proof is HMAC-SHA-256 over the role, a zero byte and these in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transcript {
    /// Random bytes of the future owner's tool.
    pub client_nonce: [u8; 32],
    /// Random bytes of the box.
    pub box_nonce: [u8; 32],
    /// SHA-256 of the CA certificate in DER.
    pub ca_sha256: [u8; 32],
    /// Exporter of the TLS connection under [`TLS_EXPORTER_LABEL`].
    pub tls_exporter: [u8; 32],
}

impl Transcript {
    /// What the box answers first.
    #[must_use]
    pub fn box_proof(&self, key: &TokenHash) -> Proof {
        self.prove(BOX_ROLE, key)
    }

    /// What the future owner answers once the box's proof is right.
    #[must_use]
    pub fn owner_proof(&self, key: &TokenHash) -> Proof {
        self.prove(OWNER_ROLE, key)
    }

    fn prove(&self, role: &[u8], key: &TokenHash) -> Proof {
        let mut mac = Hmac::<Sha256>::new_from_slice(key.bytes()).expect("HMAC takes any key");
        mac.update(role);
        mac.update(&[0]);
        mac.update(&self.client_nonce);
        mac.update(&self.box_nonce);
        mac.update(&self.ca_sha256);
        mac.update(&self.tls_exporter);
        Proof(mac.finalize().into_bytes().into())
    }
}

/// One side's proof. Comparing takes the same time for every content.
#[derive(Clone, Copy, Debug, Eq)]
pub struct Proof([u8; 32]);

impl Proof {
    /// Reads 64 hexadecimal digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        hex::decode(text).map(Self)
    }
}

impl PartialEq for Proof {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEN: Transcript = Transcript {
        client_nonce: [1; 32],
        box_nonce: [2; 32],
        ca_sha256: [3; 32],
        tls_exporter: [4; 32],
    };

    fn key(byte: u8) -> TokenHash {
        TokenHash::from_bytes([byte; 32])
    }

    #[test]
    fn the_roles_the_key_and_every_part_of_the_transcript_matter() {
        let proof = SEEN.owner_proof(&key(9));
        assert_ne!(proof, SEEN.box_proof(&key(9)));
        assert_ne!(proof, SEEN.owner_proof(&key(8)));
        let mut others = [SEEN; 4];
        others[0].client_nonce[31] ^= 1;
        others[1].box_nonce[31] ^= 1;
        others[2].ca_sha256[31] ^= 1;
        others[3].tls_exporter[31] ^= 1;
        for other in others {
            assert_ne!(proof, other.owner_proof(&key(9)), "{other:?}");
        }
    }

    #[test]
    fn a_proof_survives_its_text_form() {
        let proof = SEEN.box_proof(&key(9));
        assert_eq!(Proof::from_hex(&proof.to_string()), Some(proof));
        assert_eq!(Proof::from_hex("00"), None);
    }

    // Computed with Python: hmac.new(bytes([9])*32, b"linnet box\0" + b"".join(bytes([i])*32
    // for i in (1, 2, 3, 4)), "sha256").hexdigest()
    #[test]
    fn the_proof_is_hmac_sha256_as_documented() {
        let expected = "dbce02aa58cc6dece5cc310b711567ca7b63196f885145370a6130bbc1048b4a";
        assert_eq!(SEEN.box_proof(&key(9)).to_string(), expected);
    }
}
