//! Reads a backup file. Nothing in it is trusted: `verify` goes through the whole file and its
//! hash first, so that a restore never begins with a file that can't be finished.

use std::io::{self, Read};

use log::{DamagedRange, Item, Position, Record, Stored};
use wire::ids::{BoxId, Epoch};

use crate::error::FilesError;
use crate::export::{
    ExportHeader, HEADER_BYTES, MAGIC, RECORD_BYTES, TAG_DAMAGED, TAG_END, TAG_RECORD, VERSION,
};

/// What a whole, undamaged backup holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Its header.
    pub header: ExportHeader,
    /// Readable records.
    pub records: u64,
    /// Records that were already unreadable when it was made.
    pub damaged: u64,
}

/// Reads frames one after another.
pub struct Import<R> {
    source: R,
    hasher: blake3::Hasher,
    header: ExportHeader,
    next_offset: u64,
    records: u64,
    ended: bool,
}

/// Reads a backup to its end and checks it.
///
/// # Errors
/// When it is not a whole and undamaged backup.
pub fn verify(source: impl Read) -> Result<Summary, FilesError> {
    let mut import = Import::begin(source)?;
    let header = *import.header();
    let (mut records, mut damaged) = (0, 0);
    while let Some(item) = import.next_item()? {
        match item {
            Item::Record(_) => records += 1,
            Item::Damaged(range) => damaged += range.records(),
        }
    }
    Ok(Summary { header, records, damaged })
}

impl<R: Read> Import<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// When it is not the header of a backup that this release reads.
    pub fn begin(source: R) -> Result<Self, FilesError> {
        let empty = ExportHeader {
            box_id: BoxId([0; 16]),
            epoch: Epoch([0; 16]),
            time_ms: 0,
            last_offset: 0,
        };
        let mut import = Self {
            source,
            hasher: blake3::Hasher::new(),
            header: empty,
            next_offset: 1,
            records: 0,
            ended: false,
        };
        let bytes: [u8; HEADER_BYTES] = import.array().map_err(|error| match error {
            FilesError::Truncated => FilesError::NotABackup,
            other => other,
        })?;
        import.header = decode_header(&bytes)?;
        Ok(import)
    }

    /// What stands at the front.
    pub const fn header(&self) -> &ExportHeader {
        &self.header
    }

    /// The next record or damaged range; none after a proper end.
    ///
    /// # Errors
    /// When the file is cut or was changed.
    pub fn next_item(&mut self) -> Result<Option<Item>, FilesError> {
        if self.ended {
            return Ok(None);
        }
        let [tag] = self.array()?;
        let item = match tag {
            TAG_RECORD => Item::Record(self.record()?),
            TAG_DAMAGED => Item::Damaged(self.damaged()?),
            TAG_END => {
                self.end()?;
                return Ok(None);
            }
            _ => return Err(FilesError::Damaged("an unknown frame")),
        };
        Ok(Some(item))
    }

    fn record(&mut self) -> Result<Stored, FilesError> {
        let fields: [u8; RECORD_BYTES - 1] = self.array()?;
        let length = u32_at(&fields, 0) as usize;
        if length > log::limits::PAYLOAD_BYTES_MAX {
            return Err(FilesError::Damaged("a record is too long"));
        }
        let offset = u64_at(&fields, 4);
        self.follows(offset, offset)?;
        let mut payload = vec![0; length];
        self.fill(&mut payload)?;
        self.records += 1;
        let record = Record {
            kind: u16::from_le_bytes([fields[12], fields[13]]),
            time_ms: u64_at(&fields, 14),
            actor: u32_at(&fields, 22),
            device: u32_at(&fields, 26),
            counter: u64_at(&fields, 30),
            payload,
        };
        // Positions are the new log's business.
        let position = Position { segment: 0, byte: 0, index: 0 };
        Ok(Stored { offset, position, record })
    }

    fn damaged(&mut self) -> Result<DamagedRange, FilesError> {
        let fields: [u8; 16] = self.array()?;
        let (first, last) = (u64_at(&fields, 0), u64_at(&fields, 8));
        self.follows(first, last)?;
        Ok(DamagedRange { segment: 0, first, last })
    }

    fn follows(&mut self, first: u64, last: u64) -> Result<(), FilesError> {
        let fits = first == self.next_offset && first <= last && last <= self.header.last_offset;
        if !fits {
            return Err(FilesError::Damaged("records are missing or out of order"));
        }
        self.next_offset = last + 1;
        Ok(())
    }

    fn end(&mut self) -> Result<(), FilesError> {
        let records = u64::from_le_bytes(self.array()?);
        let expected = *self.hasher.finalize().as_bytes();
        let hash: [u8; 32] = self.array()?;
        if hash != expected {
            return Err(FilesError::Damaged("its checksum is wrong"));
        }
        if records != self.records || self.next_offset != self.header.last_offset + 1 {
            return Err(FilesError::Damaged("records are missing"));
        }
        let rest = self.source.read(&mut [0]).map_err(read_error)?;
        if rest != 0 {
            return Err(FilesError::Damaged("something follows its end"));
        }
        self.ended = true;
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FilesError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), FilesError> {
        self.source.read_exact(bytes).map_err(read_error)?;
        self.hasher.update(bytes);
        Ok(())
    }
}

fn decode_header(bytes: &[u8; HEADER_BYTES]) -> Result<ExportHeader, FilesError> {
    if bytes[..8] != MAGIC {
        return Err(FilesError::NotABackup);
    }
    let found = u16::from_le_bytes([bytes[8], bytes[9]]);
    if found != VERSION {
        return Err(FilesError::Version { found, known: VERSION });
    }
    if bytes[10..16] != [0; 6] {
        return Err(FilesError::Damaged("its header has unknown fields"));
    }
    Ok(ExportHeader {
        box_id: BoxId(array_at(bytes, 16)),
        epoch: Epoch(array_at(bytes, 32)),
        time_ms: u64_at(bytes, 48),
        last_offset: u64_at(bytes, 56),
    })
}

fn read_error(error: io::Error) -> FilesError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => FilesError::Truncated,
        _ => FilesError::Io { doing: "reading the backup", error },
    }
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("the slice has the array's length")
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}
