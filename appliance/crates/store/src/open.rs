//! Opening the index file. A file that is missing, damaged, of another format or that crashed the
//! last start is moved aside with a stated reason; the caller then replays the whole log.

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use redb::{Builder, Database};

use crate::error::{StoreError, from_redb, is_full};
use crate::limits::{ASIDE_FILES_MAX, CACHE_BYTES_MIN, FORMAT_VERSION, VERIFY_BYTES_MAX};
use crate::tables;

/// Mode of the file.
const OWNER_ONLY: u32 = 0o600;

/// What became of the file at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// The file was good.
    Kept,
    /// There was none: a first start, or somebody removed it.
    New,
    /// There was one that could not be used.
    Replaced {
        /// Why, as a sentence part.
        reason: String,
        /// Where the old file is now.
        aside: PathBuf,
    },
}

/// Opens the file at `path`, replacing it when it can't be used.
pub(crate) fn open_file(path: &Path, cache_bytes: usize) -> Result<(Database, Opened), StoreError> {
    let marker = marker_of(path);
    if !path.exists() {
        remove(&marker)?;
        return Ok((create(path, cache_bytes)?, Opened::New));
    }
    if marker.exists() {
        return replace(path, cache_bytes, "it crashed the last start".into());
    }
    // redb may panic on a file that was altered behind its back: the marker tells the next start.
    fs::write(&marker, b"").map_err(|error| io_error("marking the index file", error))?;
    match existing(path, cache_bytes) {
        Ok(database) => {
            remove(&marker)?;
            Ok((database, Opened::Kept))
        }
        Err(error @ (StoreError::Corrupt(_) | StoreError::Format { .. })) => {
            replace(path, cache_bytes, reason_of(&error))
        }
        Err(error) => {
            remove(&marker)?;
            Err(error)
        }
    }
}

/// Opens on any backend, without a second try: for tests.
pub(crate) fn open_backend(
    backend: impl redb::StorageBackend,
    cache_bytes: usize,
) -> Result<Database, StoreError> {
    let database = builder(cache_bytes).create_with_backend(backend).map_err(from_redb)?;
    tables::prepare(&database, FORMAT_VERSION)?;
    Ok(database)
}

fn builder(cache_bytes: usize) -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(cache_bytes.max(CACHE_BYTES_MIN));
    builder
}

/// For its owner alone, whatever the folder allows: it holds password hashes.
fn create(path: &Path, cache_bytes: usize) -> Result<Database, StoreError> {
    let mut options = fs::OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(OWNER_ONLY);
    options.open(path).map_err(|error| io_error("making the index file", error))?;
    let database = builder(cache_bytes).create(path).map_err(from_redb)?;
    tables::prepare(&database, FORMAT_VERSION)?;
    Ok(database)
}

pub(crate) fn existing(path: &Path, cache_bytes: usize) -> Result<Database, StoreError> {
    let bytes = fs::metadata(path).map_err(|error| io_error("looking at the index file", error))?;
    let mut builder = builder(cache_bytes);
    builder.set_check_integrity_on_open(bytes.len() <= VERIFY_BYTES_MAX);
    let opened = builder.open(path);
    let database = opened.map_err(|error| as_damage(from_redb(error)))?;
    tables::prepare(&database, FORMAT_VERSION)?;
    Ok(database)
}

/// redb reports a file that is too short or not its own as invalid data.
fn as_damage(error: StoreError) -> StoreError {
    match error {
        StoreError::Io { error, .. }
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
            ) =>
        {
            StoreError::Corrupt(error.to_string())
        }
        other => other,
    }
}

fn reason_of(error: &StoreError) -> String {
    match error {
        StoreError::Corrupt(reason) => format!("it is damaged: {reason}"),
        StoreError::Format { found, known } => {
            format!("it has format {found}, this release reads {known}")
        }
        other => other.to_string(),
    }
}

/// Moves the file aside and begins an empty one.
pub(crate) fn replace(
    path: &Path,
    cache_bytes: usize,
    reason: String,
) -> Result<(Database, Opened), StoreError> {
    let aside = free_name(path);
    fs::rename(path, &aside).map_err(|error| io_error("moving the index file aside", error))?;
    remove(&marker_of(path))?;
    Ok((create(path, cache_bytes)?, Opened::Replaced { reason, aside }))
}

/// The first free name among the few that are kept; the last one is overwritten for ever.
fn free_name(path: &Path) -> PathBuf {
    let named = |number: usize| path.with_extension(format!("broken-{number}"));
    (1..ASIDE_FILES_MAX)
        .map(named)
        .find(|name| !name.exists())
        .unwrap_or_else(|| named(ASIDE_FILES_MAX))
}

fn marker_of(path: &Path) -> PathBuf {
    path.with_extension("opening")
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_error("removing a file beside the index", error))
        }
        _ => Ok(()),
    }
}

pub(crate) fn io_error(doing: &'static str, error: io::Error) -> StoreError {
    if is_full(&error) { StoreError::Full } else { StoreError::Io { doing, error } }
}
