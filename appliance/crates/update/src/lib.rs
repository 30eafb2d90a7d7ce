//! What the card, pid 1, the server and the tools must agree on: the provisioning file, the claim
//! token, the control protocol between `linnet-init` and `linnetd`, the slot records with their
//! boot decision, and the update bundle. Everything here is pure: bytes in, values out; no clock,
//! no file, no thread. Called by `init`, `linnetd`, `image`, the tools and the emulated bootloader.

#![forbid(unsafe_code)]

pub mod bundle;
pub mod claim;
pub mod control;
pub mod fingerprint;
pub mod hex;
pub mod limits;
pub mod proof;
pub mod provision;
pub mod qr;
pub mod slots;

/// The beginning of a text, at most `bytes_max` long and cut between characters.
fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
