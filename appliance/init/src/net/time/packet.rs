//! SNTP packets (RFC 4330). Pure. The request carries a random number instead of our time: nothing
//! about the box is told, and only who saw it can answer.

use super::rules::Sample;

/// Length of a packet without extensions.
const BYTES: usize = 48;

/// Longest answer that is looked at; what follows the first part is not read.
pub(super) const BYTES_MAX: usize = 512;

/// Version 4, a client's request.
const REQUEST: u8 = 4 << 3 | 3;

/// Leap indicator of a server whose own clock is not set.
const UNSYNCHRONIZED: u8 = 3;

/// Mode of a server's answer.
const SERVER: u8 = 4;

/// Seconds from 1900 to 1970.
const EPOCH_S: i64 = 2_208_988_800;

/// Why an answer is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Wrong {
    /// It does not carry our number: old, forged, or no answer at all.
    #[error("sent something else")]
    NotOurs,
    /// The server asks for fewer requests or none; four letters say which.
    #[error("wants to be left alone")]
    KissOfDeath([u8; 4]),
    /// Its own clock is not set.
    #[error("does not know the time itself")]
    Unsynchronized,
}

/// What the server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    /// When the request arrived, in nanoseconds since 1970 by the server's clock.
    received_ns: i64,
    /// When the answer left.
    sent_ns: i64,
}

/// The packet to send.
pub(super) fn request(nonce: u64) -> [u8; BYTES] {
    let mut packet = [0; BYTES];
    packet[0] = REQUEST;
    packet[40..].copy_from_slice(&nonce.to_be_bytes());
    packet
}

/// Reads an answer to the request with this number.
pub(super) fn parse(bytes: &[u8], nonce: u64) -> Result<Answer, Wrong> {
    let packet: &[u8; BYTES] = bytes.first_chunk().ok_or(Wrong::NotOurs)?;
    let (leap, version, mode) = (packet[0] >> 6, packet[0] >> 3 & 7, packet[0] & 7);
    if field(packet, 24) != nonce || mode != SERVER || !(3..=4).contains(&version) {
        return Err(Wrong::NotOurs);
    }
    match packet[1] {
        0 => return Err(Wrong::KissOfDeath([packet[12], packet[13], packet[14], packet[15]])),
        1..=15 if leap != UNSYNCHRONIZED => {}
        _ => return Err(Wrong::Unsynchronized),
    }
    if field(packet, 32) == 0 || field(packet, 40) == 0 {
        return Err(Wrong::Unsynchronized);
    }
    let (received_ns, sent_ns) = (since_1970(field(packet, 32)), since_1970(field(packet, 40)));
    Ok(Answer { received_ns, sent_ns })
}

/// Whether the server never wants to hear from us again (RFC 4330 section 8).
pub(super) fn is_final(code: [u8; 4]) -> bool {
    matches!(&code, b"DENY" | b"RSTR")
}

impl Answer {
    /// How far our clock is off, given when the request left and how long the answer took. `None`
    /// if the server's two times contradict each other.
    pub(super) fn sample(&self, server: &str, sent_ns: i64, took_ns: i64) -> Option<Sample> {
        let held_ns = self.sent_ns.checked_sub(self.received_ns)?;
        let delay_ns = took_ns.checked_sub(held_ns)?;
        if held_ns < 0 || delay_ns < 0 {
            return None;
        }
        let now_ns = self.sent_ns.checked_add(delay_ns / 2)?;
        let offset_ns = now_ns.checked_sub(sent_ns.checked_add(took_ns)?)?;
        let now_s = now_ns.div_euclid(1_000_000_000);
        Some(Sample { server: server.to_owned(), now_s, offset_ns, delay_ns })
    }
}

fn field(packet: &[u8; BYTES], at: usize) -> u64 {
    let bytes = packet[at..].first_chunk().expect("all fields end within the packet");
    u64::from_be_bytes(*bytes)
}

