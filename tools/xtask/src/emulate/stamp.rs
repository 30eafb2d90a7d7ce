//! Fingerprints of a step's input, so that a step whose input did not change is skipped.

use std::fs;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// Collects what a step depends on.
#[derive(Default)]
pub(crate) struct Stamp(Sha256);

impl Stamp {
    pub(crate) fn text(&mut self, text: &str) {
        self.0.update((text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
    }

    pub(crate) fn file(&mut self, path: &Path) -> Result<()> {
        let mut file = fs::File::open(path).with_context(|| path.display().to_string())?;
        self.0.update(file.metadata()?.len().to_le_bytes());
        let mut buffer = vec![0; 1 << 16];
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                return Ok(());
            }
            self.0.update(&buffer[..read]);
        }
    }

    /// Every file below `folder` with its name, except folders of these names.
    pub(crate) fn folder(&mut self, folder: &Path, except: &[&str]) -> Result<()> {
        let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
        let mut entries: Vec<_> = entries.collect::<std::io::Result<_>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = entry.file_type()?;
            if kind.is_dir() && !except.contains(&name.as_str()) {
                self.text(&name);
                self.folder(&entry.path(), except)?;
            } else if kind.is_file() {
                self.text(&name);
                self.file(&entry.path())?;
            } else if kind.is_symlink() {
                self.text(&name);
                self.text(&fs::read_link(entry.path())?.to_string_lossy());
            }
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> String {
        update::hex::encode(&self.0.finalize())
    }
}

/// Whether `file` holds this fingerprint.
pub(crate) fn is(file: &Path, stamp: &str) -> bool {
    fs::read_to_string(file).is_ok_and(|text| text == stamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(folder: &Path) -> String {
        let mut stamp = Stamp::default();
        stamp.folder(folder, &["node_modules"]).unwrap();
        stamp.finish()
    }

    #[test]
    fn a_changed_or_renamed_file_changes_the_stamp_and_an_excepted_folder_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("a"), "1").unwrap();
        let first = of(folder.path());
        fs::create_dir(path("node_modules")).unwrap();
        fs::write(path("node_modules/x"), "x").unwrap();
        assert_eq!(of(folder.path()), first);
        fs::write(path("a"), "2").unwrap();
        let second = of(folder.path());
        assert_ne!(second, first);
        fs::rename(path("a"), path("b")).unwrap();
        assert_ne!(of(folder.path()), second);
    }
}
