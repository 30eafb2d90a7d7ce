//! Streams a backup: everything durable when it began, batch by batch through io_uring. Where a
//! segment is not as it should be, the log's own damage-tolerant iteration takes over for the rest
//! of that segment.

use bytes::Bytes;
use log::{DamagedRange, Item, Position, SegmentName, Stored};
use tokio::sync::mpsc;

use crate::error::FilesError;
use crate::export::{ExportHeader, Writer};
use crate::history::Library;
use crate::limits::CHUNK_BYTES;
use crate::segment::{Batch, Segment};

/// Where the chunks go; dropped without the end frame when the downloader left.
pub type Chunks = mpsc::Sender<Result<Bytes, FilesError>>;

/// A backup under way.
pub(crate) struct Backup<'a> {
    library: &'a Library,
    writer: Writer,
    chunks: Chunks,
    next: u64,
    last: u64,
}

enum Stop {
    /// The downloader went away.
    Gone,
    Failed(FilesError),
}

impl From<FilesError> for Stop {
    fn from(error: FilesError) -> Self {
        Self::Failed(error)
    }
}

impl<'a> Backup<'a> {
    pub(crate) fn new(library: &'a Library, header: &ExportHeader, chunks: Chunks) -> Self {
        let writer = Writer::new(header);
        Self { library, writer, chunks, next: 1, last: header.last_offset }
    }

    /// Sends the whole file; an error becomes the last chunk.
    pub(crate) async fn run(mut self) {
        match self.all().await {
            Ok(()) => {
                let chunks = self.chunks;
                // A downloader that left needs no end.
                let _ = chunks.send(Ok(self.writer.finish().into())).await;
            }
            Err(Stop::Gone) => tracing::info!("the backup was not taken to its end"),
            Err(Stop::Failed(error)) => {
                tracing::error!(%error, "the backup broke off");
                let _ = self.chunks.send(Err(error)).await;
            }
        }
    }

    async fn all(&mut self) -> Result<(), Stop> {
        let names = self.library.reader.segment_names();
        self.skip_to(names.first().map_or(1, |name| name.first_offset)).await?;
        for (index, name) in names.iter().enumerate() {
            if self.next > self.last {
                break;
            }
            let end = names.get(index + 1).map_or(self.last, |next| next.first_offset - 1);
            self.segment(*name, end.min(self.last)).await?;
        }
        self.skip_to(self.last + 1).await
    }

    /// What the log does not hold at all is missing from the backup as well, and says so.
    async fn skip_to(&mut self, offset: u64) -> Result<(), Stop> {
        if self.next < offset {
            let range = DamagedRange { segment: 0, first: self.next, last: offset - 1 };
            self.put(Item::Damaged(range)).await?;
        }
        Ok(())
    }

    async fn segment(&mut self, name: SegmentName, end: u64) -> Result<(), Stop> {
        let file = Segment::open(&self.library.folder, name).await?;
        let mut at = 0;
        while self.next <= end {
            let batch = file.batch(at, CHUNK_BYTES).await?;
            let Some(batch) = batch.filter(|batch| batch.header.first_offset == self.next) else {
                break;
            };
            at += batch.header.total_bytes() as u64;
            self.batch(&file, name.id, &batch, end).await?;
        }
        file.close().await;
        self.slowly(end).await
    }

    async fn batch(
        &mut self,
        file: &Segment,
        segment: u32,
        batch: &Batch,
        end: u64,
    ) -> Result<(), Stop> {
        let byte = u32::try_from(batch.at).expect("segments are below 4 GiB");
        for (index, entry) in batch.header.entries.iter().enumerate() {
            let offset = batch.header.first_offset + index as u64;
            if offset > end {
                break;
            }
            let item = match file.payload(batch, index).await? {
                None => Item::Damaged(DamagedRange { segment, first: offset, last: offset }),
                Some(payload) => Item::Record(Stored {
                    offset,
                    position: Position {
                        segment,
                        byte,
                        index: u16::try_from(index).expect("batches hold 1,024 records at most"),
                    },
                    record: entry.with_payload(payload),
                }),
            };
            self.put(item).await?;
        }
        Ok(())
    }

    /// The rest of a segment that is not as it should be.
    async fn slowly(&mut self, end: u64) -> Result<(), Stop> {
        let mut iterator = self.library.reader.iter_from(self.next);
        while self.next <= end {
            match iterator.next() {
                Some(Ok(item)) => self.put(item).await?,
                Some(Err(error)) => return Err(Stop::Failed(error.into())),
                None => break,
            }
        }
        Ok(())
    }

    async fn put(&mut self, item: Item) -> Result<(), Stop> {
        match item {
            Item::Record(stored) => {
                self.next = stored.offset + 1;
                self.writer.record(&stored);
            }
            Item::Damaged(mut range) => {
                range.last = range.last.min(self.last);
                self.next = range.last + 1;
                self.writer.damaged(range);
            }
        }
        if self.writer.waiting() >= CHUNK_BYTES {
            let chunk = Bytes::from(self.writer.take());
            self.chunks.send(Ok(chunk)).await.map_err(|_| Stop::Gone)?;
        }
        Ok(())
    }
}
