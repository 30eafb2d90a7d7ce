//! Lower-case hexadecimal text of fixed-size ids and hashes, for files and people.

/// Writes `bytes` as lower-case hexadecimal digits.
pub fn encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)].into());
        text.push(DIGITS[usize::from(byte & 15)].into());
    }
    text
}

/// Reads exactly `N` bytes; upper-case digits are accepted because people type them.
pub fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != N * 2 {
        return None;
    }
    let mut bytes = [0u8; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = (digit(pair[0])? << 4) | digit(pair[1])?;
    }
    Some(bytes)
}

fn digit(character: u8) -> Option<u8> {
    let value = char::from(character).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_the_text_form() {
        let bytes: [u8; 16] = core::array::from_fn(|i| (i * 17) as u8);
        assert_eq!(encode(&bytes), "00112233445566778899aabbccddeeff");
        assert_eq!(decode::<16>(&encode(&bytes)), Some(bytes));
        assert_eq!(decode::<2>("FfA0"), Some([0xff, 0xa0]));
    }

    #[test]
    fn wrong_length_and_wrong_digits_are_refused() {
        assert_eq!(decode::<2>("abc"), None);
        assert_eq!(decode::<2>("abcde"), None);
        assert_eq!(decode::<2>("abcg"), None);
        assert_eq!(decode::<2>("+1-1"), None);
        assert_eq!(decode::<2>("éé"), None);
    }
}
