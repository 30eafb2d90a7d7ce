//! Errors of the index. Losing the index loses no data, so every message says how it comes back.

use wire::ids::Offset;

/// errno(3): a worn block of the card. Starting again does not cure it, a new file does.
const EIO: i32 = 5;

/// Why a call on the index failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The card has no room for a checkpoint; it is tried again later.
    #[error("the card is full: the index waits until space returns")]
    Full,
    /// The file can't be used. It is moved aside and rebuilt from the log.
    #[error("the index file is damaged ({0}); it is rebuilt from the log")]
    Corrupt(String),
    /// The file was written by another release.
    #[error("the index has format {found}, this release reads {known}; it is rebuilt from the log")]
    Format {
        /// What the file says.
        found: u64,
        /// What this release knows.
        known: u64,
    },
    /// The index knows records that the log does not have: the log was cut or replaced.
    #[error(
        "the index holds records up to {applied} but the log ends at {head}: \
         the log lost records that were on the card; salvage it or restore a backup"
    )]
    AheadOfLog {
        /// What the index holds.
        applied: Offset,
        /// Where the log ends.
        head: Offset,
    },
    /// Another process has the file open.
    #[error("the index is open in another process: stop the other linnetd first")]
    InUse,
    /// A checkpoint without the place of one of its messages: the caller's mistake.
    #[error("no log position is known for record {0}")]
    NoPosition(Offset),
    /// The file is being opened again after an error.
    #[error("the index is closed after an error: try again in a moment")]
    Closed,
    /// A file operation failed.
    #[error("{doing}: {error}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        error: std::io::Error,
    },
}

/// Sorts redb's errors into ours: a full card passes, everything else means the file is no good.
pub(crate) fn from_redb(error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        redb::Error::Io(error) if is_full(&error) => StoreError::Full,
        redb::Error::Io(error) if error.raw_os_error() == Some(EIO) => {
            StoreError::Corrupt(format!("the card can't read or write it: {error}"))
        }
        redb::Error::Io(error) => StoreError::Io { doing: "using the index file", error },
        redb::Error::DatabaseAlreadyOpen => StoreError::InUse,
        other => StoreError::Corrupt(other.to_string()),
    }
}

pub(crate) fn is_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};

    use super::*;

    #[test]
    fn a_block_that_the_card_cannot_read_is_damage_and_other_failures_are_not() {
        let worn = from_redb(redb::Error::Io(Error::from_raw_os_error(EIO)));
        assert!(matches!(worn, StoreError::Corrupt(_)), "{worn}");
        let full = from_redb(redb::Error::Io(ErrorKind::StorageFull.into()));
        assert!(matches!(full, StoreError::Full));
        let refused = from_redb(redb::Error::Io(ErrorKind::PermissionDenied.into()));
        assert!(matches!(refused, StoreError::Io { .. }));
    }
}
