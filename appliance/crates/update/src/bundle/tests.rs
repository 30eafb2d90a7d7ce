//! Bundles that are good, damaged, or signed by somebody who should know better.

use std::sync::OnceLock;

use ed25519_dalek::{Signer, SigningKey};
use proptest::prelude::*;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::limits::{BUNDLE_CHUNK_BYTES, BUNDLE_KEYS_MAX, BUNDLE_MANIFEST_BYTES_MAX};
use crate::slots::Slot;

const MIB: usize = BUNDLE_CHUNK_BYTES;

fn signer() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn public(key: &SigningKey) -> PublicKey {
    PublicKey::from_bytes(key.verifying_key().to_bytes())
}

fn digest(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

/// A chunk, its frame, its content.
fn chunk(bytes: usize, mark: u8) -> (Chunk, Vec<u8>, Vec<u8>) {
    let mut content = vec![0; bytes];
    content[bytes / 2] = mark;
    let packed = compress_to_vec(content.as_slice(), CompressionLevel::Fastest);
    let chunk = Chunk {
        bytes: bytes as u32,
        packed_bytes: packed.len() as u32,
        sha256: digest(&content),
        packed_sha256: digest(&packed),
    };
    (chunk, packed, content)
}

#[derive(Clone)]
struct Sample {
    manifest: Manifest,
    packed: Vec<Vec<u8>>,
    contents: Vec<Vec<u8>>,
}

fn sample() -> Sample {
    static SAMPLE: OnceLock<Sample> = OnceLock::new();
    SAMPLE.get_or_init(make_sample).clone()
}

/// BOOT differs between the slots in its second chunk; ROOT uses one chunk of BOOT, too.
fn make_sample() -> Sample {
    let made = [chunk(MIB, 1), chunk(MIB / 2, 2), chunk(MIB / 2, 3), chunk(4096, 4)];
    let image = |name, slot, bytes: usize, chunks: &[u32]| Image {
        name,
        slot,
        bytes: bytes as u64,
        chunks: chunks.to_vec(),
    };
    let manifest = Manifest {
        version: "1.2.3".to_owned(),
        kind: "release".to_owned(),
        board: "pi4".to_owned(),
        number: 12,
        floor: 10,
        keys: vec![public(&signer())],
        formats: vec![Format { name: "log".to_owned(), reads: vec![1, 2], writes: 2 }],
        images: vec![
            image(ImageName::Boot, Some(Slot::A), MIB + MIB / 2, &[0, 1]),
            image(ImageName::Boot, Some(Slot::B), MIB + MIB / 2, &[0, 2]),
            image(ImageName::Root, None, 2 * MIB + 4096, &[0, 0, 3]),
        ],
        chunks: made.iter().map(|made| made.0).collect(),
    };
    let (packed, contents) = made.into_iter().map(|made| (made.1, made.2)).unzip();
    Sample { manifest, packed, contents }
}

impl Sample {
    fn bundle(&self, key: &SigningKey) -> Vec<u8> {
        let unsigned = Unsigned::new(&self.manifest, &public(key)).unwrap();
        let signature = key.sign(&unsigned.message()).to_bytes();
        [unsigned.sealed(&signature), self.packed.concat()].concat()
    }
}

fn policy() -> Policy {
    Policy {
        keys: vec![public(&SigningKey::from_bytes(&[1; 32])), public(&signer())],
        floor: 11,
        board: "pi4".to_owned(),
        formats: vec![FormatInUse { name: "log".to_owned(), number: 1 }],
        boot_bytes_max: 2 * MIB as u64,
        root_bytes_max: 3 * MIB as u64,
    }
}

/// What comes out when the bytes arrive in pieces of this length, and the verdict.
fn read(bundle: &[u8], policy: Policy, piece: usize) -> (Vec<Event>, Result<(), Refusal>) {
    let mut verifier = Verifier::new(policy);
    let mut events = Vec::new();
    for mut input in bundle.chunks(piece) {
        loop {
            match verifier.feed(&mut input) {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(refusal) => {
                    assert_eq!(verifier.feed(&mut input), Err(refusal.clone()), "it repeats it");
                    assert_eq!(verifier.finish(), Err(refusal.clone()));
                    return (events, Err(refusal));
                }
            }
        }
    }
    (events, verifier.finish())
}

fn refusal(sample: &Sample, policy: Policy) -> Refusal {
    let (events, verdict) = read(&sample.bundle(&signer()), policy, usize::MAX);
    assert_eq!(events, [], "nothing comes out before the refusal");
    verdict.unwrap_err()
}

/// The refusal of a manifest that only its signer could have made so.
fn refused_with(change: impl Fn(&mut Manifest)) -> String {
    let mut sample = sample();
    change(&mut sample.manifest);
    match Unsigned::new(&sample.manifest, &public(&signer())) {
        Err(Refusal::Manifest { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_good_bundle_gives_its_manifest_and_every_chunk_whatever_pieces_it_comes_in() {
    let sample = sample();
    let bundle = sample.bundle(&signer());
    for piece in [1, 7, 113, 4096, usize::MAX] {
        let (events, verdict) = read(&bundle, policy(), piece);
        assert_eq!(verdict, Ok(()));
        assert_eq!(events[0], Event::Manifest(Box::new(sample.manifest.clone())));
        let contents = sample.contents.iter().zip(0..);
        let chunks = contents.map(|(bytes, number)| Event::Chunk { number, bytes: bytes.clone() });
        assert_eq!(events[1..], chunks.collect::<Vec<_>>());
    }
}

#[test]
fn each_slot_gets_its_own_boot_and_the_common_chunks() {
    let manifest = sample().manifest;
    let place = |image, offset: usize| Place { image, offset: offset as u64 };
    let (boot, root) = (ImageName::Boot, ImageName::Root);
    let common = [place(boot, 0), place(root, 0), place(root, MIB)];
    assert_eq!(manifest.places(Slot::A, 0), common);
    assert_eq!(manifest.places(Slot::B, 0), common);
    assert_eq!(manifest.places(Slot::A, 1), [place(boot, MIB)]);
    assert_eq!(manifest.places(Slot::A, 2), []);
    assert_eq!(manifest.places(Slot::B, 2), [place(boot, MIB)]);
    assert_eq!(manifest.places(Slot::B, 3), [place(root, 2 * MIB)]);
}

#[test]
fn what_the_box_does_not_want_is_refused_with_its_reason() {
    let sample = sample();
    let with = |change: fn(&mut Policy)| {
        let mut policy = policy();
        change(&mut policy);
        refusal(&sample, policy)
    };
    let fingerprint = public(&signer()).fingerprint();
    assert_eq!(with(|p| p.keys.truncate(1)), Refusal::UnknownKey { fingerprint });
    let board = Refusal::Board { bundle: "pi4".into(), own: "pi5".into() };
    assert_eq!(with(|p| p.board = "pi5".into()), board);
    assert_eq!(with(|p| p.floor = 13), Refusal::OlderThanFloor { number: 12, floor: 13 });
    let format = Refusal::Format { name: "log".into(), number: 3 };
    assert_eq!(with(|p| p.formats[0].number = 3), format);
    let unknown = Refusal::Format { name: "files".into(), number: 1 };
    assert_eq!(with(|p| p.formats[0].name = "files".into()), unknown);
    let room = MIB as u64;
    let boot = Refusal::TooLarge { image: ImageName::Boot, bytes: room * 3 / 2, room };
    assert_eq!(with(|p| p.boot_bytes_max = MIB as u64), boot);
    let root = Refusal::TooLarge { image: ImageName::Root, bytes: 2 * room + 4096, room };
    assert_eq!(with(|p| p.root_bytes_max = MIB as u64), root);
    assert_eq!(read(&sample.bundle(&signer()), policy(), 9).1, Ok(()), "else it is taken");
}

#[test]
fn the_floor_itself_is_taken() {
    let at_floor = Policy { floor: 12, ..policy() };
    assert_eq!(read(&sample().bundle(&signer()), at_floor, usize::MAX).1, Ok(()));
}

#[test]
fn a_signature_of_another_key_under_an_accepted_name_is_refused() {
    let sample = sample();
    let unsigned = Unsigned::new(&sample.manifest, &public(&signer())).unwrap();
    let thief = SigningKey::from_bytes(&[9; 32]).sign(&unsigned.message()).to_bytes();
    let (events, verdict) = read(&unsigned.sealed(&thief), policy(), usize::MAX);
    assert_eq!((events, verdict), (vec![], Err(Refusal::Signature)));
}

#[test]
fn a_key_that_is_no_point_or_of_small_order_verifies_nothing() {
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let mut signature = [0; 64];
    signature[0] = 1;
    // R = A = the neutral point and s = 0 satisfies the bare equation for every message.
    assert!(!PublicKey::from_bytes(neutral).verifies(b"any", &signature));
    assert!(!PublicKey::from_bytes([0xff; 32]).verifies(b"any", &[0; 64]));
}

#[test]
fn signed_nonsense_is_refused_by_builder_and_reader() {
    type Row = (&'static str, fn(&mut Manifest));
    let rows: [Row; 16] = [
        ("floor", |m| m.floor = 13),
        ("no key", |m| m.keys.clear()),
        ("no key", |m| m.keys = vec![m.keys[0]; BUNDLE_KEYS_MAX + 1]),
        ("a name", |m| m.version = "é".into()),
        ("a name", |m| m.board.clear()),
        ("a name", |m| m.formats[0].name = "x".repeat(65)),
        ("writes what", |m| m.formats[0].writes = 9),
        ("too many formats", |m| m.formats = vec![m.formats[0].clone(); 17]),
        ("BOOT for A", |m| m.images.swap(0, 1)),
        ("BOOT for A", |m| m.images.truncate(2)),
        ("length of an image", |m| m.images[2].bytes += MIB as u64),
        ("length of an image", |m| m.images[0].bytes = u64::MAX >> 1),
        ("another length", |m| m.images[0].chunks[1] = 99),
        ("another length", |m| m.images[2].chunks[1] = 3),
        ("no image uses", |m| m.chunks.push(m.chunks[0])),
        ("empty or over", |m| m.chunks[0].bytes = MIB as u32 + 1),
    ];
    for (words, change) in rows {
        let reason = refused_with(change);
        assert!(reason.contains(words), "{words}: {reason}");
    }
    assert!(refused_with(|m| m.chunks[0].packed_bytes = u32::MAX).contains("packed"));
    assert!(refused_with(|m| m.chunks = vec![m.chunks[0]; 1025]).contains("too many chunks"));
}

/// Head and signature over any text, as a signer with a broken builder would make them.
fn sealed_text(manifest: &str) -> Vec<u8> {
    let mut head = *b"LINNETUP\x01\0\0\0\0\0\0\0                                ";
    head[12..16].copy_from_slice(&(manifest.len() as u32).to_le_bytes());
    head[16..].copy_from_slice(public(&signer()).bytes());
    let signature = signer().sign(&[&head, manifest.as_bytes()].concat()).to_bytes();
    [&head[..], &signature, manifest.as_bytes()].concat()
}

#[test]
fn signed_text_is_checked_as_strictly_as_it_is_built_and_unknown_keys_are_for_later_releases() {
    let good = sample().manifest;
    let text = good.render();
    let verdict = |text: &str| read(&sealed_text(text), policy(), usize::MAX);
    let (events, end) = verdict(&format!("later = \"key\"\n{text}"));
    assert_eq!((events, end), (vec![Event::Manifest(Box::new(good))], Err(Refusal::Truncated)));
    for text in ["", "version = 1", &text.replace("floor = 10", "floor = 13")] {
        assert!(matches!(verdict(text).1, Err(Refusal::Manifest { .. })), "{text}");
    }
}

#[test]
fn a_foreign_file_and_a_later_format_are_told_apart_and_a_long_manifest_is_not_waited_for() {
    let bundle = sample().bundle(&signer());
    let with = |at: usize, bytes: &[u8]| {
        let mut bundle = bundle.clone();
        bundle[at..at + bytes.len()].copy_from_slice(bytes);
        read(&bundle[..HEAD_BYTES], policy(), usize::MAX).1.unwrap_err()
    };
    assert_eq!(with(0, b"PK"), Refusal::NotABundle);
    assert_eq!(with(8, &[2]), Refusal::Version { found: 2 });
    let bytes = BUNDLE_MANIFEST_BYTES_MAX + 1;
    assert_eq!(with(12, &(bytes as u32).to_le_bytes()), Refusal::ManifestTooLong { bytes });
}

#[test]
fn a_signed_frame_that_unpacks_to_something_else_gives_nothing() {
    let bomb = compress_to_vec(vec![0; 3 * MIB].as_slice(), CompressionLevel::Fastest);
    for packed in [bomb, b"no zstd frame".to_vec(), sample().packed[3].clone()] {
        let mut sample = sample();
        sample.manifest.chunks[0].packed_bytes = packed.len() as u32;
        sample.manifest.chunks[0].packed_sha256 = digest(&packed);
        sample.packed[0] = packed;
        let (events, verdict) = read(&sample.bundle(&signer()), policy(), usize::MAX);
        assert_eq!((events.len(), verdict), (1, Err(Refusal::Chunk { number: 0 })));
    }
}

/// `events` are the first of the true ones: nothing false was handed out.
fn is_true_beginning(events: &[Event]) -> bool {
    static TRUTH: OnceLock<Vec<Event>> = OnceLock::new();
    let bundle = || sample().bundle(&signer());
    TRUTH.get_or_init(|| read(&bundle(), policy(), usize::MAX).0).starts_with(events)
}

#[test]
fn every_truncation_of_head_and_manifest_and_every_boundary_of_chunks_is_noticed() {
    let sample = sample();
    let bundle = sample.bundle(&signer());
    let chunks_bytes: usize = sample.packed.iter().map(Vec::len).sum();
    let first = bundle.len() - chunks_bytes;
    let boundaries = sample.packed.iter().scan(first, |end, packed| {
        *end += packed.len();
        Some(*end)
    });
    let boundaries: Vec<usize> = boundaries.filter(|end| *end != bundle.len()).collect();
    for bytes in (0..first).chain(boundaries) {
        let (events, verdict) = read(&bundle[..bytes], policy(), usize::MAX);
        assert_eq!(verdict, Err(Refusal::Truncated), "{bytes}");
        assert!(is_true_beginning(&events));
    }
}

#[test]
fn every_flipped_bit_of_the_head_is_refused_before_anything_comes_out() {
    let bundle = sample().bundle(&signer());
    for bit in 0..HEAD_BYTES * 8 {
        let mut flipped = bundle.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let (events, verdict) = read(&flipped, policy(), usize::MAX);
        assert!(events.is_empty() && verdict.is_err(), "bit {bit}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_flipped_bit_anywhere_is_refused_before_the_chunk_that_it_lies_in(
        at in any::<prop::sample::Index>(), bit in 0..8u8, piece in 1..5000usize
    ) {
        let mut bundle = sample().bundle(&signer());
        let at = at.index(bundle.len());
        bundle[at] ^= 1u8 << bit;
        let (events, verdict) = read(&bundle, policy(), piece);
        prop_assert!(verdict.is_err());
        prop_assert!(is_true_beginning(&events));
    }

    #[test]
    fn a_cut_anywhere_and_bytes_behind_the_end_are_refused(
        cut in any::<prop::sample::Index>(), more in prop::collection::vec(any::<u8>(), 1..50),
        piece in 1..5000usize
    ) {
        let bundle = sample().bundle(&signer());
        let cut = &bundle[..cut.index(bundle.len())];
        let (events, verdict) = read(cut, policy(), piece);
        prop_assert_eq!(verdict, Err(Refusal::Truncated));
        prop_assert!(is_true_beginning(&events));
        let longer = [&bundle[..], &more].concat();
        prop_assert_eq!(read(&longer, policy(), piece).1, Err(Refusal::Trailing));
    }

    #[test]
    fn noise_and_swapped_parts_give_nothing_false(
        noise in prop::collection::vec(any::<u8>(), 0..400), from in any::<prop::sample::Index>(),
        piece in 1..5000usize
    ) {
        prop_assert!(read(&noise, policy(), piece).1.is_err());
        let mut bundle = sample().bundle(&signer());
        let from = from.index(bundle.len());
        let same = noise.iter().zip(&bundle[from..]).all(|(new, old)| new == old);
        let until = bundle.len().min(from + noise.len());
        bundle[from..until].copy_from_slice(&noise[..until - from]);
        let (events, verdict) = read(&bundle, policy(), piece);
        prop_assert_eq!(verdict.is_ok(), same);
        prop_assert!(is_true_beginning(&events));
    }
}
