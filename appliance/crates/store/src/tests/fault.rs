//! A backend in memory that can be cut off: un-synced writes are kept, dropped, torn or reordered.

use std::io;
use std::sync::{Arc, Mutex};

/// The medium below a backend; it outlives the process that a cut ends.
#[derive(Clone, Debug, Default)]
pub(super) struct Media(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// What survives for sure.
    durable: Vec<u8>,
    /// What the process sees.
    cached: Vec<u8>,
    /// What happened since the last sync.
    unsynced: Vec<Change>,
    /// Operations until the process is dead; none means never.
    left: Option<u64>,
    operations: u64,
}

#[derive(Clone, Debug)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Length(usize),
}

impl Change {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Length(length) => to.resize(*length, 0),
            Self::Write { at, bytes } => {
                let end = at + bytes.len();
                if to.len() < end {
                    to.resize(end, 0);
                }
                to[*at..end].copy_from_slice(bytes);
            }
        }
    }

    /// Only the front of it arrived.
    fn torn(&self, at: u64) -> Self {
        match self {
            Self::Length(length) => Self::Length(*length),
            Self::Write { at: start, bytes } => {
                let keep = usize::try_from(at).unwrap() % (bytes.len() + 1);
                Self::Write { at: *start, bytes: bytes[..keep].to_vec() }
            }
        }
    }
}

/// One process's hold of the medium.
#[derive(Debug)]
pub(super) struct Backend(Media);

impl Media {
    pub(super) fn backend(&self) -> Backend {
        Backend(self.clone())
    }

    /// Operations so far.
    pub(super) fn operations(&self) -> u64 {
        self.0.lock().unwrap().operations
    }

    /// Kills the process after so many more operations.
    pub(super) fn die_after(&self, operations: u64) {
        self.0.lock().unwrap().left = Some(operations);
    }

    /// Power is cut: each un-synced change arrived, did not, or was torn, by the seed.
    pub(super) fn cut_power(&self, seed: u64) {
        let mut state = self.0.lock().unwrap();
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random
        };
        let mut survived = state.durable.clone();
        for change in state.unsynced.drain(..) {
            match next() % 3 {
                0 => {}
                1 => change.apply(&mut survived),
                _ => change.torn(next()).apply(&mut survived),
            }
        }
        state.durable.clone_from(&survived);
        state.cached = survived;
        state.left = None;
    }
}

impl Backend {
    fn run<T>(&self, work: impl FnOnce(&mut State) -> T) -> io::Result<T> {
        let mut state = self.0.0.lock().unwrap();
        match &mut state.left {
            Some(0) => return Err(io::Error::other("the process is dead")),
            Some(left) => *left -= 1,
            None => {}
        }
        state.operations += 1;
        Ok(work(&mut state))
    }
}

impl redb::StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.run(|state| state.cached.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let at = usize::try_from(offset).unwrap();
        self.run(|state| match state.cached.get(at..at + out.len()) {
            Some(bytes) => {
                out.copy_from_slice(bytes);
                Ok(())
            }
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        })?
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.change(Change::Length(usize::try_from(length).unwrap()))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.run(|state| {
            state.durable.clone_from(&state.cached);
            state.unsynced.clear();
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let at = usize::try_from(offset).unwrap();
        self.change(Change::Write { at, bytes: data.to_vec() })
    }
}

impl Backend {
    fn change(&self, change: Change) -> io::Result<()> {
        self.run(|state| {
            change.apply(&mut state.cached);
            state.unsynced.push(change);
        })
    }
}
