//! A disk in memory that fails the way cards and kernels fail, decided by one u64 seed. It keeps
//! three views of every byte: the page cache, what the device would answer now, and what
//! survives a power cut. Sectors of 512 bytes are written whole or not at all; everything
//! un-synced may be dropped, reordered or torn between sectors.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Disk, DiskError};
use crate::limits::SECTOR_BYTES;

type Sector = [u8; SECTOR_BYTES];

/// Handle of one simulated process. `kill` and `power_cut` void it and return the next one.
#[derive(Clone, Debug)]
pub struct FaultDisk {
    state: Arc<Mutex<State>>,
    process: u64,
}

/// An open file of one process.
#[derive(Debug)]
pub struct FaultFile {
    inode: usize,
}

/// Operations so far, over all processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultStats {
    pub writes: u64,
    pub bytes_written: u64,
    pub data_syncs: u64,
    pub dir_syncs: u64,
}

#[derive(Debug)]
struct State {
    random: u64,
    process: u64,
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    unsynced_names: Vec<NameChange>,
    capacity_bytes: u64,
    sync_failures: u32,
    /// Changing operations until the process dies by itself.
    operations_left: Option<u64>,
    stats: FaultStats,
}

#[derive(Debug, Default)]
struct Inode {
    cache: Vec<u8>,
    durable: Vec<u8>,
    /// Sectors written since the last sync, in order.
    unsynced: Vec<(usize, Sector)>,
    unreadable: Range<usize>,
}

#[derive(Clone, Debug)]
enum NameChange {
    Link(String, usize),
    Rename(String, String),
    Remove(String),
}

impl FaultDisk {
    /// An empty disk with plenty of space.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let state = State {
            random: seed,
            process: 0,
            inodes: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            unsynced_names: Vec::new(),
            capacity_bytes: u64::MAX,
            sync_failures: 0,
            operations_left: None,
            stats: FaultStats::default(),
        };
        Self { state: Arc::new(Mutex::new(state)), process: 0 }
    }

    /// The process dies, the kernel lives: the page cache stays and un-synced writes stay
    /// un-synced. This handle and its files are void; the next process uses the returned one.
    #[must_use]
    pub fn kill(&self) -> Self {
        let mut state = self.lock();
        state.process += 1;
        state.operations_left = None;
        Self { state: self.state.clone(), process: state.process }
    }

    /// Power is lost: of all un-synced writes the seed chooses what survives.
    #[must_use]
    pub fn power_cut(&self) -> Self {
        self.lock().cut();
        self.kill()
    }

    /// The next `sync_data` fails and drops dirty pages: the cache still shows them, the device
    /// has some of them, and later syncs report success without writing them.
    pub fn fail_next_sync(&self) {
        self.lock().sync_failures += 1;
    }

    /// The process stops by itself at the `operations`-th write, sync, create, rename or remove
    /// from now, before it takes effect. Follow with `kill` or `power_cut`.
    pub fn stop_after(&self, operations: u64) {
        self.lock().operations_left = Some(operations);
    }

    /// Files may grow until they hold this many bytes in total.
    pub fn set_capacity(&self, bytes: u64) {
        self.lock().capacity_bytes = bytes;
    }

    /// Flips one bit on the device and in the cache. False when the file has no such byte.
    pub fn flip_bit(&self, name: &str, byte: usize, bit: u8) -> bool {
        self.edit(name, |bytes| match bytes.get_mut(byte) {
            Some(value) => {
                *value ^= 1 << (bit % 8);
                true
            }
            None => false,
        })
    }

    /// Cuts a file short on the device and in the cache. False when there is no such file.
    pub fn truncate(&self, name: &str, len: usize) -> bool {
        self.edit(name, |bytes| {
            bytes.truncate(len);
            true
        })
    }

    /// From now on the device cannot read these bytes of a file: reads that touch them fail, past
    /// the page cache or not. False when there is no such file.
    pub fn fail_reads(&self, name: &str, bytes: Range<usize>) -> bool {
        let mut state = self.lock();
        let Some(&inode) = state.names.get(name) else { return false };
        state.inodes[inode].unreadable = bytes;
        true
    }

    /// Memory pressure: clean pages are read again from the device when next used.
    pub fn evict_cache(&self) {
        for inode in &mut self.lock().inodes {
            inode.cache = inode.device_view();
        }
    }

    /// Counters, for tests that assert how often the card is touched.
    #[must_use]
    pub fn stats(&self) -> FaultStats {
        self.lock().stats
    }

    /// What a direct read of the whole file would return now; for tests that look at bytes.
    #[must_use]
    pub fn device_bytes(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.lock();
        state.names.get(name).map(|&inode| state.inodes[inode].device_view())
    }

    fn edit(&self, name: &str, change: impl Fn(&mut Vec<u8>) -> bool) -> bool {
        let mut state = self.lock();
        let Some(&inode) = state.names.get(name) else { return false };
        let inode = &mut state.inodes[inode];
        inode.sync();
        change(&mut inode.cache) && change(&mut inode.durable)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    /// Locks for an operation that changes nothing.
    fn look(&self) -> Result<MutexGuard<'_, State>, DiskError> {
        let state = self.lock();
        let dead = state.process != self.process || state.operations_left == Some(0);
        if dead { Err(DiskError::Stopped) } else { Ok(state) }
    }

    /// Locks for an operation that changes something, and counts it.
    fn change(&self) -> Result<MutexGuard<'_, State>, DiskError> {
        let mut state = self.look()?;
        if let Some(left) = &mut state.operations_left {
            *left -= 1;
            if *left == 0 {
                return Err(DiskError::Stopped);
            }
        }
        Ok(state)
    }
}

