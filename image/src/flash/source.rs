//! An image as a stream of its unpacked bytes, whatever it is packed with. Its length comes from
//! its own partition table, so nothing that unpacks to more or less is taken.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, bail};
use liblzma::read::XzDecoder;
use liblzma::stream::Stream;

use crate::manifest::Manifest;
use crate::mbr::{self, SECTOR};

/// Images are packed with this window; a larger one is not ours and would cost memory.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
/// What the xz decoder may use, in bytes: our dictionary of up to 256 MiB and its tables.
const XZ_MEMORY_MAX: u64 = 300 << 20;

const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const XZ_MAGIC: [u8; 6] = [0xfd, b'7', b'z', b'X', b'Z', 0];

/// Yields exactly [`Source::image_bytes`] bytes, or an error.
pub(super) struct Source {
    stream: Box<dyn Read>,
    /// The first sector was read to learn the length; it comes again.
    first: io::Cursor<[u8; SECTOR]>,
    left: u64,
    image_bytes: u64,
}

impl Source {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let context = || format!("the image {}", path.display());
        let mut file = BufReader::new(File::open(path).with_context(context)?);
        let stream: Box<dyn Read> = match file.fill_buf().with_context(context)? {
            start if start.starts_with(&ZSTD_MAGIC) => {
                let mut decoder = zstd::Decoder::with_buffer(file)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Box::new(decoder)
            }
            start if start.starts_with(&XZ_MAGIC) => {
                let decoder = Stream::new_stream_decoder(XZ_MEMORY_MAX, 0)?;
                Box::new(XzDecoder::new_stream(file, decoder))
            }
            _ => Box::new(file),
        };
        Self::of(stream).with_context(context)
    }

    fn of(mut stream: Box<dyn Read>) -> Result<Self> {
        let mut first = [0; SECTOR];
        stream.read_exact(&mut first).context("it is too short or damaged")?;
        let Some(image_bytes) = image_bytes(&first)? else {
            bail!("this is not a Linnet image: its partition table is none of ours");
        };
        Ok(Self { stream, first: io::Cursor::new(first), left: image_bytes, image_bytes })
    }

    /// Length of the unpacked image; a card needs as much.
    pub(super) fn image_bytes(&self) -> u64 {
        self.image_bytes
    }

    /// After the last byte the stream must end, checksums of its packing included.
    fn check_end(&mut self) -> io::Result<usize> {
        match self.stream.read(&mut [0])? {
            0 => Ok(0),
            _ => Err(damaged("it goes on behind its last partition")),
        }
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return self.check_end();
        }
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let bytes = match self.first.read(&mut buffer[..most])? {
            0 => self.stream.read(&mut buffer[..most])?,
            bytes => bytes,
        };
        if bytes == 0 && most > 0 {
            return Err(damaged("it ends too early"));
        }
        self.left -= bytes as u64;
        Ok(bytes)
    }
}

fn damaged(how: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the image is damaged: {how}; get it again"))
}

/// Where the last partition ends, if this is the first sector of one of our images.
fn image_bytes(first: &[u8; SECTOR]) -> Result<Option<u64>> {
    if mbr::disk_id(first) != Manifest::load()?.card.disk_id {
        return Ok(None);
    }
    let parts = mbr::primary(first).unwrap_or_default();
    let ours = parts.len() == 4 && parts[0].kind == mbr::FAT16_LBA;
    Ok(parts.last().filter(|_| ours).map(|last| last.extent.end()))
}
