//! TLS 1.2 of one session: rustls keeps it.
//!
//! Input comes in slices of a receive buffer, so that rustls' own buffer grows no further than
//! one record; output is taken at once, so that nothing waits in rustls.

use std::io::{Read, Write};

use rustls::ServerConnection;

use super::{Broken, Stream};
use crate::limits::TLS_FRAGMENT_BYTES_MAX;

pub(crate) struct Legacy(ServerConnection);

impl Legacy {
    pub(super) fn new(connection: ServerConnection) -> Self {
        Self(connection)
    }

    pub(super) fn decrypt(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Stream, Broken> {
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

    pub(super) fn encrypt(&mut self, plaintext: &[u8], out: &mut Vec<u8>) {
        for chunk in plaintext.chunks(TLS_FRAGMENT_BYTES_MAX) {
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

    pub(super) fn has_output(&self) -> bool {
        self.0.wants_write()
    }

    pub(super) fn flush(&mut self, out: &mut Vec<u8>) {
        while self.0.wants_write() {
            self.0.write_tls(out).expect("a Vec takes everything");
        }
    }

    pub(super) fn close(&mut self) {
        self.0.send_close_notify();
    }
}
