//! What a bundle says about itself: TOML, so that a stranger can read it with a pager and a later
//! release can add keys. It is parsed only after its signature was checked.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{PublicKey, Refusal};
use crate::hex;
use crate::limits::{
    BUNDLE_CHUNK_BYTES, BUNDLE_CHUNKS_MAX, BUNDLE_FORMATS_MAX, BUNDLE_KEYS_MAX,
    BUNDLE_NAME_BYTES_MAX, BUNDLE_PACKED_CHUNK_BYTES_MAX,
};
use crate::slots::Slot;

/// A SHA-256 digest, written as 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

/// Content of the manifest. Keys that this release does not know are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version for people, like `0.2.0`.
    pub version: String,
    /// `release`, `test` or `emulator`.
    pub kind: String,
    /// The board that it is built for.
    pub board: String,
    /// Grows with every release; only numbers are compared, never versions or dates.
    pub number: u64,
    /// A box that committed this release takes no bundle with a lower number any more.
    pub floor: u64,
    /// Keys whose bundles a box accepts once it committed this release.
    pub keys: Vec<PublicKey>,
    /// What this release does with each format on DATA.
    pub formats: Vec<Format>,
    /// BOOT for slot A, BOOT for slot B, ROOT.
    pub images: Vec<Image>,
    /// In the order in which their packed forms follow the manifest, each used at least once.
    pub chunks: Vec<Chunk>,
}

/// One format of what lies on DATA.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Format {
    /// `log`, `store`, …
    pub name: String,
    /// Numbers that the release can read.
    pub reads: Vec<u32>,
    /// The number that it writes once it is committed; one of `reads`.
    pub writes: u32,
}

/// Which partition of a slot an image is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageName {
    /// The FAT partition with firmware and kernel.
    Boot,
    /// The read-only root.
    Root,
}

/// Content of one partition as a list of chunks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The partition.
    pub name: ImageName,
    /// The slot that it fits; `None` for both. BOOT names its slot's root, so it comes twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<Slot>,
    /// Length in bytes.
    pub bytes: u64,
    /// Numbers of its chunks, from its start. All but the last are 1 MiB long.
    pub chunks: Vec<u32>,
}

/// Up to 1 MiB of an image, packed as one zstd frame of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Length in bytes.
    pub bytes: u32,
    /// Length of the frame in bytes.
    pub packed_bytes: u32,
    /// Of the content: for what is read back from a slot.
    pub sha256: Digest,
    /// Of the frame: checked before anything unpacks it.
    pub packed_sha256: Digest,
}

/// Where a chunk goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The partition of the slot that is written.
    pub image: ImageName,
    /// Bytes from its start.
    pub offset: u64,
}

