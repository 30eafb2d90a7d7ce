//! The box's fingerprint as eight words that a person can compare on two screens: the first 88 bits
//! of the CA's SHA-256, eleven bits a word, in the English BIP-39 list (distinct in four letters).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// Words of a fingerprint.
pub const WORDS: usize = 8;

const BITS_PER_WORD: usize = 11;

/// The words for a CA certificate's SHA-256.
#[must_use]
pub fn words(ca_sha256: &[u8; 32]) -> [&'static str; WORDS] {
    let list = bip39::Language::English.word_list();
    std::array::from_fn(|word| {
        let first = word * BITS_PER_WORD;
        list[(first..first + BITS_PER_WORD)
            .fold(0, |index, bit| index << 1 | usize::from(bit_of(ca_sha256, bit)))]
    })
}

/// The words for the first certificate of a PEM text; `None` when there is none.
#[must_use]
pub fn words_of_pem(text: &str) -> Option<[&'static str; WORDS]> {
    let (_, rest) = text.split_once("-----BEGIN CERTIFICATE-----")?;
    let (body, _) = rest.split_once("-----END CERTIFICATE-----")?;
    let der = STANDARD.decode(body.split_ascii_whitespace().collect::<String>()).ok()?;
    Some(words(&Sha256::digest(der).into()))
}

fn bit_of(bytes: &[u8; 32], bit: usize) -> u8 {
    bytes[bit / 8] >> (7 - bit % 8) & 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificates_words_are_those_of_its_bytes_and_not_of_its_text() {
        let pem = "x\n-----BEGIN CERTIFICATE-----\nAAEC\r\nAwQ=\n-----END CERTIFICATE-----\n";
        assert_eq!(words_of_pem(pem), Some(words(&Sha256::digest([0, 1, 2, 3, 4]).into())));
        for text in ["", "AAEC", &pem.replace("AwQ=", "A w!"), &pem.replace("END", "EN")] {
            assert_eq!(words_of_pem(text), None, "{text}");
        }
    }

    #[test]
    fn words_follow_the_first_88_bits_and_nothing_else() {
        assert_eq!(words(&[0; 32]), ["abandon"; WORDS]);
        assert_eq!(words(&[0xff; 32]), ["zoo"; WORDS]);
        let mut digest = [0; 32];
        digest[1] = 0b0010_0000; // bit 10: the last one of the first word
        digest[11] = 0xff; // behind the 88 bits
        let mut expected = ["abandon"; WORDS];
        expected[0] = "ability";
        assert_eq!(words(&digest), expected);
    }
}
