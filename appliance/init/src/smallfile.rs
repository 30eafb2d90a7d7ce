//! Small files of /proc, /sys, /etc and /data: read with a bound, replaced so that a power cut
//! leaves the old content or the new one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::limits::SMALL_FILE_BYTES_MAX;

/// The file's bytes; longer files are an error, not a prefix.
pub(crate) fn read_bytes(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::other(format!("{} is too long", path.display())));
    }
    Ok(bytes)
}

/// The file's text without white space at its ends, if it can be read.
pub(crate) fn read_text(path: impl AsRef<Path>) -> Option<String> {
    let bytes = read_bytes(path.as_ref(), SMALL_FILE_BYTES_MAX).ok()?;
    String::from_utf8(bytes).ok().map(|text| text.trim().to_owned())
}

/// Replaces the file by way of a neighbour, synced before the rename.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    replace_with_mode(path, content, 0o644)
}

/// The same for what nobody but root may read.
pub(crate) fn replace_private(path: &Path, content: &[u8]) -> io::Result<()> {
    replace_with_mode(path, content, 0o600)
}

fn replace_with_mode(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let new = path.with_extension("new");
    // A leftover of a cut might have another mode.
    let _ = fs::remove_file(&new);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaced_file_holds_the_new_content_and_no_neighbour_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clock");
        replace(&path, b"1\n").unwrap();
        replace(&path, b"2\n").unwrap();
        assert_eq!(read_text(&path).as_deref(), Some("2"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(read_bytes(&path, 1).is_err());
    }
}
