//! Both encodings of one body. Decoders demand that every byte is used.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why a body could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Not a body of this kind. The sentence may quote what the peer sent: answer with it, never
    /// log it.
    #[error("the body is not of this kind: {0}")]
    Malformed(String),
    /// A whole body, and more behind it.
    #[error("{0} bytes are left over after the body")]
    Trailing(usize),
}

pub(crate) fn write_postcard<T: Serialize>(body: &T, out: &mut Vec<u8>) {
    postcard::to_io(body, out).expect("wire types have no maps and known lengths");
}

pub(crate) fn write_json<T: Serialize>(body: &T, out: &mut Vec<u8>) {
    serde_json::to_writer(out, body).expect("wire types have text keys; a Vec never fails");
}

pub(crate) fn read_postcard<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, BodyError> {
    let (body, rest) = postcard::take_from_bytes(bytes)
        .map_err(|error| BodyError::Malformed(error.to_string()))?;
    if rest.is_empty() { Ok(body) } else { Err(BodyError::Trailing(rest.len())) }
}

pub(crate) fn read_json<T: DeserializeOwned>(text: &str) -> Result<T, BodyError> {
    serde_json::from_str(text).map_err(|error| BodyError::Malformed(error.to_string()))
}
