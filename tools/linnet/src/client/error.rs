//! Why talking to a box failed. Every text says what to do.

use super::http::Refusal;

/// What went wrong between this program and a box.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No connection.
    #[error(
        "{host} can't be reached ({cause}); check that the box has power and network and that \
         this computer is in the same network"
    )]
    Unreachable {
        /// Where to.
        host: String,
        /// The system's words.
        cause: String,
    },
    /// The other side is not the box it should be.
    #[error("{0}")]
    NotTheBox(String),
    /// The box said no.
    #[error("{0}")]
    Refused(Refusal),
    /// The box ended the session.
    #[error("the box ended the session: {}", .0.text)]
    Closing(wire::server::Closing),
    /// The connection broke.
    #[error("the connection to the box broke off: {0}")]
    Broken(String),
    /// The box said something that this program does not understand.
    #[error("the box said something unexpected ({0}); is this tool as new as the box?")]
    Protocol(String),
}

impl ClientError {
    /// Whether the same thing may work a moment later.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Broken(_) => true,
            Self::Closing(closing) => closing.retry_after_ms.is_some(),
            Self::NotTheBox(_) | Self::Refused(_) | Self::Protocol(_) => false,
        }
    }
}

impl From<std::io::Error> for ClientError {
    fn from(error: std::io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

impl From<hyper::Error> for ClientError {
    fn from(error: hyper::Error) -> Self {
        Self::Broken(error.to_string())
    }
}
