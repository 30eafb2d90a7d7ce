//! The boot disk below every file system: sectors of the partition table and the slot area, read
//! and written past the page cache (O_DIRECT, O_SYNC), each write read back.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// One read or write: what cards like, and aligned as O_DIRECT wants it.
const BLOCK_BYTES: usize = 4096;

#[repr(C, align(4096))]
struct Block([u8; BLOCK_BYTES]);

/// An open disk.
#[derive(Debug)]
pub(crate) struct RawDisk {
    file: File,
}

impl RawDisk {
    /// Opens a whole disk for reading and writing.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = libc::O_DIRECT | libc::O_SYNC | libc::O_CLOEXEC;
        let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
        Ok(Self { file })
    }

    /// The file behind it, for ioctls.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Fills `bytes` from `offset`; both are multiples of 512.
    pub(crate) fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let mut block = Block([0; BLOCK_BYTES]);
        let mut at = offset;
        for part in bytes.chunks_mut(BLOCK_BYTES) {
            let block = &mut block.0[..part.len()];
            self.file.read_exact_at(block, at)?;
            part.copy_from_slice(block);
            at += part.len() as u64;
        }
        Ok(())
    }

    /// Writes `bytes` at `offset`, both multiples of 512, and reads them back from the card.
    pub(crate) fn write_verified(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut block = Block([0; BLOCK_BYTES]);
        let mut at = offset;
        for part in bytes.chunks(BLOCK_BYTES) {
            block.0[..part.len()].copy_from_slice(part);
            self.file.write_all_at(&block.0[..part.len()], at)?;
            at += part.len() as u64;
        }
        let mut stored = vec![0; bytes.len()];
        self.read(offset, &mut stored)?;
        if stored == bytes {
            return Ok(());
        }
        Err(io::Error::other("the card does not return what was written to it; replace the card"))
    }
}

#[cfg(test)]
impl From<File> for RawDisk {
    fn from(file: File) -> Self {
        Self { file }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_any_sector_count_are_written_and_read_back() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(64 * 1024).unwrap();
        let disk = RawDisk::from(file);
        let bytes: Vec<u8> = (0..4096 + 512).map(|i| i as u8).collect();
        disk.write_verified(1024, &bytes).unwrap();
        let mut read = vec![0; bytes.len()];
        disk.read(1024, &mut read).unwrap();
        assert_eq!(read, bytes);
        assert!(disk.read(64 * 1024 - 512, &mut read).is_err());
    }
}
