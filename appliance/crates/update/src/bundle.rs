//! The update bundle `linnet-<version>.lup` (FORMAT.md, "Update bundle"): a signed manifest, then
//! the images of both slots as compressed chunks that are each vouched for by the manifest. Bytes
//! in, verified chunks out, nothing written here. Built by crate `image`, read by whoever installs.
//!
//! Invariant: no chunk leaves [`Verifier`] before signature, policy and both its hashes were
//! checked, and nothing counts as complete before [`Verifier::finish`].

mod head;
mod key;
mod manifest;
mod refusal;
mod verifier;

pub use head::{HEAD_BYTES, Unsigned};
pub use key::{PublicKey, Signature};
pub use manifest::{Chunk, Digest, Format, Image, ImageName, Manifest, Place};
pub use refusal::Refusal;
pub use verifier::{Event, FormatInUse, Policy, Verifier};

#[cfg(test)]
mod tests;
