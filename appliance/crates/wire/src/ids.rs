//! Identifiers and other newtypes of the wire and the log: never a bare integer, never bare bytes.
//!
//! Numbers are plain in both encodings; every u64 stays below 2^53 so that any JSON reader holds
//! it. Byte strings are lower-case hexadecimal text in JSON and raw bytes in postcard.

use core::fmt;

use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::INTEGER_MAX;

macro_rules! small_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone,
            Copy,
            Debug,
            Default,
            PartialEq,
            Eq,
            PartialOrd,
            Ord,
            Hash,
            Serialize,
            Deserialize,
        )]
        pub struct $name(pub u32);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub struct $name(pub u64);

        impl $name {
            /// The number that follows this one.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let value = u64::deserialize(deserializer)?;
                if value > INTEGER_MAX {
                    return Err(D::Error::invalid_value(
                        Unexpected::Unsigned(value),
                        &"an integer below 2^53",
                    ));
                }
                Ok(Self(value))
            }
        }
    };
}

macro_rules! bytes {
    ($(#[$doc:meta])* $name:ident, $size:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $size]);

        impl $name {
            /// Reads exactly the lower- or upper-case hexadecimal text of the bytes.
            #[must_use]
            pub fn from_hex(text: &str) -> Option<Self> {
                parse_hex(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    self.0.serialize(serializer)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if !deserializer.is_human_readable() {
                    return <[u8; $size]>::deserialize(deserializer).map(Self);
                }
                let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                parse_hex(&text).map(Self).ok_or_else(|| {
                    D::Error::custom(concat!("expected ", $size, " bytes as hexadecimal text"))
                })
            }
        }
    };
}

macro_rules! public_bytes {
    ($(#[$doc:meta])* $name:ident, $size:literal) => {
        bytes!($(#[$doc])* $name, $size);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

small_id!(
    /// A person, bot or device account.
    UserId
);
small_id!(
    /// A direct or group room.
    RoomId
);
small_id!(
    /// One signed-in installation of one user; the unit that numbers commands.
    DeviceId
);
number!(
    /// Position of a message in its room: dense, from 1.
    Seq
);
number!(
    /// Position of a record in the log: dense, from 1; the global order and every client's cursor.
    Offset
);
number!(
    /// A device's own dense number of a command, from 1.
    Counter
);
number!(
    /// Milliseconds since 1970-01-01 UTC. Shown to people; order never depends on it.
    TimeMs
);
public_bytes!(
    /// Identity of a box for its whole life.
    BoxId, 16
);
public_bytes!(
    /// Incarnation of the store; changes with restore, salvage and factory reset.
    Epoch, 16
);
public_bytes!(
    /// Identity of one provisioning of a card; each can be claimed once.
    ProvisionId, 16
);
public_bytes!(
    /// First 16 bytes of BLAKE3 over a command's kind and postcard body.
    ContentHash, 16
);
public_bytes!(
    /// SHA-256 of a device token: what the box keeps instead of the token.
    TokenHash, 32
);
bytes!(
    /// A device's secret. Never logged: `Debug` prints a fixed text.
    DeviceToken, 32
);

impl fmt::Debug for DeviceToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceToken(secret)")
    }
}

fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high << 4 | low).expect("two hexadecimal digits fit a byte");
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_hex_in_json_and_raw_in_postcard() {
        let epoch = Epoch([0xab; 16]);
        let json = serde_json::to_string(&epoch).unwrap();
        assert_eq!(json, format!("\"{}\"", "ab".repeat(16)));
        assert_eq!(serde_json::from_str::<Epoch>(&json).unwrap(), epoch);
        assert_eq!(postcard::to_stdvec(&epoch).unwrap(), [0xab; 16]);
    }

    #[test]
    fn integers_of_two_to_the_53_are_refused_in_both_encodings() {
        assert!(serde_json::from_str::<Seq>("9007199254740991").is_ok());
        assert!(serde_json::from_str::<Seq>("9007199254740992").is_err());
        let bytes = postcard::to_stdvec(&(1_u64 << 53)).unwrap();
        assert!(postcard::from_bytes::<Seq>(&bytes).is_err());
    }

    #[test]
    fn a_device_token_is_never_printed_by_debug() {
        assert_eq!(format!("{:?}", DeviceToken([1; 32])), "DeviceToken(secret)");
    }

    #[test]
    fn hex_of_another_length_or_alphabet_is_refused() {
        for text in ["", "00", &"0".repeat(31), &"g".repeat(32), &"é".repeat(16)] {
            assert_eq!(Epoch::from_hex(text), None, "{text}");
        }
    }
}
