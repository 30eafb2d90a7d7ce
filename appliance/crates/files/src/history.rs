//! History: records at known positions of the log. What can't be read is counted, never guessed.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

use log::{LogReader, Position, RealDisk, Stored};

use crate::error::FilesError;
use crate::limits::WINDOW_BYTES;
use crate::segment::{Batch, OpenSegments, Segment};

/// A record and where it ought to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its offset: another record at the position is damage of the index.
    pub offset: u64,
    /// Where it lies.
    pub position: Position,
}

/// What a history request gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryRead {
    /// The readable records, in the order they were asked for.
    pub records: Vec<Stored>,
    /// How many of them could not be read.
    pub damaged: u32,
}

/// What history reads share.
pub(crate) struct Library {
    pub(crate) folder: Box<Path>,
    pub(crate) reader: LogReader<RealDisk>,
    pub(crate) open: RefCell<OpenSegments>,
}

impl Library {
    /// Reads the records one after another; batches that hold several of them are read once.
    pub(crate) async fn read(&self, wanted: &[Wanted]) -> HistoryRead {
        let mut found = HistoryRead::default();
        let mut last: Option<(u32, Batch)> = None;
        for want in wanted {
            match self.record(want, &mut last).await {
                Ok(Some(stored)) => found.records.push(stored),
                Ok(None) => found.damaged += 1,
                Err(error) => {
                    tracing::warn!(offset = want.offset, %error, "a message can't be read");
                    found.damaged += 1;
                }
            }
        }
        found
    }

    async fn record(
        &self,
        want: &Wanted,
        last: &mut Option<(u32, Batch)>,
    ) -> Result<Option<Stored>, FilesError> {
        let Position { segment, byte, index } = want.position;
        let (at, index) = (u64::from(byte), usize::from(index));
        let file = self.segment(segment).await?;
        if !last.as_ref().is_some_and(|(id, batch)| *id == segment && batch.at == at) {
            *last = file.batch(at, WINDOW_BYTES).await?.map(|batch| (segment, batch));
        }
        let Some((_, batch)) = last else { return Ok(None) };
        let right = batch.header.first_offset + index as u64 == want.offset;
        if !right || index >= batch.header.entries.len() {
            return Ok(None);
        }
        let payload = file.payload(batch, index).await?;
        Ok(payload.map(|payload| Stored {
            offset: want.offset,
            position: want.position,
            record: batch.header.entries[index].with_payload(payload),
        }))
    }

    async fn segment(&self, id: u32) -> Result<Rc<Segment>, FilesError> {
        if let Some(segment) = self.open.borrow_mut().get(id) {
            return Ok(segment);
        }
        let name = self.reader.segment_names().into_iter().find(|name| name.id == id);
        let name = name.ok_or(FilesError::Damaged("it names a segment that is not there"))?;
        let segment = Rc::new(Segment::open(&self.folder, name).await?);
        let evicted = self.open.borrow_mut().keep(id, segment.clone());
        if let Some(evicted) = evicted.and_then(Rc::into_inner) {
            evicted.close().await;
        }
        Ok(segment)
    }
}
