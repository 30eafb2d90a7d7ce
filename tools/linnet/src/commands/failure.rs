//! Which exit code a failure gets; `linnet --help` lists them.

use std::process::ExitCode;

use anyhow::Error;
use linnet::client::ClientError;

/// Something was refused or stayed unconfirmed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Undelivered {
    #[error("{0} not delivered, see above")]
    Refused(usize),
    #[error(
        "{0} not confirmed in time; kept in the outbox and sent first at the next `linnet chat`"
    )]
    Waiting(usize),
}

/// The box answered that it is not well.
#[derive(Debug, thiserror::Error)]
#[error("the box needs its owner, see above")]
pub(crate) struct Unwell;

/// Whether the reader of stdout went away.
pub(crate) fn is_closed_pipe(error: &Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
}

pub(crate) fn exit_code(error: &Error) -> ExitCode {
    if error.is::<Undelivered>() {
        return ExitCode::from(6);
    }
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::Unreachable { .. } | ClientError::Broken(_)) => ExitCode::from(3),
        Some(ClientError::Refused(_) | ClientError::Closing(_)) => ExitCode::from(4),
        Some(ClientError::NotTheBox(_)) => ExitCode::from(5),
        Some(ClientError::Protocol(_)) | None => ExitCode::FAILURE,
    }
}
