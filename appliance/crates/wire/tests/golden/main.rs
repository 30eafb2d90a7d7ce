//! Golden vectors: every kind in both encodings, kept under `tests/data/wire`.
//!
//! Each released version has its own file and every build decodes all of them; the newest must
//! also be what this build encodes. A changed vector means a broken client somewhere: add a kind.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

mod samples;

use std::path::PathBuf;

use linnet_wire::{ClientMessage, Kind, RecordBody, ServerMessage};
use serde::{Deserialize, Serialize};

const NEWEST: &str = "v1.json";

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Vector {
    name: String,
    kind: u16,
    postcard: String,
    json: String,
}

#[test]
fn this_build_encodes_the_newest_vectors() {
    let path = folder().join(NEWEST);
    let made = vectors();
    if std::env::var_os("LINNET_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, serde_json::to_string_pretty(&made).unwrap() + "\n").unwrap();
    }
    assert_eq!(read(&path), made, "a body type changed; a change must be a new kind");
}

#[test]
fn this_build_decodes_the_vectors_of_every_version() {
    let mut count = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        for vector in read(&entry.unwrap().path()) {
            check(&vector);
            count += 1;
        }
    }
    assert!(count >= vectors().len());
}

#[test]
fn every_kind_has_a_vector() {
    let made: std::collections::HashSet<u16> = vectors().iter().map(|v| v.kind).collect();
    let known = [ClientMessage::KINDS, ServerMessage::KINDS, RecordBody::KINDS].concat();
    for (kind, name) in known {
        assert!(made.contains(&kind.0), "no vector for {name}");
    }
}

#[test]
fn no_vector_survives_a_byte_more_or_less() {
    for vector in vectors() {
        let bytes = unhex(&vector.postcard);
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(!decodes(vector.kind, &longer), "{} with a byte more", vector.name);
        for cut in 0..bytes.len() {
            assert!(!decodes(vector.kind, &bytes[..cut]), "{} cut at {cut}", vector.name);
        }
    }
}

/// Decodes both encodings of a vector and encodes them again.
fn check(vector: &Vector) {
    let (kind, bytes) = (Kind(vector.kind), unhex(&vector.postcard));
    macro_rules! both {
        ($set:ident) => {{
            let binary = $set::read_postcard(kind, &bytes).unwrap().expect("a known kind");
            let text = $set::read_json(kind, &vector.json).unwrap().expect("a known kind");
            assert_eq!(binary, text, "{}", vector.name);
            assert_eq!(vector_of!(binary), *vector);
        }};
    }
    match vector.kind >> 8 {
        0 => both!(ClientMessage),
        1 => both!(ServerMessage),
        _ => both!(RecordBody),
    }
}

fn decodes(kind: u16, bytes: &[u8]) -> bool {
    let kind = Kind(kind);
    match kind.0 >> 8 {
        0 => ClientMessage::read_postcard(kind, bytes).is_ok(),
        1 => ServerMessage::read_postcard(kind, bytes).is_ok(),
        _ => RecordBody::read_postcard(kind, bytes).is_ok(),
    }
}

macro_rules! vector_of {
    ($message:expr) => {{
        let (mut postcard, mut json) = (Vec::new(), Vec::new());
        $message.write_postcard(&mut postcard);
        $message.write_json(&mut json);
        Vector {
            name: $message.name().to_owned(),
            kind: $message.kind().0,
            postcard: postcard.iter().map(|byte| format!("{byte:02x}")).collect(),
            json: String::from_utf8(json).unwrap(),
        }
    }};
}
use vector_of;

fn vectors() -> Vec<Vector> {
    let client = samples::client().into_iter().map(|message| vector_of!(message));
    let server = samples::server().into_iter().map(|message| vector_of!(message));
    let record = samples::record().into_iter().map(|message| vector_of!(message));
    client.chain(server).chain(record).collect()
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../tests/data/wire")
}

fn read(path: &std::path::Path) -> Vec<Vector> {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}
