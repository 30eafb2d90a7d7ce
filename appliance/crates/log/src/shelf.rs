//! Pre-written segments: spares for the writer and a reserve for a full card. The index thread
//! prepares them at its own pace; the writer only takes what is ready.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::disk::{Disk, DiskError};
use crate::error::LogError;
use crate::limits::{SPARES_WANTED, ZERO_STEP_BYTES};
use crate::names;

/// Shared between the writer and whoever prepares spares.
#[derive(Clone, Debug)]
pub struct Shelf {
    state: Arc<Mutex<State>>,
    segment_bytes: u64,
    reserve_wanted: usize,
}

#[derive(Debug, Default)]
struct State {
    spares: VecDeque<u32>,
    reserve: VecDeque<u32>,
    next_number: u32,
    card_full: bool,
}

impl Shelf {
    pub(crate) fn new(
        segment_bytes: u64,
        reserve_wanted: usize,
        spares: Vec<u32>,
        reserve: Vec<u32>,
    ) -> Self {
        let next_number = spares.iter().chain(&reserve).max().map_or(1, |last| last + 1);
        let state =
            State { spares: spares.into(), reserve: reserve.into(), next_number, card_full: false };
        Self { state: Arc::new(Mutex::new(state)), segment_bytes, reserve_wanted }
    }

    /// Spares that the writer may take now.
    #[must_use]
    pub fn spares_ready(&self) -> usize {
        self.lock().spares.len()
    }

    /// Segments kept back for a full card.
    #[must_use]
    pub fn reserve_ready(&self) -> usize {
        self.lock().reserve.len()
    }

    /// True after a preparation met a full card, until one succeeds.
    #[must_use]
    pub fn card_full(&self) -> bool {
        self.lock().card_full
    }

    /// True when `prepare_spare` or `fill_reserve` has something to do.
    #[must_use]
    pub fn wants_work(&self) -> bool {
        let state = self.lock();
        state.spares.len() < SPARES_WANTED || state.reserve.len() < self.reserve_wanted
    }

    /// Writes one spare full of zeros and syncs it. Slow: seconds on a slow card, so `pause` is
    /// called between steps and the index thread sleeps in it. On a full card: `Full`, and
    /// nothing is left behind.
    pub fn prepare_spare<D: Disk>(
        &self,
        disk: &D,
        pause: &mut dyn FnMut(),
    ) -> Result<(), LogError> {
        let number = self.prepare(disk, names::spare, pause)?;
        self.lock().spares.push_back(number);
        Ok(())
    }

    /// Writes reserve segments until as many as wanted are there.
    pub fn fill_reserve<D: Disk>(&self, disk: &D, pause: &mut dyn FnMut()) -> Result<(), LogError> {
        while self.lock().reserve.len() < self.reserve_wanted {
            let number = self.prepare(disk, names::reserve, pause)?;
            self.lock().reserve.push_back(number);
        }
        Ok(())
    }

    /// Turns one reserve segment into a spare. Needs no space on the card. `Ok(false)` when none
    /// is left. The caller admits only what frees space until the reserve is filled again.
    pub fn release_reserve<D: Disk>(&self, disk: &D) -> Result<bool, LogError> {
        let mut state = self.lock();
        let Some(&number) = state.reserve.front() else { return Ok(false) };
        disk.rename(&names::reserve(number), &names::spare(number))?;
        disk.sync_dir()?;
        state.reserve.pop_front();
        state.spares.push_back(number);
        Ok(true)
    }

    /// The writer takes the oldest spare: it renames the file before anybody else can.
    pub(crate) fn take<D: Disk>(&self, disk: &D, target: &str) -> Result<(), TakeError> {
        let mut state = self.lock();
        let Some(&number) = state.spares.front() else {
            return Err(if state.card_full { TakeError::Full } else { TakeError::NoSpare });
        };
        disk.rename(&names::spare(number), target).map_err(TakeError::Disk)?;
        state.spares.pop_front();
        drop(state);
        disk.sync_dir().map_err(TakeError::Disk)
    }

    fn prepare<D: Disk>(
        &self,
        disk: &D,
        name: fn(u32) -> String,
        pause: &mut dyn FnMut(),
    ) -> Result<u32, LogError> {
        let number = self.next_number();
        let unfinished = names::unfinished(number);
        let written = write_zeros(disk, &unfinished, self.segment_bytes, pause)
            .and_then(|()| disk.rename(&unfinished, &name(number)))
            .and_then(|()| disk.sync_dir());
        self.lock().card_full = written == Err(DiskError::NoSpace);
        match written {
            Ok(()) => Ok(number),
            Err(error) => {
                // Best effort: the next start removes unfinished files as well.
                let _ = disk.remove(&unfinished);
                Err(if error == DiskError::NoSpace { LogError::Full } else { error.into() })
            }
        }
    }

    fn next_number(&self) -> u32 {
        let mut state = self.lock();
        let number = state.next_number;
        state.next_number += 1;
        number
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }
}

/// Why no spare could be taken.
#[derive(Debug)]
pub(crate) enum TakeError {
    Full,
    NoSpare,
    Disk(DiskError),
}

/// Real zeros, not `fallocate`: only extents that were written once can be overwritten without a
/// journal commit.
fn write_zeros<D: Disk>(
    disk: &D,
    name: &str,
    bytes: u64,
    pause: &mut dyn FnMut(),
) -> Result<(), DiskError> {
    let file = disk.create(name)?;
    let zeros = vec![0; ZERO_STEP_BYTES];
    let mut at = 0;
    while at < bytes {
        let left = usize::try_from(bytes - at).unwrap_or(usize::MAX);
        let step = &zeros[..left.min(ZERO_STEP_BYTES)];
        disk.pwrite(&file, at, step)?;
        disk.sync_data(&file)?;
        at += step.len() as u64;
        pause();
    }
    Ok(())
}
