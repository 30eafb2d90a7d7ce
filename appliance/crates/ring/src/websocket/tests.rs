//! The decoder against the RFC's own examples, every split, and hostile bytes.

use proptest::prelude::*;

use super::*;

const MAX: usize = 70_000;
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

fn client_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | u8::try_from(length).unwrap()),
        length @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

fn decode(chunks: &[&[u8]]) -> (Vec<Received>, Option<Violation>) {
    let (mut decoder, mut all) = (Decoder::default(), Vec::new());
    for chunk in chunks {
        let mut input = *chunk;
        loop {
            match decoder.next(&mut input, MAX) {
                Ok(Some(received)) => all.push(received),
                Ok(None) => break,
                Err(violation) => return (all, Some(violation)),
            }
        }
        assert!(input.is_empty());
    }
    (all, None)
}

fn violation(bytes: &[u8]) -> Violation {
    let (received, violation) = decode(&[bytes]);
    assert_eq!(received, []);
    violation.expect("a violation")
}

#[test]
fn the_examples_of_the_rfc_decode() {
    let hello = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(decode(&[&hello]), (vec![Received::Text("Hello".into())], None));
    let fragments = [client_frame(0x01, b"Hel"), client_frame(0x80, b"lo")].concat();
    assert_eq!(decode(&[&fragments]), (vec![Received::Text("Hello".into())], None));
    let mut out = Vec::new();
    write_header(Opcode::Binary, 256, &mut out);
    assert_eq!(out, [0x82, 0x7e, 0x01, 0x00]);
    out.clear();
    write_header(Opcode::Binary, 65_536, &mut out);
    assert_eq!(out, [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
}

#[test]
fn control_frames_may_stand_between_fragments() {
    let bytes = [
        client_frame(0x02, b"a"),
        client_frame(0x89, b"?"),
        client_frame(0x00, b""),
        client_frame(0x8a, b"late"),
        client_frame(0x80, b"b"),
        client_frame(0x88, &1000_u16.to_be_bytes()),
    ]
    .concat();
    let expected = vec![
        Received::Ping(b"?".to_vec()),
        Received::Pong,
        Received::Binary(b"ab".to_vec()),
        Received::Close(Some(1000)),
    ];
    assert_eq!(decode(&[&bytes]), (expected, None));
}

#[test]
fn every_broken_rule_is_named_as_soon_as_it_shows() {
    assert_eq!(violation(&[0xc1, 0x80]), Violation::ReservedBits);
    assert_eq!(violation(&[0x83, 0x80]), Violation::UnknownOpcode(3));
    assert_eq!(violation(&[0x81, 0x05]), Violation::NotMasked);
    assert_eq!(violation(&[0x09, 0x80]), Violation::BadControl);
    assert_eq!(violation(&[0x89, 0xfe]), Violation::BadControl);
    assert_eq!(violation(&[0x80, 0x80]), Violation::BadFragment);
    let inside = [client_frame(0x01, b"a"), client_frame(0x81, b"b")].concat();
    assert_eq!(violation(&inside), Violation::BadFragment);
    assert_eq!(violation(&[0x82, 0xfe, 0, 125, 0, 0, 0, 0]), Violation::LongLength);
    let long = [&[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff], &MASK[..]].concat();
    assert_eq!(violation(&long), Violation::LongLength);
    let negative = [&[0x82, 0xff], &[0xff; 8][..], &MASK[..]].concat();
    assert_eq!(violation(&negative), Violation::LongLength);
}

#[test]
fn a_message_over_the_limit_is_refused_by_its_header_and_over_its_fragments() {
    let huge = [&[0x82, 0xff], &(1_u64 << 62).to_be_bytes()[..], &MASK[..]].concat();
    assert_eq!(violation(&huge), Violation::TooBig { max: MAX });
    let parts = [client_frame(0x02, &vec![0; MAX]), client_frame(0x80, b"x")].concat();
    assert_eq!(violation(&parts), Violation::TooBig { max: MAX });
    assert_eq!(Violation::TooBig { max: MAX }.close_code(), CloseCode::TooBig);
}

#[test]
fn text_is_checked_across_fragments_and_before_it_is_complete() {
    let (one, two) = "ä€😀".as_bytes().split_at(4);
    let whole = [client_frame(0x01, one), client_frame(0x80, two)].concat();
    assert_eq!(decode(&[&whole]), (vec![Received::Text("ä€😀".into())], None));
    assert_eq!(violation(&client_frame(0x01, b"ok\xff")), Violation::NotUtf8);
    assert_eq!(violation(&client_frame(0x81, &one[..3])), Violation::NotUtf8);
    let ended = [client_frame(0x01, &one[..3]), client_frame(0x80, b"")].concat();
    assert_eq!(violation(&ended), Violation::NotUtf8);
}

#[test]
fn close_frames_with_an_impossible_status_are_refused() {
    assert_eq!(decode(&[&client_frame(0x88, b"")]), (vec![Received::Close(None)], None));
    assert_eq!(violation(&client_frame(0x88, b"x")), Violation::BadClose);
    for code in [0_u16, 999, 1004, 1005, 1006, 1015, 2999, 5000] {
        let frame = client_frame(0x88, &code.to_be_bytes());
        assert_eq!(violation(&frame), Violation::BadClose, "{code}");
    }
    let reason = [&1000_u16.to_be_bytes()[..], b"\xff"].concat();
    assert_eq!(violation(&client_frame(0x88, &reason)), Violation::NotUtf8);
}

#[test]
fn nothing_is_held_between_messages() {
    let mut decoder = Decoder::default();
    let bytes = [client_frame(0x81, &[b'a'; 9_000]), client_frame(0x89, b"?")].concat();
    let mut input = &bytes[..];
    while decoder.next(&mut input, MAX).unwrap().is_some() {}
    assert!(decoder.is_empty());
    assert!(size_of::<Decoder>() <= 160, "{}", size_of::<Decoder>());
}

fn frames() -> impl Strategy<Value = Vec<u8>> {
    let text = "\\PC{0,200}".prop_map(|text| client_frame(0x81, text.as_bytes()));
    let length = prop_oneof![0..300_usize, 65_500..66_000_usize];
    let binary = length.prop_map(|length| client_frame(0x82, &vec![7; length]));
    let ping = prop::collection::vec(any::<u8>(), 0..126).prop_map(|p| client_frame(0x89, &p));
    let fragments = "\\PC{1,60}".prop_flat_map(|text| {
        (0..=text.len()).prop_map(move |cut| {
            let (one, two) = text.as_bytes().split_at(cut);
            [client_frame(0x01, one), client_frame(0x8a, b""), client_frame(0x80, two)].concat()
        })
    });
    let any_frame = prop_oneof![text, binary, ping, fragments];
    prop::collection::vec(any_frame, 0..6).prop_map(|frames| frames.concat())
}

fn split_at(bytes: &[u8], cuts: &[prop::sample::Index]) -> Vec<Vec<u8>> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|cut| bytes[cut[0]..cut[1]].to_vec()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_split_gives_the_same_frames(
        bytes in frames(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let whole = decode(&[&bytes]);
        prop_assert_eq!(&whole.1, &None);
        let chunks = split_at(&bytes, &cuts);
        let chunks: Vec<_> = chunks.iter().map(Vec::as_slice).collect();
        prop_assert_eq!(decode(&chunks), whole);
    }

    #[test]
    fn hostile_bytes_give_the_same_verdict_in_any_split_and_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        start in frames(),
        at in any::<prop::sample::Index>(),
    ) {
        let mut bytes = [&start[..], &bytes].concat();
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] ^= 0x55;
        }
        let singles: Vec<_> = bytes.chunks(1).collect();
        let (received, violation) = decode(&[&bytes]);
        let (received_singly, violation_singly) = decode(&singles);
        prop_assert_eq!(received, received_singly);
        prop_assert_eq!(violation, violation_singly);
    }

    #[test]
    fn headers_written_by_the_server_say_their_length(length in 0..70_000_usize) {
        let mut out = Vec::new();
        write_header(Opcode::Text, length, &mut out);
        prop_assert!(out.len() <= SERVER_HEADER_BYTES_MAX);
        let extended = &out[2..];
        prop_assert_eq!(payload_bytes(out[1], extended), Ok(length));
    }
}
