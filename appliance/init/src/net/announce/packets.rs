//! Packets of multicast DNS as neighbours and vandals send them, against the library's parser.

use mdns_sd::fuzz_api::parse_packet;
use proptest::collection::vec;
use proptest::prelude::*;

/// Types that the library knows, and one that nobody does.
const TYPES: [u16; 9] = [1, 12, 13, 16, 28, 33, 47, 255, 999];

fn name(text: &str) -> Vec<u8> {
    let labels = text.split('.').flat_map(|label| {
        std::iter::once(label.len() as u8).chain(label.bytes()).collect::<Vec<_>>()
    });
    labels.chain([0]).collect()
}

fn record(kind: u16, life_s: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = name("linnet.local");
    bytes.extend(kind.to_be_bytes());
    bytes.extend(0x8001u16.to_be_bytes());
    bytes.extend(life_s.to_be_bytes());
    bytes.extend((data.len() as u16).to_be_bytes());
    bytes.extend(data);
    bytes
}

fn packet(flags: u16, counts: [u16; 4], records: &[Vec<u8>]) -> Vec<u8> {
    let header = [0, flags, counts[0], counts[1], counts[2], counts[3]];
    let mut bytes: Vec<u8> = header.iter().flat_map(|field| field.to_be_bytes()).collect();
    records.iter().for_each(|record| bytes.extend(record));
    bytes
}

/// Data is a name half of the time, so that parsing goes on behind it.
fn any_record() -> impl Strategy<Value = Vec<u8>> {
    let data = prop_oneof![
        vec(any::<u8>(), 0..40),
        Just(name("other.local")),
        Just([vec![0, 0, 0, 0, 1, 0xbb], name("other.local")].concat()),
        Just(vec![0xc0, 12]),
    ];
    (prop::sample::select(&TYPES[..]), any::<u32>(), data)
        .prop_map(|(kind, life_s, data)| record(kind, life_s, &data))
}

#[test]
fn well_formed_packet_is_parsed() {
    parse_packet(&packet(0x8400, [0, 1, 0, 0], &[record(1, 120, &[10, 0, 0, 1])]));
}

#[test]
fn names_that_point_in_circles_end() {
    for target in 0..=255 {
        let mut bytes = packet(0, [1, 0, 0, 0], &[]);
        bytes.extend([0xc0, target, 0, 1, 0, 1]);
        parse_packet(&bytes);
    }
}

/// The library's own check counts questions of types that it skips, so questions have a test of
/// their own, and elsewhere the header declares none.
fn without_questions(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.iter_mut().skip(4).take(2).for_each(|byte| *byte = 0);
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]
    #[test]
    fn packets_of_anybody_never_panic(bytes in vec(any::<u8>(), 0..300)) {
        parse_packet(&without_questions(bytes));
    }

    #[test]
    fn questions_with_any_name_never_panic(
        labels in vec(vec(any::<u8>(), 1..64), 0..8),
        end in prop_oneof![Just(vec![0u8]), (0xc0u8.., any::<u8>()).prop_map(|(a, b)| vec![a, b])],
        kind in prop::sample::select(&TYPES[..8]),
        class: u16,
    ) {
        let mut bytes = packet(0, [1, 0, 0, 0], &[]);
        for label in &labels {
            bytes.push(label.len() as u8);
            bytes.extend(label);
        }
        bytes.extend(end);
        bytes.extend(kind.to_be_bytes());
        bytes.extend(class.to_be_bytes());
        parse_packet(&bytes);
    }

    #[test]
    fn mutated_packets_never_panic(
        flags in prop::sample::select(vec![0u16, 0x8000, 0x8400, 0x0200]),
        counts in prop::array::uniform4(0u16..5),
        records in vec(any_record(), 0..5),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = packet(flags, counts, &records);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let mut bytes = without_questions(bytes);
        parse_packet(&bytes);
        bytes.truncate(cut.index(bytes.len()));
        parse_packet(&bytes);
    }
}
