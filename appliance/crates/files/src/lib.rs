//! File work that is allowed to wait: history reads and backups, on a thread of its own with
//! tokio-uring. Every operation is awaited to its end; there is no `select!` and nothing is
//! cancelled, because a dropped operation may still write into its buffer. The core and the web
//! thread ask through [`Files`]; `linnetd --restore` reads backups with [`import`].

#![forbid(unsafe_code)]

mod backup;
mod error;
mod export;
mod history;
pub mod import;
pub mod limits;
mod segment;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;

use log::{LogReader, RealDisk};
use tokio::sync::{Semaphore, mpsc};

pub use backup::Chunks;
pub use error::FilesError;
pub use export::{ExportHeader, VERSION};
pub use history::{HistoryRead, Wanted};

use history::Library;

/// Finds where the wanted records lie; called on the file thread, may read the index.
pub type Locate = Box<dyn FnOnce() -> Vec<Wanted> + Send>;

/// What to do with the records of a history request; called on the file thread, must not block.
pub type Deliver = Box<dyn FnOnce(HistoryRead) + Send>;

enum Request {
    History { locate: Locate, deliver: Deliver },
    Backup { header: ExportHeader, chunks: Chunks },
}

/// Asks the file thread. Cheap to clone; the thread ends when the last clone is dropped and what
/// was asked is done.
#[derive(Clone)]
pub struct Files {
    requests: mpsc::Sender<Request>,
}

impl Files {
    /// Starts the thread on the log's folder.
    ///
    /// # Errors
    /// When the system refuses threads or io_uring.
    pub fn start(
        folder: PathBuf,
        reader: LogReader<RealDisk>,
        stack_bytes: usize,
    ) -> Result<(Self, JoinHandle<()>), FilesError> {
        let (requests, inbox) = mpsc::channel(limits::REQUESTS_MAX);
        let (started, outcome) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("files".into())
            .stack_size(stack_bytes)
            .spawn(move || run(folder, reader, inbox, &started))
            .map_err(FilesError::Start)?;
        match outcome.recv() {
            Ok(Ok(())) => Ok((Self { requests }, thread)),
            Ok(Err(error)) => Err(FilesError::Start(error)),
            Err(_) => Err(FilesError::Stopped),
        }
    }

    /// Asks for records; those past [`limits::HISTORY_RECORDS_MAX`] are left out.
    ///
    /// # Errors
    /// `Busy` when too much waits already: `deliver` is dropped uncalled.
    pub fn history(&self, locate: Locate, deliver: Deliver) -> Result<(), FilesError> {
        self.ask(Request::History { locate, deliver })
    }

    /// Begins a backup; its chunks come through the receiver.
    ///
    /// # Errors
    /// `Busy` when too much waits already. A backup that is running shows as an error chunk.
    pub fn backup(
        &self,
        header: ExportHeader,
    ) -> Result<mpsc::Receiver<Result<bytes::Bytes, FilesError>>, FilesError> {
        let (chunks, receiver) = mpsc::channel(limits::BACKUP_CHUNKS_WAITING);
        self.ask(Request::Backup { header, chunks })?;
        Ok(receiver)
    }

    fn ask(&self, request: Request) -> Result<(), FilesError> {
        self.requests.try_send(request).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => FilesError::Busy,
            mpsc::error::TrySendError::Closed(_) => FilesError::Stopped,
        })
    }
}

fn run(
    folder: PathBuf,
    reader: LogReader<RealDisk>,
    inbox: mpsc::Receiver<Request>,
    started: &std::sync::mpsc::SyncSender<std::io::Result<()>>,
) {
    let mut builder = tokio_uring::builder();
    builder.entries(limits::RING_ENTRIES);
    let runtime = match tokio_uring::Runtime::new(&builder) {
        Ok(runtime) => runtime,
        Err(error) => {
            // Whoever started this thread waits for exactly one answer.
            let _ = started.send(Err(error));
            return;
        }
    };
    let _ = started.send(Ok(()));
    let library = Library { folder: folder.into(), reader, open: Default::default() };
    runtime.block_on(serve(Rc::new(library), inbox));
}

/// Takes requests until all askers are gone; at most as many run at once as there are permits.
async fn serve(library: Rc<Library>, mut inbox: mpsc::Receiver<Request>) {
    let reads = Arc::new(Semaphore::new(limits::READS_AT_ONCE));
    let backups = Arc::new(Semaphore::new(limits::BACKUPS_AT_ONCE));
    while let Some(request) = inbox.recv().await {
        let library = library.clone();
        match request {
            Request::History { locate, deliver } => {
                let permit = reads.clone().acquire_owned().await;
                tokio_uring::spawn(async move {
                    let mut wanted = locate();
                    wanted.truncate(limits::HISTORY_RECORDS_MAX);
                    deliver(library.read(&wanted).await);
                    drop(permit);
                });
            }
            Request::Backup { header, chunks } => {
                let Ok(permit) = backups.clone().try_acquire_owned() else {
                    // The receiver may be gone already; then nobody minds.
                    let _ = chunks.try_send(Err(FilesError::Busy));
                    continue;
                };
                tokio_uring::spawn(async move {
                    backup::Backup::new(&library, &header, chunks).run().await;
                    drop(permit);
                });
            }
        }
    }
    // Operations in flight own buffers: wait for every task before the runtime goes.
    let all = u32::try_from(limits::READS_AT_ONCE).expect("a small limit");
    let _ = reads.acquire_many(all).await;
    let _ = backups.acquire().await;
}