impl State {
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.random)
    }

    fn cut(&mut self) {
        for index in 0..self.inodes.len() {
            let mut inode = std::mem::take(&mut self.inodes[index]);
            let seed = self.random();
            inode.cut(seed);
            self.inodes[index] = inode;
        }
        // The folder's changes go through the file system's journal: a prefix survives.
        let changes = std::mem::take(&mut self.unsynced_names);
        let kept = self.random() as usize % (changes.len() + 1);
        for change in changes.into_iter().take(kept) {
            change.apply(&mut self.durable_names);
        }
        self.names = self.durable_names.clone();
    }

    fn rename_names(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.unsynced_names.push(change);
    }

    fn used_bytes(&self) -> u64 {
        self.names.values().map(|&inode| self.inodes[inode].cache.len() as u64).sum()
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Link(name, inode) => {
                names.insert(name.clone(), *inode);
            }
            Self::Rename(from, to) => {
                if let Some(inode) = names.remove(from) {
                    names.insert(to.clone(), inode);
                }
            }
            Self::Remove(name) => {
                names.remove(name);
            }
        }
    }
}

impl Inode {
    fn write(&mut self, at: usize, bytes: &[u8]) {
        let end = at + bytes.len();
        if end > self.cache.len() {
            self.cache.resize(end, 0);
        }
        self.cache[at..end].copy_from_slice(bytes);
        for sector in at / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES) {
            self.unsynced.push((sector, sector_of(&self.cache, sector)));
        }
    }

    fn sync(&mut self) {
        self.durable.resize(self.cache.len(), 0);
        for (sector, bytes) in std::mem::take(&mut self.unsynced) {
            put_sector(&mut self.durable, sector, &bytes);
        }
    }

    /// Un-synced sectors leave the dirty list; some reach the device, the cache keeps all.
    fn fail_sync(&mut self, seed: u64) {
        let cache = std::mem::take(&mut self.cache);
        self.cache = cache.clone();
        self.cut(seed);
        self.cache = cache;
    }

    /// Keeps what the seed chooses of the un-synced sectors, in an order that it chooses.
    fn cut(&mut self, seed: u64) {
        let mut unsynced = std::mem::take(&mut self.unsynced);
        if mix(seed) & 1 == 0 {
            self.durable.resize(self.cache.len(), 0);
        }
        let mode = mix(seed ^ 1) % 5;
        let prefix = mix(seed ^ 2) as usize % (unsynced.len() + 1);
        if mode == 4 {
            unsynced.reverse();
        }
        for (index, (sector, bytes)) in unsynced.iter().enumerate() {
            let survives = match mode {
                0 => false,
                1 => true,
                2 => index < prefix,
                _ => mix(seed ^ (index as u64 + 3)) & 1 == 0,
            };
            if survives {
                put_sector(&mut self.durable, *sector, bytes);
            }
        }
        self.cache = self.durable.clone();
    }

    fn check_readable(&self, at: u64, len: usize) -> Result<(), DiskError> {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let touches = at < self.unreadable.end && self.unreadable.start < at.saturating_add(len);
        if touches { Err(injected("read")) } else { Ok(()) }
    }

    fn device_view(&self) -> Vec<u8> {
        let mut view = vec![0; self.cache.len()];
        self.device_read(0, &mut view);
        view
    }

    /// The device answers with what it was last sent, durable or not.
    fn device_read(&self, at: usize, buf: &mut [u8]) -> usize {
        let count = buf.len().min(self.cache.len().saturating_sub(at));
        let wanted = &mut buf[..count];
        wanted.fill(0);
        copy_out(&self.durable, at as u64, wanted);
        for (sector, bytes) in &self.unsynced {
            let start = sector * SECTOR_BYTES;
            let from = start.max(at);
            let to = (start + SECTOR_BYTES).min(at + count);
            if from < to {
                wanted[from - at..to - at].copy_from_slice(&bytes[from - start..to - start]);
            }
        }
        count
    }
}

