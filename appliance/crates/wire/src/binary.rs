//! The binary envelope: `{length u32, kind u16, flags u8, request u32}` little-endian, then a
//! postcard body. `length` counts everything behind itself. On TCP frames follow one another; a
//! binary WebSocket message holds exactly one.

use crate::body::BodyError;
use crate::client::ClientMessage;
use crate::kind::Kind;
use crate::limits::{CLIENT_FRAME_BYTES_MAX, SERVER_FRAME_BYTES_MAX};
use crate::server::ServerMessage;

/// Bytes before the body.
pub const HEADER_BYTES: usize = 11;

/// Bytes of the length field itself.
pub const LENGTH_BYTES: usize = 4;

/// The receiver must understand this kind or answer with an error; others may be skipped.
pub const FLAG_CRITICAL: u8 = 1;

/// Why a frame could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The announced length is over the limit; framing is lost.
    #[error("a frame of {bytes} bytes is over the limit of {max}")]
    TooLong {
        /// Announced bytes, header included.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// The length can't hold the rest of the header; framing is lost.
    #[error("a frame of {0} bytes can't hold its header")]
    TooShort(usize),
    /// The frame is not what its transport promised (JSON shape, WebSocket message length).
    #[error("the frame is malformed: {0}")]
    Malformed(String),
    /// An unknown kind that must not be skipped.
    #[error("kind {0} is unknown and critical")]
    UnknownKind(String),
    /// A known kind with a bad body.
    #[error("{0}")]
    Body(#[from] BodyError),
}

impl FrameError {
    /// True when the next frame's start is unknown, so that only closing is left.
    #[must_use]
    pub const fn loses_framing(&self) -> bool {
        matches!(self, Self::TooLong { .. } | Self::TooShort(_))
    }
}

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the body.
    pub body_bytes: usize,
    /// What the body is.
    pub kind: Kind,
    /// [`FLAG_CRITICAL`] or nothing.
    pub flags: u8,
    /// Chosen by the client; the answer carries the same. 0 in frames nobody asked for.
    pub request: u32,
}

/// A frame with its message; none when the kind is unknown and may be skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame<M> {
    /// The client's number for this request, or 0.
    pub request: u32,
    /// The message.
    pub message: Option<M>,
}

impl Header {
    /// Reads a header; none while fewer than [`HEADER_BYTES`] are there (the length field alone
    /// is checked as soon as it is complete).
    ///
    /// # Errors
    /// When the length is impossible or over `max`; framing is lost then.
    pub fn read(bytes: &[u8], max: usize) -> Result<Option<Self>, FrameError> {
        let Some(length) = bytes.first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let total = length.saturating_add(LENGTH_BYTES);
        if total > max {
            return Err(FrameError::TooLong { bytes: total, max });
        }
        if total < HEADER_BYTES {
            return Err(FrameError::TooShort(total));
        }
        let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let [_, _, _, _, k0, k1, flags, r0, r1, r2, r3] = *header;
        Ok(Some(Self {
            body_bytes: total - HEADER_BYTES,
            kind: Kind(u16::from_le_bytes([k0, k1])),
            flags,
            request: u32::from_le_bytes([r0, r1, r2, r3]),
        }))
    }

    /// Bytes of the whole frame.
    #[must_use]
    pub const fn frame_bytes(&self) -> usize {
        HEADER_BYTES + self.body_bytes
    }
}

/// Appends a frame whose body `write_body` appends.
fn write_frame(kind: Kind, request: u32, out: &mut Vec<u8>, write_body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; LENGTH_BYTES]);
    out.extend_from_slice(&kind.0.to_le_bytes());
    out.push(FLAG_CRITICAL);
    out.extend_from_slice(&request.to_le_bytes());
    write_body(out);
    let length = u32::try_from(out.len() - start - LENGTH_BYTES).expect("frames are bounded");
    out[start..start + LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
}

