//! Reads a bundle as it streams in. Holds at most one manifest or one packed chunk and its content.

use sha2::{Digest as _, Sha256};

use super::head::Head;
use super::{Chunk, HEAD_BYTES, ImageName, Manifest, PublicKey, Refusal};
use crate::slots::Slot;

/// What a box takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Keys whose signature counts.
    pub keys: Vec<PublicKey>,
    /// Lowest number that is taken: the highest floor of what was ever committed here.
    pub floor: u64,
    /// What this box is.
    pub board: String,
    /// What lies on DATA.
    pub formats: Vec<FormatInUse>,
    /// Length of a BOOT partition in bytes.
    pub boot_bytes_max: u64,
    /// Length of a ROOT partition in bytes.
    pub root_bytes_max: u64,
}

/// A format that DATA holds; one that the release does not name is one it can't read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatInUse {
    /// As in [`super::Format`].
    pub name: String,
    /// Its number.
    pub number: u32,
}

/// What came out of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Signature and policy hold: first and exactly once.
    Manifest(Box<Manifest>),
    /// The content of a chunk; [`Manifest::places`] says where it goes.
    Chunk {
        /// Its place in [`Manifest::chunks`]; they come in that order.
        number: u32,
        /// Verified content.
        bytes: Vec<u8>,
    },
}

/// The state machine. After a refusal it repeats it for ever.
#[derive(Debug)]
pub struct Verifier {
    policy: Policy,
    stage: Stage,
    /// Bytes of the piece that is being read.
    piece: Vec<u8>,
}

#[derive(Debug)]
enum Stage {
    Head,
    Manifest(Head),
    Chunks { chunks: Vec<Chunk>, next: usize },
    Refused(Refusal),
}

impl Verifier {
    /// Waits for the first byte.
    pub fn new(policy: Policy) -> Self {
        Self { policy, stage: Stage::Head, piece: Vec::new() }
    }

    /// Takes bytes from the front of `input` until there is news or no input is left; to be called
    /// again until it returns `None`.
    ///
    /// # Errors
    /// [`Refusal`]; everything that came out before is void.
    pub fn feed(&mut self, input: &mut &[u8]) -> Result<Option<Event>, Refusal> {
        let result = self.read(input);
        if let Err(refusal) = &result {
            self.stage = Stage::Refused(refusal.clone());
        }
        result
    }

    /// The verdict once the stream ended.
    ///
    /// # Errors
    /// [`Refusal::Truncated`], or what was refused before.
    pub fn finish(self) -> Result<(), Refusal> {
        match self.stage {
            Stage::Refused(refusal) => Err(refusal),
            Stage::Chunks { chunks, next } if next == chunks.len() => Ok(()),
            _ => Err(Refusal::Truncated),
        }
    }

    fn read(&mut self, input: &mut &[u8]) -> Result<Option<Event>, Refusal> {
        while let Some(wanted) = self.wanted(input)? {
            if !self.fill(wanted, input) {
                return Ok(None);
            }
            let piece = std::mem::take(&mut self.piece);
            if let Some(event) = self.take(&piece)? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// Length of the present piece; `None` behind the last one.
    fn wanted(&self, input: &[u8]) -> Result<Option<usize>, Refusal> {
        match &self.stage {
            Stage::Head => Ok(Some(HEAD_BYTES)),
            Stage::Manifest(head) => Ok(Some(head.manifest_bytes)),
            Stage::Chunks { chunks, next } => match chunks.get(*next) {
                Some(chunk) => Ok(Some(chunk.packed_bytes as usize)),
                None if input.is_empty() => Ok(None),
                None => Err(Refusal::Trailing),
            },
            Stage::Refused(refusal) => Err(refusal.clone()),
        }
    }

    /// Grows with what came, not with what was announced.
    fn fill(&mut self, wanted: usize, input: &mut &[u8]) -> bool {
        let missing = wanted - self.piece.len();
        let (now, rest) = input.split_at(missing.min(input.len()));
        self.piece.extend_from_slice(now);
        *input = rest;
        self.piece.len() == wanted
    }

    fn take(&mut self, piece: &[u8]) -> Result<Option<Event>, Refusal> {
        match &mut self.stage {
            Stage::Head => {
                let head = piece.try_into().expect("the head was filled to its length");
                self.stage = Stage::Manifest(Head::read(head)?);
                Ok(None)
            }
            Stage::Manifest(head) => {
                head.verify(piece, &self.policy.keys)?;
                let manifest = Manifest::parse(piece)?;
                self.policy.allows(&manifest)?;
                self.stage = Stage::Chunks { chunks: manifest.chunks.clone(), next: 0 };
                Ok(Some(Event::Manifest(Box::new(manifest))))
            }
            Stage::Chunks { chunks, next } => {
                let number = u32::try_from(*next).expect("limits.rs: chunks are counted in u32");
                let bytes = unpack(&chunks[*next], piece).ok_or(Refusal::Chunk { number })?;
                *next += 1;
                Ok(Some(Event::Chunk { number, bytes }))
            }
            Stage::Refused(refusal) => Err(refusal.clone()),
        }
    }
}

impl Policy {
    fn allows(&self, manifest: &Manifest) -> Result<(), Refusal> {
        if manifest.board != self.board {
            let (bundle, own) = (manifest.board.clone(), self.board.clone());
            return Err(Refusal::Board { bundle, own });
        }
        if manifest.number < self.floor {
            return Err(Refusal::OlderThanFloor { number: manifest.number, floor: self.floor });
        }
        self.formats.iter().try_for_each(|format| readable(format, manifest))?;
        Slot::ALL.into_iter().try_for_each(|slot| self.has_room(manifest, slot))
    }

    fn has_room(&self, manifest: &Manifest, slot: Slot) -> Result<(), Refusal> {
        let rooms =
            [(ImageName::Boot, self.boot_bytes_max), (ImageName::Root, self.root_bytes_max)];
        for (image, room) in rooms {
            let bytes = manifest.image(image, slot).map_or(0, |image| image.bytes);
            if bytes > room {
                return Err(Refusal::TooLarge { image, bytes, room });
            }
        }
        Ok(())
    }
}

fn readable(used: &FormatInUse, manifest: &Manifest) -> Result<(), Refusal> {
    let known = manifest.formats.iter().find(|format| format.name == used.name);
    if known.is_some_and(|format| format.reads.contains(&used.number)) {
        return Ok(());
    }
    Err(Refusal::Format { name: used.name.clone(), number: used.number })
}

/// The content, if frame and content are both what the manifest vouches for.
fn unpack(chunk: &Chunk, packed: &[u8]) -> Option<Vec<u8>> {
    if Sha256::digest(packed)[..] != chunk.packed_sha256.0 {
        return None;
    }
    let mut bytes = vec![0; chunk.bytes as usize];
    let length = ruzstd::decoding::FrameDecoder::new().decode_all(packed, &mut bytes).ok()?;
    let whole = length == bytes.len() && Sha256::digest(&bytes)[..] == chunk.sha256.0;
    whole.then_some(bytes)
}
