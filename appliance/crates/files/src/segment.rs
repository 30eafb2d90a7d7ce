//! Reads batches of one segment file through io_uring. Every operation is awaited to its end.

use std::path::Path;

use log::SegmentName;
use log::format::{self, FIXED_BYTES, Header, Identity};
use tokio_uring::fs::File;

use crate::error::FilesError;
use crate::limits::{CHUNK_BYTES, WINDOW_BYTES};

/// An open segment.
pub(crate) struct Segment {
    file: File,
    identity: Identity,
}

/// A batch whose header is right, with as much of it as was read along.
pub(crate) struct Batch {
    pub(crate) at: u64,
    pub(crate) header: Header,
    /// The first bytes of the batch.
    read: Vec<u8>,
}

impl Segment {
    pub(crate) async fn open(folder: &Path, name: SegmentName) -> Result<Self, FilesError> {
        let opened = File::open(folder.join(name.file())).await;
        let file = opened.map_err(|error| FilesError::Io { doing: "opening a segment", error })?;
        Ok(Self { file, identity: Identity { log_id: name.log_id, segment: name.id } })
    }

    /// The batch that starts at `at`; none when there is no valid header.
    pub(crate) async fn batch(&self, at: u64, window: usize) -> Result<Option<Batch>, FilesError> {
        let mut read = self.read(at, window.max(WINDOW_BYTES)).await?;
        let Some(fixed) = read.get(..FIXED_BYTES) else { return Ok(None) };
        let Some(header_bytes) = format::peek(fixed, &self.identity) else { return Ok(None) };
        if header_bytes > read.len() {
            read = self.read(at, header_bytes).await?;
        }
        let header = read.get(..header_bytes);
        let header = header.and_then(|bytes| format::decode(bytes, &self.identity));
        Ok(header.map(|header| Batch { at, header, read }))
    }

    /// The payload of a batch's record; none when it is not what was logged.
    pub(crate) async fn payload(
        &self,
        batch: &Batch,
        index: usize,
    ) -> Result<Option<Vec<u8>>, FilesError> {
        let entry = &batch.header.entries[index];
        let start = batch.header.payload_at(index);
        let bytes = match batch.read.get(start..start + entry.payload_bytes) {
            Some(bytes) => bytes.to_vec(),
            None => self.read(batch.at + start as u64, entry.payload_bytes).await?,
        };
        Ok(entry.matches(&bytes).then_some(bytes))
    }

    /// `bytes` from `at`, fewer at the end of the file.
    async fn read(&self, at: u64, bytes: usize) -> Result<Vec<u8>, FilesError> {
        let mut all = Vec::with_capacity(bytes);
        while all.len() < bytes {
            let piece = Vec::with_capacity((bytes - all.len()).min(CHUNK_BYTES));
            let (result, piece) = self.file.read_at(piece, at + all.len() as u64).await;
            let count =
                result.map_err(|error| FilesError::Io { doing: "reading a segment", error })?;
            if count == 0 {
                break;
            }
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }

    pub(crate) async fn close(self) {
        if let Err(error) = self.file.close().await {
            tracing::warn!(%error, "closing a segment that was only read");
        }
    }
}

/// Segments that stay open between requests, the longest unused one first.
#[derive(Default)]
pub(crate) struct OpenSegments(Vec<(u32, std::rc::Rc<Segment>)>);

impl OpenSegments {
    /// The segment if it is open; it counts as used.
    pub(crate) fn get(&mut self, id: u32) -> Option<std::rc::Rc<Segment>> {
        let index = self.0.iter().position(|(known, _)| *known == id)?;
        let entry = self.0.remove(index);
        self.0.push(entry);
        self.0.last().map(|(_, segment)| segment.clone())
    }

    /// Keeps a segment; gives back the one that must make room.
    pub(crate) fn keep(
        &mut self,
        id: u32,
        segment: std::rc::Rc<Segment>,
    ) -> Option<std::rc::Rc<Segment>> {
        self.0.push((id, segment));
        (self.0.len() > crate::limits::OPEN_SEGMENTS_MAX).then(|| self.0.remove(0).1)
    }
}
