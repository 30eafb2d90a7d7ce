//! A partition of a card as a stream of its own, so that FAT code can't reach beyond it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use crate::layout::Extent;

#[derive(Debug)]
pub struct Window<'a> {
    file: &'a File,
    extent: Extent,
    position: u64,
}

impl<'a> Window<'a> {
    pub fn new(file: &'a File, extent: Extent) -> Self {
        Self { file, extent, position: 0 }
    }

    /// How many of `wanted` bytes lie inside from here on.
    fn inside(&self, wanted: usize) -> usize {
        let left = self.extent.bytes.saturating_sub(self.position);
        wanted.min(usize::try_from(left).unwrap_or(usize::MAX))
    }
}

impl Read for Window<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.inside(buffer.len());
        let read = self.file.read_at(&mut buffer[..bytes], self.extent.start + self.position)?;
        self.position += read as u64;
        Ok(read)
    }
}

impl Write for Window<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let bytes = self.inside(buffer.len());
        let written = self.file.write_at(&buffer[..bytes], self.extent.start + self.position)?;
        self.position += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Window<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(offset) => i128::from(offset),
            SeekFrom::End(offset) => i128::from(self.extent.bytes) + i128::from(offset),
            SeekFrom::Current(offset) => i128::from(self.position) + i128::from(offset),
        };
        let outside = || io::Error::new(io::ErrorKind::InvalidInput, "seek before the partition");
        self.position = u64::try_from(target).map_err(|_| outside())?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_the_extent_is_read_or_written() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(b"aaaabbbbcccc", 0).unwrap();
        let mut window = Window::new(&file, Extent { start: 4, bytes: 4 });
        let mut text = String::new();
        window.read_to_string(&mut text).unwrap();
        assert_eq!(text, "bbbb");
        window.seek(SeekFrom::End(-2)).unwrap();
        assert_eq!(window.write(b"XXXX").unwrap(), 2);
        let mut all = [0; 12];
        file.read_exact_at(&mut all, 0).unwrap();
        assert_eq!(&all, b"aaaabbXXcccc");
    }
}
