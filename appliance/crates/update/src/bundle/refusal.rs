//! Why a bundle is not taken, as sentences for the owner.

use super::ImageName;

/// The reason. Whatever it is, nothing of the bundle counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The first bytes are others.
    #[error("this file is not a Linnet update (.lup); choose another file")]
    NotABundle,
    /// A later format of the file.
    #[error("this update has file format {found}, this release reads 1; take one in between")]
    Version {
        /// What the file says.
        found: u32,
    },
    /// The head announces more than anybody reads.
    #[error("this update is damaged: its manifest has {bytes} bytes; download it again")]
    ManifestTooLong {
        /// What the head says.
        bytes: usize,
    },
    /// Signed by somebody this box does not know.
    #[error("this update is signed with a key that this box does not accept ({fingerprint})")]
    UnknownKey {
        /// Words of the key that the file names.
        fingerprint: String,
    },
    /// The signature is not about these bytes.
    #[error("the signature of this update is wrong; download it again from where you trust it")]
    Signature,
    /// Signed, and still not usable.
    #[error("the manifest of this update can't be used: {reason}")]
    Manifest {
        /// What is wrong with it.
        reason: String,
    },
    /// Made for something else.
    #[error("this update is for the board {bundle}; this box is a {own}")]
    Board {
        /// What the manifest says.
        bundle: String,
        /// What the box is.
        own: String,
    },
    /// A release that was given up, for security or because of a lost key.
    #[error("this update is number {number}; this box takes {floor} or later")]
    OlderThanFloor {
        /// The update's number.
        number: u64,
        /// The box's floor.
        floor: u64,
    },
    /// The release could not read what the box has stored.
    #[error("this update can't read the format {number} of this box's {name}; take a later one")]
    Format {
        /// Which format.
        name: String,
        /// What lies on DATA.
        number: u32,
    },
    /// A partition of this card is smaller.
    #[error("the {image} image of this update has {bytes} bytes, this card has room for {room}")]
    TooLarge {
        /// Which image.
        image: ImageName,
        /// Its length.
        bytes: u64,
        /// Length of the partition.
        room: u64,
    },
    /// A chunk is not what the manifest vouches for.
    #[error("part {number} of this update is damaged; send it again")]
    Chunk {
        /// Which one, from 0.
        number: u32,
    },
    /// The stream ended early.
    #[error("this update ends too early; send it again")]
    Truncated,
    /// The stream did not end.
    #[error("this update has bytes behind its end; download it again")]
    Trailing,
}
