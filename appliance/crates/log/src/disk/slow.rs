//! A slow card around any disk: every sync waits, a few wait long, and written bytes cost time.
//! The sleep is passed in: tests count it, benches really sleep.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Disk, DiskError};

/// How slow the card is.
#[derive(Clone, Copy, Debug)]
pub struct SlowSpeed {
    /// Every sync.
    pub sync: Duration,
    /// A sync that meets the card's garbage collection.
    pub long_sync: Duration,
    /// Such syncs per 1,000.
    pub long_syncs_per_mille: u64,
    /// Bytes written per second.
    pub bytes_per_second: u64,
}

impl Default for SlowSpeed {
    /// A poor SD card: 10 ms per sync, 1 % at 300 ms, 20 MB/s.
    fn default() -> Self {
        Self {
            sync: Duration::from_millis(10),
            long_sync: Duration::from_millis(300),
            long_syncs_per_mille: 10,
            bytes_per_second: 20_000_000,
        }
    }
}

/// Passed in so that a test decides what waiting means.
type Sleep = dyn Fn(Duration) + Send + Sync;

/// What a slow card makes its users wait for.
pub(super) struct Slowness {
    speed: SlowSpeed,
    sleep: Box<Sleep>,
    /// Bytes in the cache that the next sync pays for.
    unsynced_bytes: AtomicU64,
    syncs: AtomicU64,
    seed: u64,
}

impl fmt::Debug for Slowness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Slowness").field(&self.speed).finish()
    }
}

impl Slowness {
    /// Which syncs are the long ones follows from `seed`.
    pub(super) fn new(
        speed: SlowSpeed,
        seed: u64,
        sleep: impl Fn(Duration) + Send + Sync + 'static,
    ) -> Self {
        Self {
            speed,
            sleep: Box::new(sleep),
            unsynced_bytes: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
            seed,
        }
    }

    pub(super) fn wrote(&self, bytes: usize) {
        self.unsynced_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn wait_for_sync(&self) {
        let bytes = self.unsynced_bytes.swap(0, Ordering::Relaxed);
        let number = self.syncs.fetch_add(1, Ordering::Relaxed);
        let nanos = bytes.saturating_mul(1_000_000_000) / self.speed.bytes_per_second.max(1);
        let long =
            crate::disk::fault::mix(self.seed ^ number) % 1_000 < self.speed.long_syncs_per_mille;
        let base = if long { self.speed.long_sync } else { self.speed.sync };
        (self.sleep)(base + Duration::from_nanos(nanos));
    }
}

/// A slow card around `inner`.
#[derive(Clone)]
pub struct SlowDisk<D> {
    inner: D,
    slowness: Arc<Slowness>,
}

impl<D: Disk> SlowDisk<D> {
    /// Which syncs are the long ones follows from `seed`.
    pub fn new(
        inner: D,
        speed: SlowSpeed,
        seed: u64,
        sleep: impl Fn(Duration) + Send + Sync + 'static,
    ) -> Self {
        Self { inner, slowness: Arc::new(Slowness::new(speed, seed, sleep)) }
    }

    /// The disk underneath.
    pub const fn inner(&self) -> &D {
        &self.inner
    }
}

impl<D: Disk> Disk for SlowDisk<D> {
    type File = D::File;

    fn list(&self) -> Result<Vec<String>, DiskError> {
        self.inner.list()
    }

    fn create(&self, name: &str) -> Result<D::File, DiskError> {
        self.inner.create(name)
    }

    fn open(&self, name: &str) -> Result<D::File, DiskError> {
        self.inner.open(name)
    }

    fn len(&self, file: &D::File) -> Result<u64, DiskError> {
        self.inner.len(file)
    }

    fn pread(&self, file: &D::File, at: u64, buf: &mut [u8]) -> Result<usize, DiskError> {
        self.inner.pread(file, at, buf)
    }

    fn pread_direct(&self, file: &D::File, at: u64, buf: &mut [u8]) -> Result<usize, DiskError> {
        self.inner.pread_direct(file, at, buf)
    }

    fn pwrite(&self, file: &D::File, at: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.slowness.wrote(bytes.len());
        self.inner.pwrite(file, at, bytes)
    }

    fn sync_data(&self, file: &D::File) -> Result<(), DiskError> {
        self.slowness.wait_for_sync();
        self.inner.sync_data(file)
    }

    fn sync_dir(&self) -> Result<(), DiskError> {
        self.slowness.wait_for_sync();
        self.inner.sync_dir()
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.inner.rename(from, to)
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        self.inner.remove(name)
    }

    fn free_bytes(&self) -> Result<u64, DiskError> {
        self.inner.free_bytes()
    }

    fn reads_device(&self, file: &D::File) -> bool {
        self.inner.reads_device(file)
    }
}
