//! The file under redb, failing like a card: a power cut keeps what was synced and any part of the
//! rest; a stopped process can do nothing more.

use std::sync::{Arc, Mutex, MutexGuard};

use redb::StorageBackend;

use crate::random::Random;

/// Unit that is written whole or not at all.
const SECTOR_BYTES: usize = 512;

/// Handle of one process.
#[derive(Clone, Debug)]
pub(crate) struct FaultBackend {
    file: Arc<Mutex<File>>,
    process: u64,
}

#[derive(Debug)]
struct File {
    random: Random,
    process: u64,
    cache: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
    operations_left: Option<u64>,
    /// Changes until one of them fails and the process lives on.
    failure_in: Option<u64>,
}

#[derive(Debug)]
enum Change {
    Length(usize),
    Write(usize, Vec<u8>),
}

impl FaultBackend {
    pub(crate) fn new(seed: u64) -> Self {
        let file = File {
            random: Random::new(seed),
            process: 0,
            cache: Vec::new(),
            durable: Vec::new(),
            unsynced: Vec::new(),
            operations_left: None,
            failure_in: None,
        };
        Self { file: Arc::new(Mutex::new(file)), process: 0 }
    }

    /// The process dies; what it wrote stays in the page cache.
    pub(crate) fn kill(&self) -> Self {
        let mut file = self.lock();
        file.process += 1;
        file.operations_left = None;
        file.failure_in = None;
        Self { file: self.file.clone(), process: file.process }
    }

    /// Power is lost.
    pub(crate) fn power_cut(&self) -> Self {
        self.lock().cut();
        self.kill()
    }

    /// The process stops at the `operations`-th change from now.
    pub(crate) fn stop_after(&self, operations: u64) {
        self.lock().operations_left = Some(operations);
    }

    /// The `operations`-th change from now fails once, as on a full card.
    pub(crate) fn fail_after(&self, operations: u64) {
        self.lock().failure_in = Some(operations);
    }

    /// The process was stopped.
    pub(crate) fn stopped(&self) -> bool {
        let file = self.lock();
        file.process != self.process || file.operations_left == Some(0)
    }

    fn lock(&self) -> MutexGuard<'_, File> {
        self.file.lock().expect("no holder of this lock panics")
    }

    fn alive(&self) -> Result<MutexGuard<'_, File>, std::io::Error> {
        if self.stopped() { Err(stopped()) } else { Ok(self.lock()) }
    }

    fn change(&self) -> Result<MutexGuard<'_, File>, std::io::Error> {
        let mut file = self.alive()?;
        if let Some(left) = &mut file.operations_left {
            *left -= 1;
            if *left == 0 {
                return Err(stopped());
            }
        }
        if let Some(left) = &mut file.failure_in {
            *left -= 1;
            if *left == 0 {
                file.failure_in = None;
                return Err(std::io::ErrorKind::StorageFull.into());
            }
        }
        Ok(file)
    }
}

fn stopped() -> std::io::Error {
    std::io::Error::other("the process was stopped")
}

impl File {
    fn cut(&mut self) {
        let keep = self.random.pick(&[0, 300, 700, 1_000]);
        for change in std::mem::take(&mut self.unsynced) {
            match change {
                Change::Length(bytes) => {
                    if self.random.chance(keep) {
                        self.durable.resize(bytes, 0);
                    }
                }
                Change::Write(at, bytes) => self.cut_write(keep, at, &bytes),
            }
        }
        self.cache = self.durable.clone();
    }

    fn cut_write(&mut self, keep: u64, at: usize, bytes: &[u8]) {
        for (index, sector) in bytes.chunks(SECTOR_BYTES).enumerate() {
            let at = at + index * SECTOR_BYTES;
            if self.random.chance(keep) && at + sector.len() <= self.durable.len() {
                self.durable[at..at + sector.len()].copy_from_slice(sector);
            }
        }
    }
}

impl StorageBackend for FaultBackend {
    fn len(&self) -> Result<u64, std::io::Error> {
        Ok(self.alive()?.cache.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), std::io::Error> {
        let file = self.alive()?;
        let at = usize::try_from(offset).expect("simulated files are small");
        let Some(bytes) = file.cache.get(at..at + out.len()) else {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        };
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), std::io::Error> {
        let mut file = self.change()?;
        let len = usize::try_from(len).expect("simulated files are small");
        file.cache.resize(len, 0);
        file.unsynced.push(Change::Length(len));
        Ok(())
    }

    fn sync_data(&self) -> Result<(), std::io::Error> {
        let mut file = self.change()?;
        file.unsynced.clear();
        let File { cache, durable, .. } = &mut *file;
        durable.clone_from(cache);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), std::io::Error> {
        let mut file = self.change()?;
        let at = usize::try_from(offset).expect("simulated files are small");
        file.cache[at..at + data.len()].copy_from_slice(data);
        file.unsynced.push(Change::Write(at, data.to_vec()));
        Ok(())
    }
}