impl Manifest {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let text = core::str::from_utf8(bytes).map_err(|_| malformed("it is not UTF-8 text"))?;
        let manifest: Self = toml::from_str(text).map_err(|error| malformed(error.message()))?;
        manifest.check()?;
        Ok(manifest)
    }

    pub(super) fn render(&self) -> String {
        toml::to_string(self).expect("texts, numbers, lists and tables are TOML")
    }

    /// The image that fills this partition of this slot.
    pub fn image(&self, name: ImageName, slot: Slot) -> Option<&Image> {
        let fits = |image: &&Image| image.name == name && image.slot.is_none_or(|own| own == slot);
        self.images.iter().find(fits)
    }

    /// Every place in `slot` that holds the chunk with this number; none when it is for the other.
    pub fn places(&self, slot: Slot, chunk: u32) -> Vec<Place> {
        let images = [ImageName::Boot, ImageName::Root].map(|name| self.image(name, slot));
        let used = |image: &Image| {
            let numbers = image.chunks.iter().zip(0u64..).filter(|(number, _)| **number == chunk);
            let place = |index| Place { image: image.name, offset: index * CHUNK };
            numbers.map(|(_, index)| place(index)).collect::<Vec<_>>()
        };
        images.into_iter().flatten().flat_map(used).collect()
    }

    /// Whether all parts fit together and every bound holds.
    ///
    /// # Errors
    /// [`Refusal::Manifest`] with the first thing that is wrong.
    pub fn check(&self) -> Result<(), Refusal> {
        [&self.version, &self.kind, &self.board].into_iter().try_for_each(|name| is_name(name))?;
        require(self.floor <= self.number, "its floor is above its own number")?;
        let keys = 1..=BUNDLE_KEYS_MAX;
        require(keys.contains(&self.keys.len()), "it names no key for what follows, or too many")?;
        require(self.formats.len() <= BUNDLE_FORMATS_MAX, "it has too many formats")?;
        self.formats.iter().try_for_each(Format::check)?;
        require(self.chunks.len() <= BUNDLE_CHUNKS_MAX, "it has too many chunks")?;
        self.chunks.iter().try_for_each(Chunk::check)?;
        let names: Vec<_> = self.images.iter().map(|image| (image.name, image.slot)).collect();
        require(names == IMAGES, "its images are not BOOT for A, BOOT for B and ROOT")?;
        self.images.iter().try_for_each(|image| image.check(&self.chunks))?;
        require(self.uses_every_chunk(), "it carries a chunk that no image uses")
    }

    fn uses_every_chunk(&self) -> bool {
        let mut used = vec![false; self.chunks.len()];
        for number in self.images.iter().flat_map(|image| &image.chunks) {
            used[*number as usize] = true;
        }
        used.into_iter().all(|used| used)
    }
}

const CHUNK: u64 = BUNDLE_CHUNK_BYTES as u64;

/// The images of a bundle, in order.
const IMAGES: [(ImageName, Option<Slot>); 3] =
    [(ImageName::Boot, Some(Slot::A)), (ImageName::Boot, Some(Slot::B)), (ImageName::Root, None)];

impl Format {
    fn check(&self) -> Result<(), Refusal> {
        is_name(&self.name)?;
        require(self.reads.len() <= BUNDLE_FORMATS_MAX, "a format reads too many numbers")?;
        require(self.reads.contains(&self.writes), "a format writes what it does not read")
    }
}

impl Chunk {
    fn check(&self) -> Result<(), Refusal> {
        let fits = |bytes: u32, max: usize| (1..=max).contains(&(bytes as usize));
        require(fits(self.bytes, BUNDLE_CHUNK_BYTES), "a chunk is empty or over 1 MiB")?;
        let packed = fits(self.packed_bytes, BUNDLE_PACKED_CHUNK_BYTES_MAX);
        require(packed, "a packed chunk is empty or too long")
    }
}

impl Image {
    fn check(&self, chunks: &[Chunk]) -> Result<(), Refusal> {
        // Bounds the loop below; a chunk may be used many times.
        let count = self.bytes.div_ceil(CHUNK);
        let listed = self.chunks.len() as u64 == count && self.chunks.len() <= BUNDLE_CHUNKS_MAX;
        require(listed, "the length of an image does not match its list of chunks")?;
        for (number, index) in self.chunks.iter().zip(0..) {
            let found = chunks.get(*number as usize);
            let expected = CHUNK.min(self.bytes - index * CHUNK);
            let fits = found.is_some_and(|chunk| u64::from(chunk.bytes) == expected);
            require(fits, "an image lists a chunk that is not there or has another length")?;
        }
        Ok(())
    }
}

fn is_name(text: &str) -> Result<(), Refusal> {
    let fits = (1..=BUNDLE_NAME_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic());
    require(fits, "a name is empty, too long or not plain ASCII")
}

fn require(holds: bool, reason: &str) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(malformed(reason)) }
}

fn malformed(reason: &str) -> Refusal {
    Refusal::Manifest { reason: reason.to_owned() }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Boot => "BOOT",
            Self::Root => "ROOT",
        })
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hex::encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let digest = hex::decode(&String::deserialize(from)?).map(Self);
        digest.ok_or_else(|| de::Error::custom("a SHA-256 has 64 hexadecimal digits"))
    }
}
