//! What a message carries so that its receiver can tell whose it is and which one: fixed-width
//! text at the start of the payload, so that any protocol carries it.

/// Bytes that a stamp takes at the start of a payload: two numbers of eight hexadecimal digits.
pub const STAMP_BYTES: usize = 16;

/// Which message: the sender's session number and its own dense count from 0. The runner keeps the
/// intended send time by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// Session number of the sender.
    pub sender: u32,
    /// The sender's own count: 0, 1, 2, …
    pub seq: u32,
}

impl Stamp {
    /// Appends the stamp and padding: `payload_bytes` in all, at least [`STAMP_BYTES`], ASCII.
    pub fn write(self, payload_bytes: usize, out: &mut Vec<u8>) {
        let start = out.len();
        push_hex(self.sender, out);
        push_hex(self.seq, out);
        out.resize(start + payload_bytes.max(STAMP_BYTES), b'.');
    }

    /// As [`Stamp::write`], as text.
    #[must_use]
    pub fn text(self, payload_bytes: usize) -> String {
        let mut bytes = Vec::with_capacity(payload_bytes.max(STAMP_BYTES));
        self.write(payload_bytes, &mut bytes);
        String::from_utf8(bytes).expect("digits and dots are ASCII")
    }

    /// Reads the stamp at the start of a payload; none when there is none.
    #[must_use]
    pub fn read(payload: &[u8]) -> Option<Self> {
        let (sender, rest) = payload.split_first_chunk::<8>()?;
        let seq = rest.first_chunk::<8>()?;
        Some(Self { sender: read_hex(sender)?, seq: read_hex(seq)? })
    }
}

fn push_hex(value: u32, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |shift: u32| DIGITS[usize::try_from(value >> shift & 15).expect("below 16")];
    out.extend((0..8).rev().map(|place| digit(place * 4)));
}

fn read_hex(text: &[u8; 8]) -> Option<u32> {
    text.iter().try_fold(0, |value, byte| {
        let digit = char::from(*byte).to_digit(16)?;
        Some(value << 4 | digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_comes_back_from_its_payload() {
        for (sender, seq) in [(0, 0), (7, 4_000_000_000), (u32::MAX, 1), (0x1234_abcd, 0xff)] {
            let stamp = Stamp { sender, seq };
            let text = stamp.text(100);
            assert_eq!((text.len(), Stamp::read(text.as_bytes())), (100, Some(stamp)));
        }
    }

    #[test]
    fn a_payload_is_never_shorter_than_its_stamp() {
        assert_eq!(Stamp { sender: 1, seq: 2 }.text(3), "0000000100000002");
    }

    #[test]
    fn text_without_a_stamp_has_none() {
        for text in ["", "hello", "000000010000000", "0000000100zz0002 and more"] {
            assert_eq!(Stamp::read(text.as_bytes()), None, "{text}");
        }
    }
}
