//! TLS records of one session: small slices in, plaintext out, and back. No I/O.
//!
//! Input comes in slices of a receive buffer, so that rustls' own buffer grows no further than
//! one record; output is taken at once, so that nothing waits in rustls.

use std::io::{Read, Write};

use rustls::ServerConnection;

use crate::limits::TLS_CHUNK_BYTES;

/// The peer broke the record layer, or the library refused input.
#[derive(Debug)]
pub(crate) struct Broken;

/// What the input meant beyond its plaintext.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Open,
    /// The peer said that nothing more comes.
    Ended,
}

/// An established TLS session.
pub(crate) struct Tls(Box<ServerConnection>);

impl Tls {
    pub(crate) fn new(connection: ServerConnection) -> Self {
        Self(Box::new(connection))
    }

    /// Takes received bytes; appends what they decrypt to. With no input it takes what waits in
    /// the connection, as after a hand-over.
    ///
    /// # Errors
    /// When the peer breaks the rules: the alert is waiting for [`Self::flush`].
    pub(crate) fn decrypt(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Stream, Broken> {
        let mut rest = input;
        let mut stream = self.process(out)?;
        while !rest.is_empty() && stream == Stream::Open {
            if self.0.read_tls(&mut rest).map_err(|_| Broken)? == 0 {
                return Err(Broken);
            }
            stream = self.process(out)?;
        }
        Ok(stream)
    }

    fn process(&mut self, out: &mut Vec<u8>) -> Result<Stream, Broken> {
        let state = self.0.process_new_packets().map_err(|_| Broken)?;
        let waiting = state.plaintext_bytes_to_read();
        if waiting > 0 {
            let start = out.len();
            out.resize(start + waiting, 0);
            self.0.reader().read_exact(&mut out[start..]).map_err(|_| Broken)?;
        }
        Ok(if state.peer_has_closed() { Stream::Ended } else { Stream::Open })
    }

    /// Appends the records of a plaintext.
    pub(crate) fn encrypt(&mut self, plaintext: &[u8], out: &mut Vec<u8>) {
        for chunk in plaintext.chunks(TLS_CHUNK_BYTES) {
            let mut rest = chunk;
            while !rest.is_empty() {
                let taken = self.0.writer().write(rest).unwrap_or(0);
                self.flush(out);
                if taken == 0 {
                    return; // after close_notify nothing is taken any more
                }
                rest = &rest[taken..];
            }
        }
    }

    /// True when records wait that nobody asked for: key updates, alerts.
    pub(crate) fn has_output(&self) -> bool {
        self.0.wants_write()
    }

    /// Appends the records that wait.
    pub(crate) fn flush(&mut self, out: &mut Vec<u8>) {
        while self.0.wants_write() {
            self.0.write_tls(out).expect("a Vec takes everything");
        }
    }

    /// Queues the alert that nothing more comes.
    pub(crate) fn close(&mut self) {
        self.0.send_close_notify();
    }
}
