//! Errors of file work.

/// Why files could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The thread could not start.
    #[error("the file thread can't start ({0}): io_uring must be allowed for this user")]
    Start(std::io::Error),
    /// The thread has too much to do.
    #[error("another backup is running, or too many reads wait: try again in a moment")]
    Busy,
    /// The thread is gone.
    #[error("the box is shutting down")]
    Stopped,
    /// The file system said no.
    #[error("{doing}: {error}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        error: std::io::Error,
    },
    /// The log said no.
    #[error(transparent)]
    Log(#[from] log::LogError),
    /// The file is not a backup of Linnet.
    #[error("this is not a Linnet backup file")]
    NotABackup,
    /// A backup of another release.
    #[error("the backup has format {found}, this release reads {known}: use a newer linnetd")]
    Version {
        /// What the file says.
        found: u16,
        /// What this release knows.
        known: u16,
    },
    /// The backup ends too early.
    #[error("the backup is cut short: copy or download it again")]
    Truncated,
    /// The backup is not what was written.
    #[error("the backup is damaged ({0}): copy or download it again")]
    Damaged(&'static str),
}