/// Appends a client's frame.
pub fn write_client(message: &ClientMessage, request: u32, out: &mut Vec<u8>) {
    write_frame(message.kind(), request, out, |out| message.write_postcard(out));
}

/// Appends a server's frame.
pub fn write_server(message: &ServerMessage, request: u32, out: &mut Vec<u8>) {
    write_frame(message.kind(), request, out, |out| message.write_postcard(out));
}

/// Takes one whole client frame off the front: the frame and its bytes, or none while incomplete.
///
/// # Errors
/// See [`FrameError`]; unless it loses framing, the caller skips [`Header::frame_bytes`].
pub fn read_client(bytes: &[u8]) -> Result<Option<(Frame<ClientMessage>, usize)>, FrameError> {
    read_frame(bytes, CLIENT_FRAME_BYTES_MAX, ClientMessage::read_postcard)
}

/// Takes one whole server frame off the front: the frame and its bytes, or none while incomplete.
///
/// # Errors
/// See [`FrameError`].
pub fn read_server(bytes: &[u8]) -> Result<Option<(Frame<ServerMessage>, usize)>, FrameError> {
    read_frame(bytes, SERVER_FRAME_BYTES_MAX, ServerMessage::read_postcard)
}

type ReadBody<M> = fn(Kind, &[u8]) -> Result<Option<M>, BodyError>;

fn read_frame<M>(
    bytes: &[u8],
    max: usize,
    read_body: ReadBody<M>,
) -> Result<Option<(Frame<M>, usize)>, FrameError> {
    let Some(header) = Header::read(bytes, max)? else {
        return Ok(None);
    };
    let Some(body) = bytes.get(HEADER_BYTES..header.frame_bytes()) else {
        return Ok(None);
    };
    let message = read_body(header.kind, body)?;
    if message.is_none() && header.flags & FLAG_CRITICAL != 0 {
        return Err(FrameError::UnknownKind(format!("{:#06x}", header.kind.0)));
    }
    Ok(Some((Frame { request: header.request, message }, header.frame_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Ping;

    fn ping() -> Vec<u8> {
        let mut bytes = Vec::new();
        write_client(&ClientMessage::Ping(Ping {}), 7, &mut bytes);
        bytes
    }

    #[test]
    fn a_frame_comes_back_whole_and_only_when_complete() {
        let bytes = ping();
        let (frame, used) = read_client(&bytes).unwrap().unwrap();
        assert_eq!((frame.request, used), (7, bytes.len()));
        assert_eq!(frame.message, Some(ClientMessage::Ping(Ping {})));
        for cut in 0..bytes.len() {
            assert_eq!(read_client(&bytes[..cut]).unwrap(), None);
        }
    }

    #[test]
    fn a_length_over_the_limit_is_refused_before_the_body_arrives() {
        let error = read_client(&u32::MAX.to_le_bytes()).unwrap_err();
        assert!(matches!(error, FrameError::TooLong { .. }) && error.loses_framing());
        let error = read_client(&6_u32.to_le_bytes()).unwrap_err();
        assert!(matches!(error, FrameError::TooShort(10)) && error.loses_framing());
    }

    #[test]
    fn an_unknown_kind_is_skipped_unless_critical() {
        let mut bytes = ping();
        bytes[4] = 0xee;
        assert!(matches!(read_client(&bytes), Err(FrameError::UnknownKind(_))));
        bytes[6] = 0;
        let (frame, used) = read_client(&bytes).unwrap().unwrap();
        assert_eq!((frame.message, used), (None, bytes.len()));
    }

    #[test]
    fn trailing_bytes_in_a_body_are_refused_and_framing_is_kept() {
        let mut bytes = ping();
        bytes.push(0);
        bytes[0] += 1;
        let error = read_client(&bytes).unwrap_err();
        assert_eq!(error, FrameError::Body(BodyError::Trailing(1)));
        assert!(!error.loses_framing());
    }
}
