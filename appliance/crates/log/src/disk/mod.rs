//! The one door to the disk. Everything the log reads or writes goes through `Disk`, so that tests
//! can pull the plug at any point. A disk is one folder of named files.

mod fault;
mod real;
mod slow;

pub use fault::{FaultDisk, FaultStats};
pub use real::RealDisk;
pub use slow::{SlowDisk, SlowSpeed};

/// One folder. Clones share the folder. Every method may block.
pub trait Disk: Clone + Send + Sync + 'static {
    /// An open file.
    type File: Send + Sync + 'static;

    /// Names of all plain files, sorted.
    fn list(&self) -> Result<Vec<String>, DiskError>;
    /// Creates an empty file; `Exists` when the name is taken. Durable after `sync_dir`.
    fn create(&self, name: &str) -> Result<Self::File, DiskError>;
    /// Opens an existing file for reading and writing.
    fn open(&self, name: &str) -> Result<Self::File, DiskError>;
    /// Length in bytes.
    fn len(&self, file: &Self::File) -> Result<u64, DiskError>;
    /// Reads through the page cache. Fewer bytes than asked for only at the end of the file.
    fn pread(&self, file: &Self::File, at: u64, buf: &mut [u8]) -> Result<usize, DiskError>;
    /// As `pread`, but past the page cache: what the device says. See `reads_device`.
    fn pread_direct(&self, file: &Self::File, at: u64, buf: &mut [u8]) -> Result<usize, DiskError>;
    /// Writes all bytes into the page cache, growing the file when needed.
    fn pwrite(&self, file: &Self::File, at: u64, bytes: &[u8]) -> Result<(), DiskError>;
    /// fdatasync: the file's bytes are on the device when it returns. After an error the page cache
    /// may differ from the device and a second call may lie.
    fn sync_data(&self, file: &Self::File) -> Result<(), DiskError>;
    /// fsync of the folder: created, renamed and removed names are durable when it returns.
    fn sync_dir(&self) -> Result<(), DiskError>;
    /// Renames, replacing the target. Durable after `sync_dir`.
    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError>;
    /// Removes a name. Durable after `sync_dir`.
    fn remove(&self, name: &str) -> Result<(), DiskError>;
    /// Bytes that an unprivileged program can still allocate.
    fn free_bytes(&self) -> Result<u64, DiskError>;
    /// False when the file system refuses direct reads and `pread_direct` goes through the cache.
    fn reads_device(&self, file: &Self::File) -> bool;
}

/// Why the disk refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiskError {
    #[error("{0}: no such file")]
    NotFound(String),
    #[error("{0}: the name is taken")]
    Exists(String),
    #[error("{0:?}: not a valid file name")]
    BadName(String),
    #[error("no space left on the card")]
    NoSpace,
    /// A simulated process was killed; its handles are void.
    #[error("the process was stopped")]
    Stopped,
    #[error("{operation} on {name}: {reason}")]
    Io { operation: &'static str, name: String, reason: String },
}

/// Where a scan takes its bytes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadFrom {
    /// What the device holds. Needed after a failed fdatasync, right after any start.
    #[default]
    Device,
    /// The page cache: faster, right while no fdatasync has failed.
    Cache,
}

/// Reads through whichever way `from` says.
pub(crate) fn read_at<D: Disk>(
    disk: &D,
    file: &D::File,
    from: ReadFrom,
    at: u64,
    buf: &mut [u8],
) -> Result<usize, DiskError> {
    match from {
        ReadFrom::Device => disk.pread_direct(file, at, buf),
        ReadFrom::Cache => disk.pread(file, at, buf),
    }
}

/// Replaces a small file as a whole: after a crash either the old or the new content is there.
pub(crate) fn replace<D: Disk>(disk: &D, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
    let unfinished = format!("new-{name}");
    match disk.remove(&unfinished) {
        Ok(()) | Err(DiskError::NotFound(_)) => {}
        Err(error) => return Err(error),
    }
    let file = disk.create(&unfinished)?;
    disk.pwrite(&file, 0, bytes)?;
    disk.sync_data(&file)?;
    disk.rename(&unfinished, name)?;
    disk.sync_dir()
}
