//! The data folder: what lies where, and that only one process uses it.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::format;

/// Only linnetd's own user reads any of it.
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// An opened data folder; the lock lasts as long as this value.
#[derive(Debug)]
pub(crate) struct DataFolder {
    root: PathBuf,
    _lock: File,
}

impl DataFolder {
    /// Makes the folder when missing and locks it.
    pub(crate) fn open(root: &Path) -> anyhow::Result<Self> {
        make_folder(root)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(FILE_MODE)
            .open(root.join("lock"))
            .with_context(|| format!("can't write to {}", root.display()))?;
        if lock.try_lock().is_err() {
            bail!("{} is in use by another linnetd: stop that one first", root.display());
        }
        format::check(root)?;
        make_folder(&root.join("log"))?;
        Ok(Self { root: root.to_owned(), _lock: lock })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.root.join("index.redb")
    }

    pub(crate) fn claim(&self) -> PathBuf {
        self.root.join("claim")
    }

    /// True when there is no log yet.
    pub(crate) fn is_fresh(&self) -> anyhow::Result<bool> {
        let mut files = fs::read_dir(self.log()).context("can't list the log's folder")?;
        Ok(files.next().is_none() && !self.index().exists())
    }

    /// Replaces a small file: after a crash the old or the new one is there.
    pub(crate) fn write(path: &Path, text: &str) -> anyhow::Result<()> {
        let unfinished = path.with_extension("new");
        let written = (|| {
            let mut file = OpenOptions::new()
                .create(true)
                .truncate(true)
                .write(true)
                .mode(FILE_MODE)
                .open(&unfinished)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&unfinished, path)
        })();
        written.with_context(|| format!("can't write {}", path.display()))
    }
}

/// Makes a folder that only this user reads.
pub(crate) fn make_folder(folder: &Path) -> anyhow::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(FOLDER_MODE)
        .create(folder)
        .with_context(|| format!("can't make {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_process_is_refused_and_the_lock_ends_with_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let first = DataFolder::open(folder.path()).unwrap();
        assert!(first.is_fresh().unwrap());
        assert!(DataFolder::open(folder.path()).unwrap_err().to_string().contains("in use"));
        drop(first);
        assert!(DataFolder::open(folder.path()).is_ok());
    }
}
