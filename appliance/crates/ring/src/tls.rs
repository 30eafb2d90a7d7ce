//! TLS of one session: small slices in, plaintext out, and back. No I/O.
//!
//! The handshake is rustls' and happens elsewhere. For TLS 1.3 its keys are taken out here and the
//! connection, with its buffers and its handshake state, is given up: [`Records`] holds 200 bytes
//! where rustls keeps 7 to 12 KB. TLS 1.2, which no current client needs, stays with rustls.

mod keys;
mod legacy;
mod records;
#[cfg(test)]
mod tests;

use rustls::{ProtocolVersion, ServerConnection};

use legacy::Legacy;
use records::Records;

/// The peer broke the record layer, or the library refused input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// What the input meant beyond its plaintext.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Open,
    /// The peer said that nothing more comes, or the keys are used up.
    Ended,
}

/// A TLS session as a handshake leaves it. Everything that rustls could decrypt has been taken
/// out of it, and everything it had to send is sent.
pub struct TlsState {
    /// The connection. For TLS 1.3 its configuration has `enable_secret_extraction`, else the
    /// session ends at once.
    pub connection: ServerConnection,
    /// What was read of a record that is not whole yet. rustls has it too but can't give it back;
    /// TLS 1.2 stays with rustls and does not look at this.
    pub partial_record: Vec<u8>,
}

/// An established TLS session.
pub(crate) enum Tls {
    /// TLS 1.3.
    Records(Box<Records>),
    /// TLS 1.2.
    Legacy(Box<Legacy>),
    /// There were no keys to take over.
    Unusable,
}

impl Tls {
    pub(crate) fn new(state: TlsState) -> Self {
        let TlsState { connection, partial_record } = state;
        if connection.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
            return Self::Legacy(Box::new(Legacy::new(connection)));
        }
        let records = connection
            .dangerous_extract_secrets()
            .and_then(|secrets| Records::new(secrets, partial_record));
        match records {
            Ok(records) => Self::Records(Box::new(records)),
            Err(error) => {
                tracing::error!(%error, "the keys of a TLS session could not be taken over");
                Self::Unusable
            }
        }
    }

    /// Takes received bytes; appends what they decrypt to. With no input it takes what waits in
    /// the connection, as after a hand-over.
    ///
    /// # Errors
    /// When the peer breaks the rules: the alert is waiting for [`Self::flush`].
    pub(crate) fn decrypt(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Stream, Broken> {
        match self {
            Self::Records(records) => records.decrypt(input, out),
            Self::Legacy(legacy) => legacy.decrypt(input, out),
            Self::Unusable => Err(Broken),
        }
    }

    /// Appends the records of a plaintext. After [`Self::close`] nothing is taken any more.
    pub(crate) fn encrypt(&mut self, plaintext: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Records(records) => records.encrypt(plaintext, out),
            Self::Legacy(legacy) => legacy.encrypt(plaintext, out),
            Self::Unusable => {}
        }
    }

    /// True when records wait that nobody asked for: alerts.
    pub(crate) fn has_output(&self) -> bool {
        match self {
            Self::Records(records) => records.has_output(),
            Self::Legacy(legacy) => legacy.has_output(),
            Self::Unusable => false,
        }
    }

    /// Appends the records that wait.
    pub(crate) fn flush(&mut self, out: &mut Vec<u8>) {
        match self {
            Self::Records(records) => records.flush(out),
            Self::Legacy(legacy) => legacy.flush(out),
            Self::Unusable => {}
        }
    }

    /// True when nothing is taken for sending any more: closed, or the key is used up.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self, Self::Records(records) if records.is_closed())
    }

    /// Queues the alert that nothing more comes.
    pub(crate) fn close(&mut self) {
        match self {
            Self::Records(records) => records.close(),
            Self::Legacy(legacy) => legacy.close(),
            Self::Unusable => {}
        }
    }
}
