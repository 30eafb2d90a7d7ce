//! The claim token: 128 random bits that make their holder the first owner of a box.
//! The card holds only its hash and a provisioning id; the token itself travels on a screen, in a
//! URL fragment or not at all (the CLI proves it by HMAC). Randomness comes from the caller.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::hex;

/// Length of a token's text form in characters.
pub const TOKEN_TEXT_CHARS: usize = 22;

/// 128 random bits. It is a secret: neither `Debug` nor any log line shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct ClaimToken([u8; 16]);

impl ClaimToken {
    /// Wraps 16 bytes that came from a cryptographic random source.
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Reads the base64url text form (22 characters, no padding).
    ///
    /// # Errors
    /// [`TokenError`] when the text is not the form that [`Self::text`] writes.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        if text.len() != TOKEN_TEXT_CHARS {
            return Err(TokenError);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenError)?;
        bytes.try_into().map(Self).map_err(|_| TokenError)
    }

    /// The text form for a link or a screen. Whoever reads it can claim the box.
    pub fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// The link that makes its holder the owner. The token is in the fragment, which browsers do
    /// not send. `host` may carry a port.
    pub fn link(&self, host: &str) -> String {
        format!("https://{host}/#claim={}", self.text())
    }

    /// What the card may hold.
    pub fn hash(&self) -> TokenHash {
        TokenHash(Sha256::digest(self.0).into())
    }
}

impl fmt::Debug for ClaimToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClaimToken(secret)")
    }
}

/// The text is not a claim token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is not a claim token ({TOKEN_TEXT_CHARS} characters out of A-Z, a-z, 0-9, '-' and '_'); \
     copy the whole claim link again"
)]
pub struct TokenError;

/// SHA-256 of a claim token. Comparing takes the same time for every content.
#[derive(Debug, Clone, Copy, Eq, Serialize, Deserialize)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// Wraps a SHA-256 digest.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        hex::decode(text).map(Self)
    }

    /// Whether `token` is the one behind this hash.
    pub fn matches(&self, token: &ClaimToken) -> bool {
        *self == token.hash()
    }
}

impl PartialEq for TokenHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

/// Names one provisioning of one card, so that a spent claim stays spent after a factory reset.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProvisioningId([u8; 16]);

impl ProvisioningId {
    /// Wraps 16 random bytes.
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The raw bytes.
    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Reads 32 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        hex::decode(text).map(Self)
    }
}

impl fmt::Display for ProvisioningId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for ProvisioningId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProvisioningId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_survives_its_text_form_and_matches_only_its_own_hash() {
        let token = ClaimToken::from_random([7; 16]);
        assert_eq!(token.text().len(), TOKEN_TEXT_CHARS);
        assert_eq!(ClaimToken::parse(&token.text()), Ok(token.clone()));
        assert!(token.hash().matches(&token));
        assert!(!token.hash().matches(&ClaimToken::from_random([8; 16])));
    }

    #[test]
    fn token_travels_in_the_fragment() {
        let link = ClaimToken::from_random([0; 16]).link("localhost:8443");
        assert_eq!(link, "https://localhost:8443/#claim=AAAAAAAAAAAAAAAAAAAAAA");
    }

    #[test]
    fn hash_is_sha256_of_the_raw_bytes() {
        let hash = ClaimToken::from_random([0; 16]).hash();
        let expected = "374708fff7719dd5979ec875d56cd2286f6d3cf7ec317a3b25632aab28ec37bb";
        assert_eq!(hash.to_string(), expected);
        assert_eq!(TokenHash::from_hex(expected), Some(hash));
    }

    #[test]
    fn text_that_is_not_a_token_is_refused() {
        for text in ["", "abc", "AAAAAAAAAAAAAAAAAAAAA=", "AAAAAAAAAAAAAAAAAAAAA!"] {
            assert_eq!(ClaimToken::parse(text), Err(TokenError), "{text}");
        }
        // The last character carries four bits that do not exist: only one spelling is accepted.
        assert_eq!(ClaimToken::parse("AAAAAAAAAAAAAAAAAAAAAB"), Err(TokenError));
    }

    #[test]
    fn debug_output_does_not_show_the_token() {
        let token = ClaimToken::from_random([7; 16]);
        assert!(!format!("{token:?}").contains(&token.text()));
    }
}
