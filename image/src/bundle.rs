//! Writes update bundles: the same parts as the card, as signed chunks. Equal parts, identity and
//! key give equal bytes. The format is crate `update`'s (FORMAT.md).

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use sha2::{Digest as _, Sha256};
use update::bundle::{Chunk, Digest, Image, ImageName, Manifest as Contents, PublicKey, Unsigned};
use update::limits::BUNDLE_CHUNK_BYTES;
use update::slots::Slot;

use crate::boot::BootParts;
use crate::keys::Key;
use crate::manifest::Update;
use crate::root::Release;
use crate::{Layout, Manifest, card};

/// What the bundle is called and how it stands among others.
#[derive(Debug, Clone)]
pub struct Identity {
    pub version: String,
    /// `release`, `test`, `dev` or `emulator`.
    pub kind: String,
    /// Grows from release to release: the time of the commit in seconds since 1970.
    pub number: u64,
    /// Keys that are accepted afterwards besides the signer's.
    pub further_keys: Vec<PublicKey>,
}

/// What fills the partitions of a slot.
#[derive(Debug, Clone, Copy)]
pub struct Partitions<'a> {
    /// BOOT of slot A and of slot B.
    pub boot: [&'a [u8]; 2],
    pub root: &'a [u8],
}

/// The bundle of the very parts that a card was written from.
pub fn of_card(
    path: &Path,
    manifest: &Manifest,
    parts: &Parts<'_>,
    release: &Release,
    level: i32,
    key: &Key,
) -> Result<u64> {
    let boot = |slot| card::boot_image(manifest, parts.layout, parts.boot, slot);
    let (a, b) = (boot(Slot::A)?, boot(Slot::B)?);
    let identity = Identity {
        version: release.version.clone(),
        kind: release.kind.clone(),
        number: release.build_time_s,
        further_keys: Vec::new(),
    };
    let partitions = Partitions { boot: [&a, &b], root: parts.root };
    write(path, &manifest.update, &identity, partitions, level, key)
}

/// What a card was written from.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    pub layout: &'a Layout,
    pub boot: &'a BootParts,
    pub root: &'a [u8],
}

/// Writes the bundle anew and returns its size in bytes; on an error nothing is left behind.
/// `level` is zstd's.
pub fn write(
    path: &Path,
    update: &Update,
    identity: &Identity,
    partitions: Partitions<'_>,
    level: i32,
    key: &Key,
) -> Result<u64> {
    let mut packer = Packer::new(level)?;
    let contents = packer.contents(update, identity, partitions, key.public())?;
    let unsigned = Unsigned::new(&contents, &key.public())?;
    let head = unsigned.sealed(&key.sign(&unsigned.message()));
    let half_written = path.with_extension("part");
    let result = store(&half_written, &head, &packer.packed)
        .and_then(|()| Ok(fs::rename(&half_written, path)?))
        .with_context(|| format!("writing {}", path.display()));
    if result.is_err() {
        fs::remove_file(&half_written).ok();
    }
    result?;
    Ok(fs::metadata(path)?.len())
}

fn store(path: &Path, head: &[u8], packed: &[Vec<u8>]) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(head)?;
    packed.iter().try_for_each(|packed| file.write_all(packed))?;
    file.into_inner()?.sync_all()?;
    Ok(())
}

/// Collects chunks, equal ones once.
struct Packer {
    compressor: zstd::bulk::Compressor<'static>,
    numbers: HashMap<Digest, u32>,
    chunks: Vec<Chunk>,
    packed: Vec<Vec<u8>>,
}

impl Packer {
    fn new(level: i32) -> Result<Self> {
        let compressor = zstd::bulk::Compressor::new(level)?;
        Ok(Self { compressor, numbers: HashMap::new(), chunks: Vec::new(), packed: Vec::new() })
    }

    fn contents(
        &mut self,
        update: &Update,
        identity: &Identity,
        partitions: Partitions<'_>,
        signer: PublicKey,
    ) -> Result<Contents> {
        let [boot_a, boot_b] = partitions.boot;
        let images = vec![
            self.image(ImageName::Boot, Some(Slot::A), boot_a)?,
            self.image(ImageName::Boot, Some(Slot::B), boot_b)?,
            self.image(ImageName::Root, None, partitions.root)?,
        ];
        let mut keys = vec![signer];
        keys.extend(identity.further_keys.iter().filter(|key| **key != signer));
        Ok(Contents {
            version: identity.version.clone(),
            kind: identity.kind.clone(),
            board: update.board.clone(),
            number: identity.number,
            floor: update.floor,
            keys,
            formats: update.formats.clone(),
            images,
            chunks: self.chunks.clone(),
        })
    }

    fn image(&mut self, name: ImageName, slot: Option<Slot>, bytes: &[u8]) -> Result<Image> {
        let chunks = bytes.chunks(BUNDLE_CHUNK_BYTES).map(|chunk| self.add(chunk));
        Ok(Image { name, slot, bytes: bytes.len() as u64, chunks: chunks.collect::<Result<_>>()? })
    }