/// Seconds and fraction since 1900, or since 2036 where the highest bit is not set (RFC 4330
/// section 3).
fn since_1970(timestamp: u64) -> i64 {
    let (seconds, fraction) = (timestamp >> 32, timestamp & 0xffff_ffff);
    let era = if seconds & 0x8000_0000 == 0 { 1i64 << 32 } else { 0 };
    let seconds = seconds.cast_signed() + era - EPOCH_S;
    seconds * 1_000_000_000 + ((fraction * 1_000_000_000) >> 32).cast_signed()
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) const NOW_S: i64 = 1_800_000_000;

    /// A server's packet for the given second.
    pub(crate) fn answer(nonce: u64, at_s: i64) -> [u8; BYTES] {
        let mut packet = [0; BYTES];
        packet[0] = 4 << 3 | SERVER;
        packet[1] = 2;
        packet[24..32].copy_from_slice(&nonce.to_be_bytes());
        let timestamp = (((at_s + EPOCH_S) as u64) << 32).to_be_bytes();
        packet[32..40].copy_from_slice(&timestamp);
        packet[40..48].copy_from_slice(&timestamp);
        packet
    }

    #[test]
    fn answer_gives_offset_and_delay() {
        let second = 1_000_000_000;
        let parsed = parse(&answer(7, NOW_S), 7).unwrap();
        let sample = parsed.sample("a", (NOW_S - 100) * second, second).unwrap();
        assert_eq!((sample.now_s, sample.delay_ns), (NOW_S, second));
        assert_eq!(sample.offset_ns, 99 * second + second / 2);
        let year = 365 * 86_400;
        let after_2036 = parse(&answer(7, NOW_S + 20 * year), 7).unwrap();
        assert_eq!(after_2036.sent_ns / second, NOW_S + 20 * year);
    }

    #[test]
    fn answer_to_another_request_is_not_ours() {
        let good = answer(7, NOW_S);
        assert_eq!(parse(&good, 8), Err(Wrong::NotOurs));
        assert_eq!(parse(&good[..47], 7), Err(Wrong::NotOurs));
        assert_eq!(parse(&request(7), 7), Err(Wrong::NotOurs), "our own request, mirrored");
        let mut broadcast = good;
        broadcast[0] = 4 << 3 | 5;
        assert_eq!(parse(&broadcast, 7), Err(Wrong::NotOurs));
    }

    #[test]
    fn server_that_is_lost_or_annoyed_is_not_believed() {
        let mut kiss = answer(7, NOW_S);
        kiss[1] = 0;
        kiss[12..16].copy_from_slice(b"RATE");
        assert_eq!(parse(&kiss, 7), Err(Wrong::KissOfDeath(*b"RATE")));
        assert!(is_final(*b"DENY") && is_final(*b"RSTR") && !is_final(*b"RATE"));
        let mut unset = answer(7, NOW_S);
        unset[0] |= 3 << 6;
        assert_eq!(parse(&unset, 7), Err(Wrong::Unsynchronized));
        let mut far = answer(7, NOW_S);
        far[1] = 16;
        assert_eq!(parse(&far, 7), Err(Wrong::Unsynchronized));
        let mut zero = answer(7, NOW_S);
        zero[40..].fill(0);
        assert_eq!(parse(&zero, 7), Err(Wrong::Unsynchronized));
    }

    #[test]
    fn server_that_answers_before_it_was_asked_is_not_believed() {
        let mut packet = answer(7, NOW_S);
        packet[35] = packet[35].wrapping_add(9);
        assert_eq!(parse(&packet, 7).unwrap().sample("a", 0, 1_000), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(50_000))]
        #[test]
        fn packets_of_anybody_never_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..100),
            at in 0usize..48,
            value in any::<u8>(),
            sent_ns in any::<i64>(),
            took_ns in any::<i64>(),
        ) {
            let mut mutated = answer(7, NOW_S);
            mutated[at] = value;
            for packet in [&bytes[..], &mutated[..]] {
                if let Ok(answer) = parse(packet, 7) {
                    let _ = answer.sample("a", sent_ns, took_ns);
                }
            }
        }
    }
}
