//! Why QUIC could not start.

use std::io;

/// Why [`crate::Quic::start`] failed.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The TLS configuration can't be used.
    #[error("QUIC needs TLS 1.3 with AES-128-GCM for its first packets, which TLS does not offer")]
    Tls,
    /// A socket or the thread could not be used.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The system's words.
        source: io::Error,
    },
}

pub(crate) fn io(what: &'static str) -> impl Fn(io::Error) -> StartError {
    move |source| StartError::Io { what, source }
}