    fn add(&mut self, content: &[u8]) -> Result<u32> {
        let sha256 = Digest(Sha256::digest(content).into());
        if let Some(number) = self.numbers.get(&sha256) {
            return Ok(*number);
        }
        let packed = self.compressor.compress(content)?;
        let number = u32::try_from(self.chunks.len())?;
        self.chunks.push(Chunk {
            bytes: u32::try_from(content.len())?,
            packed_bytes: u32::try_from(packed.len())?,
            sha256,
            packed_sha256: Digest(Sha256::digest(&packed).into()),
        });
        self.packed.push(packed);
        self.numbers.insert(sha256, number);
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use update::bundle::{Event, Policy, Verifier};

    use super::*;
    use crate::keys::Kind;
    use crate::manifest::Manifest;

    const MIB: usize = BUNDLE_CHUNK_BYTES;

    fn identity() -> Identity {
        let (version, kind) = ("0.9.0".to_owned(), "emulator".to_owned());
        Identity { version, kind, number: 1_800_000_000, further_keys: Vec::new() }
    }

    fn noise(bytes: usize, mut seed: u32) -> Vec<u8> {
        let step = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8
        };
        std::iter::repeat_with(step).take(bytes).collect()
    }

    /// Boot images that differ at their beginning only, and mostly empty; a root that is noise.
    fn parts() -> [Vec<u8>; 3] {
        let boot = |mark| [noise(MIB, mark), noise(MIB, 9), vec![0; 6 * MIB]].concat();
        [boot(1), boot(2), noise(2 * MIB + 4096, 3)]
    }

    fn write_to(folder: &Path, name: &str, key: &Key) -> Vec<u8> {
        let [a, b, root] = parts();
        let update = Manifest::load().unwrap().update;
        let partitions = Partitions { boot: [&a, &b], root: &root };
        let path = folder.join(name);
        let bytes = write(&path, &update, &identity(), partitions, 3, key).unwrap();
        let written = fs::read(&path).unwrap();
        assert_eq!(bytes, written.len() as u64);
        written
    }

    /// What an installer for this slot would have written.
    fn install(bundle: &[u8], key: &Key, slot: Slot) -> [Vec<u8>; 2] {
        let mut verifier = Verifier::new(Policy {
            keys: vec![key.public()],
            floor: 1_800_000_000,
            board: "pi4".to_owned(),
            formats: Vec::new(),
            boot_bytes_max: 8 * MIB as u64,
            root_bytes_max: 3 * MIB as u64,
        });
        let (mut contents, mut slots) = (None, [vec![1; 8 * MIB], vec![1; 2 * MIB + 4096]]);
        let mut input = bundle;
        while let Some(event) = verifier.feed(&mut input).unwrap() {
            match event {
                Event::Manifest(found) => contents = Some(found),
                Event::Chunk { number, bytes } => {
                    for place in contents.as_ref().unwrap().places(slot, number) {
                        let at = usize::try_from(place.offset).unwrap();
                        let target = &mut slots[usize::from(place.image == ImageName::Root)];
                        target[at..at + bytes.len()].copy_from_slice(&bytes);
                    }
                }
            }
        }
        verifier.finish().unwrap();
        slots
    }

    #[test]
    fn what_is_written_installs_into_either_slot_and_common_chunks_are_carried_once() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::generate(&folder.path().join("key"), Kind::Dev).unwrap();
        let bundle = write_to(folder.path(), "a.lup", &key);
        let [a, b, root] = parts();
        assert!(install(&bundle, &key, Slot::A) == [a, root.clone()]);
        assert!(install(&bundle, &key, Slot::B) == [b, root]);
        let distinct = 2 * MIB + MIB + 2 * MIB;
        assert!((distinct..distinct + MIB / 8).contains(&bundle.len()), "{}", bundle.len());
    }

    #[test]
    fn the_same_key_gives_the_same_bytes_and_another_one_is_not_accepted() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::generate(&folder.path().join("key"), Kind::Dev).unwrap();
        let bundle = write_to(folder.path(), "a.lup", &key);
        assert!(bundle == write_to(folder.path(), "b.lup", &key));
        let other = Key::generate(&folder.path().join("other"), Kind::Dev).unwrap();
        assert!(bundle != write_to(folder.path(), "c.lup", &other));
    }

    #[test]
    fn a_bundle_that_no_box_would_take_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::generate(&folder.path().join("key"), Kind::Dev).unwrap();
        let update = Update { floor: u64::MAX >> 1, ..Manifest::load().unwrap().update };
        let partitions = Partitions { boot: [&[1], &[2]], root: &[3] };
        let path = folder.path().join("x.lup");
        let error = write(&path, &update, &identity(), partitions, 3, &key).unwrap_err();
        assert!(error.to_string().contains("floor"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "only the key is there");
    }

    #[test]
    fn the_manifests_formats_are_those_that_the_crates_write() {
        let formats = Manifest::load().unwrap().update.formats;
        let writes = |name| formats.iter().find(|format| format.name == name).unwrap().writes;
        assert_eq!(writes("log"), u32::from(log::format::VERSION));
        assert_eq!(u64::from(writes("store")), store::limits::FORMAT_VERSION);
        assert_eq!(formats.len(), 2);
    }
}
