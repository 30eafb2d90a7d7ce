//! One direction of TLS 1.3's record protection (RFC 8446, 5.2 to 5.5): key, nonces, one record.

use ring_crypto::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce,
    UnboundKey,
};
use rustls::ConnectionTrafficSecrets;

use crate::limits::TLS_GCM_RECORDS_MAX;

/// Content type, legacy version, length.
pub(super) const HEADER_BYTES: usize = 5;

/// The tag that every AEAD of TLS 1.3 appends.
pub(super) const TAG_BYTES: usize = 16;

/// The outer content type of every protected record.
pub(super) const APPLICATION_DATA: u8 = 23;

/// The secrets are of no suite that is spoken here.
#[derive(Debug)]
pub(super) struct Unsupported;

/// The record is not what the peer sealed.
#[derive(Debug)]
pub(super) struct Forged;

/// Key, IV and place in the sequence. Not renewed: see `records`.
pub(super) struct Keys {
    cipher: Cipher,
    iv: [u8; NONCE_LEN],
    sequence: u64,
}

/// ChaCha20 keeps the bare key: the library's form is eight times as large and is made from it
/// by a copy. AES keeps the expanded one.
enum Cipher {
    ChaCha20([u8; 32]),
    AesGcm(Box<LessSafeKey>),
}

impl Keys {
    pub(super) fn new(
        (sequence, secrets): (u64, ConnectionTrafficSecrets),
    ) -> Result<Self, Unsupported> {
        use ConnectionTrafficSecrets as S;
        let (cipher, iv) = match &secrets {
            S::Chacha20Poly1305 { key, iv } => {
                (Cipher::ChaCha20(key.as_ref().try_into().map_err(|_| Unsupported)?), iv)
            }
            S::Aes128Gcm { key, iv } => (Cipher::aes(&AES_128_GCM, key.as_ref())?, iv),
            S::Aes256Gcm { key, iv } => (Cipher::aes(&AES_256_GCM, key.as_ref())?, iv),
            _ => return Err(Unsupported),
        };
        let iv = iv.as_ref().try_into().map_err(|_| Unsupported)?;
        Ok(Self { cipher, iv, sequence })
    }

    /// Appends one record. `content` is at most the longest fragment.
    pub(super) fn seal(&mut self, kind: u8, content: &[u8], out: &mut Vec<u8>) {
        let length = content.len() + 1 + TAG_BYTES;
        let [high, low] =
            u16::try_from(length).expect("a fragment is 16 KiB at most").to_be_bytes();
        let header = [APPLICATION_DATA, 3, 3, high, low];
        out.reserve_exact(HEADER_BYTES + length);
        out.extend_from_slice(&header);
        let start = out.len();
        out.extend_from_slice(content);
        out.push(kind);
        let nonce = self.next_nonce();
        let tag = self.cipher.with(|key| {
            key.seal_in_place_separate_tag(nonce, Aad::from(header), &mut out[start..])
        });
        out.extend_from_slice(tag.expect("the library seals up to gigabytes").as_ref());
    }

    /// Decrypts the body of a record in place; the plaintext stands at its front.
    pub(super) fn open<'a>(
        &mut self,
        header: [u8; HEADER_BYTES],
        body: &'a mut [u8],
    ) -> Result<&'a [u8], Forged> {
        let nonce = self.next_nonce();
        self.cipher
            .with(|key| key.open_in_place(nonce, Aad::from(header), body))
            .map(|plaintext| &*plaintext)
            .map_err(|_| Forged)
    }

    /// True when only alerts should still be sealed with this key.
    pub(super) fn is_used_up(&self) -> bool {
        matches!(self.cipher, Cipher::AesGcm(_)) && self.sequence >= TLS_GCM_RECORDS_MAX
    }

    /// The IV, exclusive-or the sequence number in its last eight bytes (RFC 8446, 5.3).
    fn next_nonce(&mut self) -> Nonce {
        let mut nonce = self.iv;
        for (byte, part) in nonce[NONCE_LEN - 8..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *byte ^= part;
        }
        self.sequence = self.sequence.checked_add(1).expect("2^64 records take millennia");
        Nonce::assume_unique_for_key(nonce)
    }
}

impl Cipher {
    fn aes(algorithm: &'static Algorithm, key: &[u8]) -> Result<Self, Unsupported> {
        let key = UnboundKey::new(algorithm, key).map_err(|_| Unsupported)?;
        Ok(Self::AesGcm(Box::new(LessSafeKey::new(key))))
    }

    fn with<T>(&self, work: impl FnOnce(&LessSafeKey) -> T) -> T {
        match self {
            Self::ChaCha20(key) => {
                let key = UnboundKey::new(&CHACHA20_POLY1305, key).expect("the key has 32 bytes");
                work(&LessSafeKey::new(key))
            }
            Self::AesGcm(key) => work(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT_KEY: [u8; 16] = [
        0x17, 0x42, 0x2d, 0xda, 0x59, 0x6e, 0xd5, 0xd9, 0xac, 0xd8, 0x90, 0xe3, 0xc6, 0x3f, 0x50,
        0x51,
    ];
    const CLIENT_IV: [u8; 12] =
        [0x5b, 0x78, 0x92, 0x3d, 0xee, 0x08, 0x57, 0x90, 0x33, 0xe5, 0x23, 0xd9];
    const RECORD: [u8; 72] = [
        0x17, 0x03, 0x03, 0x00, 0x43, 0xa2, 0x3f, 0x70, 0x54, 0xb6, 0x2c, 0x94, 0xd0, 0xaf, 0xfa,
        0xfe, 0x82, 0x28, 0xba, 0x55, 0xcb, 0xef, 0xac, 0xea, 0x42, 0xf9, 0x14, 0xaa, 0x66, 0xbc,
        0xab, 0x3f, 0x2b, 0x98, 0x19, 0xa8, 0xa5, 0xb4, 0x6b, 0x39, 0x5b, 0xd5, 0x4a, 0x9a, 0x20,
        0x44, 0x1e, 0x2b, 0x62, 0x97, 0x4e, 0x1f, 0x5a, 0x62, 0x92, 0xa2, 0x97, 0x70, 0x14, 0xbd,
        0x1e, 0x3d, 0xea, 0xe6, 0x3a, 0xee, 0xbb, 0x21, 0x69, 0x49, 0x15, 0xe4,
    ];

    #[test]
    fn the_first_record_of_the_client_in_rfc_8448_is_sealed_and_opened_as_it_says() {
        let keys = || {
            let cipher = Cipher::aes(&AES_128_GCM, &CLIENT_KEY).unwrap();
            Keys { cipher, iv: CLIENT_IV, sequence: 0 }
        };
        let content: Vec<u8> = (0..50).collect();
        let mut record = Vec::new();
        keys().seal(APPLICATION_DATA, &content, &mut record);
        assert_eq!(record, RECORD);
        let (header, body) = record.split_first_chunk_mut().unwrap();
        let inner = [&content[..], &[APPLICATION_DATA]].concat();
        assert_eq!(keys().open(*header, body).unwrap(), inner);
    }
}
