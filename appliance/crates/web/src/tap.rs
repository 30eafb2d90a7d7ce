//! The socket below rustls: keeps what was read of a TLS record that is not whole yet.
//!
//! rustls reads further than it decrypts and can't give those bytes back. Whoever takes its keys
//! over at a hand-over goes on with them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Content type, version, length (RFC 8446, 5.1).
const HEADER_BYTES: usize = 5;

/// A socket that knows where in a record its reader stands.
pub(crate) struct Tap {
    socket: TcpStream,
    records: Records,
}

/// Follows the record boundaries of a stream.
#[derive(Default)]
struct Records {
    /// What was read of the record that is not whole.
    partial: Vec<u8>,
}

impl Tap {
    pub(crate) fn new(socket: TcpStream) -> Self {
        Self { socket, records: Records::default() }
    }

    /// The socket, and what was read of a record that is not whole.
    pub(crate) fn into_parts(self) -> (TcpStream, Vec<u8>) {
        let mut partial = self.records.partial;
        partial.shrink_to_fit(); // a session keeps it
        (self.socket, partial)
    }
}

impl Records {
    /// Takes note of bytes that were read. What is no TLS is left for rustls to refuse.
    fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let wanted = missing(&self.partial);
            let (here, rest) = bytes.split_at(wanted.min(bytes.len()));
            // A record that ends in these bytes needs no copy once its length is known.
            match here.len() == wanted && self.partial.len() >= HEADER_BYTES {
                true => self.partial.clear(),
                false => self.partial.extend_from_slice(here),
            }
            if self.partial.len() == HEADER_BYTES && missing(&self.partial) == 0 {
                self.partial.clear();
            }
            bytes = rest;
        }
    }
}

/// How many bytes end the header, or then the record, of which these are the start.
fn missing(partial: &[u8]) -> usize {
    match partial.first_chunk() {
        None => HEADER_BYTES - partial.len(),
        Some([_, _, _, high, low]) => {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            HEADER_BYTES + length - partial.len()
        }
    }
}

impl AsyncRead for Tap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.socket).poll_read(context, buffer);
        if let Poll::Ready(Ok(())) = polled {
            self.records.follow(&buffer.filled()[before..]);
        }
        polled
    }
}

impl AsyncWrite for Tap {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(length: u16) -> Vec<u8> {
        let [high, low] = length.to_be_bytes();
        [vec![23, 3, 3, high, low], vec![7; usize::from(length)]].concat()
    }

    #[test]
    fn exactly_the_incomplete_record_is_kept_at_every_cut_and_chunk() {
        let lengths = [3, 0, 0, 700, 1];
        let stream: Vec<u8> = lengths.into_iter().flat_map(record).collect();
        let ends: Vec<usize> = lengths
            .iter()
            .scan(0, |end, length| {
                *end += HEADER_BYTES + usize::from(*length);
                Some(*end)
            })
            .collect();
        for cut in 0..=stream.len() {
            let start = ends.iter().rev().find(|end| **end <= cut).copied().unwrap_or(0);
            for chunk in [1, 3, 64, stream.len()] {
                let mut records = Records::default();
                stream[..cut].chunks(chunk).for_each(|bytes| records.follow(bytes));
                assert_eq!(records.partial, stream[start..cut], "cut {cut}, chunk {chunk}");
            }
        }
    }
}