fn injected(operation: &'static str) -> DiskError {
    let reason = "injected I/O error".to_owned();
    DiskError::Io { operation, name: "a file".to_owned(), reason }
}

/// A well-mixed function of its input (splitmix64's finaliser).
pub(super) const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

fn sector_of(bytes: &[u8], sector: usize) -> Sector {
    let mut out = [0; SECTOR_BYTES];
    let start = sector * SECTOR_BYTES;
    let end = bytes.len().min(start + SECTOR_BYTES);
    out[..end - start].copy_from_slice(&bytes[start..end]);
    out
}

/// Writes as much of the sector as the file has.
fn put_sector(bytes: &mut [u8], sector: usize, new: &Sector) {
    let start = sector * SECTOR_BYTES;
    let end = bytes.len().min(start + SECTOR_BYTES);
    if start < end {
        bytes[start..end].copy_from_slice(&new[..end - start]);
    }
}

fn copy_out(bytes: &[u8], at: u64, buf: &mut [u8]) -> usize {
    let start = usize::try_from(at).map_or(bytes.len(), |at| at.min(bytes.len()));
    let count = buf.len().min(bytes.len() - start);
    buf[..count].copy_from_slice(&bytes[start..start + count]);
    count
}

impl Disk for FaultDisk {
    type File = FaultFile;

    fn list(&self) -> Result<Vec<String>, DiskError> {
        Ok(self.look()?.names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> Result<FaultFile, DiskError> {
        let mut state = self.change()?;
        if state.names.contains_key(name) {
            return Err(DiskError::Exists(name.to_owned()));
        }
        let inode = state.inodes.len();
        state.inodes.push(Inode::default());
        state.rename_names(NameChange::Link(name.to_owned(), inode));
        Ok(FaultFile { inode })
    }

    fn open(&self, name: &str) -> Result<FaultFile, DiskError> {
        let state = self.look()?;
        let inode = state.names.get(name).copied();
        inode.map(|inode| FaultFile { inode }).ok_or_else(|| DiskError::NotFound(name.to_owned()))
    }

    fn len(&self, file: &FaultFile) -> Result<u64, DiskError> {
        Ok(self.look()?.inodes[file.inode].cache.len() as u64)
    }

    fn pread(&self, file: &FaultFile, at: u64, buf: &mut [u8]) -> Result<usize, DiskError> {
        let state = self.look()?;
        let inode = &state.inodes[file.inode];
        inode.check_readable(at, buf.len())?;
        Ok(copy_out(&inode.cache, at, buf))
    }

    fn pread_direct(&self, file: &FaultFile, at: u64, buf: &mut [u8]) -> Result<usize, DiskError> {
        let state = self.look()?;
        let inode = &state.inodes[file.inode];
        inode.check_readable(at, buf.len())?;
        Ok(inode.device_read(usize::try_from(at).unwrap_or(usize::MAX), buf))
    }

    fn pwrite(&self, file: &FaultFile, at: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let mut state = self.change()?;
        let at = usize::try_from(at).map_err(|_| DiskError::NoSpace)?;
        let growth = (at + bytes.len()).saturating_sub(state.inodes[file.inode].cache.len());
        if state.used_bytes().saturating_add(growth as u64) > state.capacity_bytes && growth > 0 {
            return Err(DiskError::NoSpace);
        }
        state.stats.writes += 1;
        state.stats.bytes_written += bytes.len() as u64;
        state.inodes[file.inode].write(at, bytes);
        Ok(())
    }

    fn sync_data(&self, file: &FaultFile) -> Result<(), DiskError> {
        let mut state = self.change()?;
        state.stats.data_syncs += 1;
        if state.sync_failures == 0 {
            state.inodes[file.inode].sync();
            return Ok(());
        }
        state.sync_failures -= 1;
        let seed = state.random();
        state.inodes[file.inode].fail_sync(seed);
        Err(injected("fdatasync"))
    }

    fn sync_dir(&self) -> Result<(), DiskError> {
        let mut state = self.change()?;
        state.stats.dir_syncs += 1;
        state.unsynced_names.clear();
        state.durable_names = state.names.clone();
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        let mut state = self.change()?;
        if !state.names.contains_key(from) {
            return Err(DiskError::NotFound(from.to_owned()));
        }
        state.rename_names(NameChange::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        let mut state = self.change()?;
        if !state.names.contains_key(name) {
            return Err(DiskError::NotFound(name.to_owned()));
        }
        state.rename_names(NameChange::Remove(name.to_owned()));
        Ok(())
    }

    fn free_bytes(&self) -> Result<u64, DiskError> {
        let state = self.look()?;
        Ok(state.capacity_bytes.saturating_sub(state.used_bytes()))
    }

    fn reads_device(&self, _file: &FaultFile) -> bool {
        true
    }
}
