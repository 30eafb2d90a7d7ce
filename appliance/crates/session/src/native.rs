//! Native framing: binary frames one after another on the stream, in any split.
//!
//! A frame that lies whole in what was read is decoded in place; only a partial one is copied.

use wire::ClientMessage;
use wire::binary::{self, Frame, FrameError, HEADER_BYTES, Header};
use wire::limits::CLIENT_FRAME_BYTES_MAX;

/// State between two reads: the start of a frame.
#[derive(Debug, Default)]
pub struct Decoder {
    partial: Vec<u8>,
}

/// A frame, or what is wrong with it; the next one can be read in both cases.
#[derive(Debug, PartialEq, Eq)]
pub struct Received {
    /// The client's number for the answer, or 0.
    pub request: u32,
    /// The message; none when its kind is unknown and may be skipped.
    pub message: Result<Option<ClientMessage>, FrameError>,
}

impl Decoder {
    /// Takes one frame off the front of `input`; none when it is not whole yet.
    ///
    /// # Errors
    /// When the length is impossible or over `max`: framing is lost.
    pub fn next(&mut self, input: &mut &[u8], max: usize) -> Result<Option<Received>, FrameError> {
        let max = max.min(CLIENT_FRAME_BYTES_MAX);
        if !self.partial.is_empty() {
            return self.complete(input, max);
        }
        let Some(header) = Header::read(input, max)? else {
            self.partial.extend_from_slice(std::mem::take(input));
            return Ok(None);
        };
        if input.len() < header.frame_bytes() {
            self.partial.extend_from_slice(std::mem::take(input));
            return Ok(None);
        }
        let (frame, rest) = input.split_at(header.frame_bytes());
        *input = rest;
        Ok(Some(read(&header, frame)))
    }

    /// Adds to the partial frame what it lacks, and no more.
    fn complete(&mut self, input: &mut &[u8], max: usize) -> Result<Option<Received>, FrameError> {
        loop {
            let header = Header::read(&self.partial, max)?;
            let need = header.as_ref().map_or(HEADER_BYTES, Header::frame_bytes);
            if let Some(header) = header.filter(|_| self.partial.len() == need) {
                let frame = std::mem::take(&mut self.partial);
                return Ok(Some(read(&header, &frame)));
            }
            if input.is_empty() {
                return Ok(None);
            }
            let (here, rest) = input.split_at(input.len().min(need - self.partial.len()));
            self.partial.extend_from_slice(here);
            *input = rest;
        }
    }
}

/// Reads the bytes of one whole frame.
#[must_use]
pub fn read(header: &Header, frame: &[u8]) -> Received {
    let message = match binary::read_client(frame) {
        Ok(Some((Frame { message, .. }, _))) => Ok(message),
        Ok(None) => Err(FrameError::TooShort(frame.len())),
        Err(error) => Err(error),
    };
    Received { request: header.request, message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use wire::client::{Ping, SendText};
    use wire::ids::{Counter, RoomId};

    fn frames() -> Vec<u8> {
        let mut bytes = Vec::new();
        binary::write_client(&Ping {}.into(), 1, &mut bytes);
        for request in 2..5 {
            let text = "x".repeat(request as usize * 1000);
            let send = SendText { counter: Counter(1), room: RoomId(1), text };
            binary::write_client(&send.into(), request, &mut bytes);
        }
        binary::write_client(&Ping {}.into(), 5, &mut bytes);
        bytes
    }

    fn decode(chunks: &[&[u8]]) -> (Vec<Received>, Option<FrameError>) {
        let (mut decoder, mut all) = (Decoder::default(), Vec::new());
        for mut input in chunks.iter().copied() {
            loop {
                match decoder.next(&mut input, CLIENT_FRAME_BYTES_MAX) {
                    Ok(Some(received)) => all.push(received),
                    Ok(None) => break,
                    Err(error) => return (all, Some(error)),
                }
            }
        }
        (all, None)
    }

    #[test]
    fn a_bad_body_is_answered_with_its_request_and_the_next_frame_is_read() {
        let mut bytes = Vec::new();
        binary::write_client(&Ping {}.into(), 7, &mut bytes);
        bytes[4] = 0xee;
        binary::write_client(&Ping {}.into(), 8, &mut bytes);
        let (received, lost) = decode(&[&bytes]);
        assert_eq!(lost, None);
        assert!(matches!(received[0].message, Err(FrameError::UnknownKind(_))));
        assert_eq!((received[0].request, received[1].request), (7, 8));
        assert_eq!(received[1].message, Ok(Some(Ping {}.into())));
    }

    #[test]
    fn a_length_over_the_limit_loses_framing_whatever_the_split() {
        let bytes = [frames(), u32::MAX.to_le_bytes().to_vec()].concat();
        let singles: Vec<_> = bytes.chunks(1).collect();
        for (received, lost) in [decode(&[&bytes]), decode(&singles)] {
            assert_eq!(received.len(), 5);
            assert!(matches!(lost, Some(FrameError::TooLong { .. })));
        }
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_frames(
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
        ) {
            let bytes = frames();
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let chunks: Vec<_> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
            prop_assert_eq!(decode(&chunks), decode(&[&bytes]));
        }

        #[test]
        fn hostile_bytes_never_panic_and_hold_no_more_than_a_frame(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut decoder = Decoder::default();
            for chunk in bytes.chunks(3) {
                let mut input = chunk;
                while let Ok(Some(_)) = decoder.next(&mut input, 64) {}
                prop_assert!(decoder.partial.len() <= 64 + chunk.len());
            }
        }
    }
}
