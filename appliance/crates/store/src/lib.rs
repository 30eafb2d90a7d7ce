//! The index of the log in redb: the core's state as of the last checkpoint and where every
//! message lies. Derived from the log: losing the file loses no data. `linnetd`'s index thread
//! writes checkpoints, its file thread looks messages up, its start loads the state. FORMAT.md
//! describes the tables.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod error;
mod index;
pub mod limits;
mod open;
pub mod records;
mod rows;
mod tables;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use chat::{Change, State};
use log::Position;
use redb::{Database, ReadableTable as _};
use wire::ids::Offset;

pub use error::StoreError;
pub use index::{Entry, MessageIndex};
pub use open::Opened;

use error::from_redb;
use index::Shared;
use rows::Row;

/// The one writer of the index.
#[derive(Debug)]
pub struct Store {
    database: Shared,
    /// None for a backend that can't be opened twice.
    path: Option<PathBuf>,
    cache_bytes: usize,
}

impl Store {
    /// Opens the file at `path`, making it when missing. One that can't be used is moved aside,
    /// and the answer says why: then everything is to be replayed from the log.
    ///
    /// # Errors
    /// When the file can neither be used nor replaced.
    pub fn open(path: &Path, cache_bytes: usize) -> Result<(Self, Opened), StoreError> {
        let (database, opened) = open::open_file(path, cache_bytes)?;
        let database = Arc::new(RwLock::new(Some(database)));
        Ok((Self { database, path: Some(path.to_owned()), cache_bytes }, opened))
    }

    /// Opens on a backend of the caller.
    ///
    /// # Errors
    /// When what the backend holds can't be used.
    pub fn open_backend(
        backend: impl redb::StorageBackend,
        cache_bytes: usize,
    ) -> Result<Self, StoreError> {
        let database = open::open_backend(backend, cache_bytes)?;
        Ok(Self { database: Arc::new(RwLock::new(Some(database))), path: None, cache_bytes })
    }

    /// Moves the file at `path` aside and begins an empty one.
    ///
    /// # Errors
    /// When the file system says no.
    pub fn rebuild(
        path: &Path,
        cache_bytes: usize,
        reason: &str,
    ) -> Result<(Self, Opened), StoreError> {
        if !path.exists() {
            return Self::open(path, cache_bytes);
        }
        let (database, opened) = open::replace(path, cache_bytes, reason.to_owned())?;
        let database = Arc::new(RwLock::new(Some(database)));
        Ok((Self { database, path: Some(path.to_owned()), cache_bytes }, opened))
    }

    /// Looks messages up, from any thread.
    #[must_use]
    pub fn index(&self) -> MessageIndex {
        MessageIndex { database: self.database.clone() }
    }

    /// Everything up to this record is in the tables; 0 for a new file.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn applied(&self) -> Result<Offset, StoreError> {
        self.with(|database| {
            tables::read(database, |transaction| {
                let about = transaction.open_table(tables::ABOUT).map_err(from_redb)?;
                let applied = about.get(tables::APPLIED).map_err(from_redb)?;
                let applied = applied.map(|applied| Offset(applied.value()));
                applied.ok_or_else(|| StoreError::Corrupt("it names no offset".into()))
            })
        })
    }

    /// The state as of the last checkpoint, and which record that was.
    ///
    /// # Errors
    /// `Corrupt` when the rows make no state: rebuild then.
    pub fn load(&self) -> Result<(State, Offset), StoreError> {
        let applied = self.applied()?;
        if applied == Offset(0) {
            return Ok((State::new(), applied));
        }
        let changes = self.with(|database| tables::read(database, all_changes))?;
        let state = State::load(changes).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        if state.head() != applied {
            let head = state.head();
            let text = format!("its state is as of {head}, its mark as of {applied}");
            return Err(StoreError::Corrupt(text));
        }
        Ok((state, applied))
    }

    /// Writes the changes of a checkpoint in one transaction that also notes `applied`. Either all
    /// of it is on the card when this returns, or nothing changed.
    ///
    /// # Errors
    /// After an error of the file the next call opens it anew.
    pub fn checkpoint(
        &mut self,
        applied: Offset,
        changes: &[Change],
        position: impl Fn(Offset) -> Option<Position>,
    ) -> Result<(), StoreError> {
        self.reopen_if_closed()?;
        let written = self.with(|database| {
            tables::write(database, |transaction| {
                put_rows(transaction, changes, position)?;
                let mut about = transaction.open_table(tables::ABOUT).map_err(from_redb)?;
                about.insert(tables::APPLIED, applied.0).map_err(from_redb)?;
                Ok(())
            })
        });
        if written.is_err() && self.path.is_some() {
            // redb refuses everything after an I/O error; a fresh look at the file helps.
            *self.database.write().expect("no holder of this lock panics") = None;
        }
        written
    }

    fn reopen_if_closed(&self) -> Result<(), StoreError> {
        let mut guard = self.database.write().expect("no holder of this lock panics");
        if guard.is_none() {
            let path = self.path.as_ref().expect("only files are closed");
            *guard = Some(open::existing(path, self.cache_bytes)?);
        }
        Ok(())
    }

    fn with<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let guard = self.database.read().expect("no holder of this lock panics");
        work(guard.as_ref().ok_or(StoreError::Closed)?)
    }
}

fn put_rows(
    transaction: &redb::WriteTransaction,
    changes: &[Change],
    position: impl Fn(Offset) -> Option<Position>,
) -> Result<(), StoreError> {
    let mut entities = transaction.open_table(tables::ENTITIES).map_err(from_redb)?;
    let mut messages = transaction.open_table(tables::MESSAGES).map_err(from_redb)?;
    for change in changes {
        match rows::row_of(change) {
            Row::Put(key, change) => {
                let value = rows::encode(change);
                entities.insert(key.as_bytes(), value.as_slice()).map_err(from_redb)?;
            }
            Row::Remove(key) => {
                entities.remove(key.as_bytes()).map_err(from_redb)?;
            }
            Row::Message { room, seq, offset } => {
                let place = position(offset).ok_or(StoreError::NoPosition(offset))?;
                let value = rows::place(offset, place);
                messages.insert((room.0, seq.0), value).map_err(from_redb)?;
            }
        }
    }
    Ok(())
}

fn all_changes(transaction: &redb::ReadTransaction) -> Result<Vec<Change>, StoreError> {
    let entities = transaction.open_table(tables::ENTITIES).map_err(from_redb)?;
    entities
        .iter()
        .map_err(from_redb)?
        .map(|row| {
            let (_, value) = row.map_err(from_redb)?;
            rows::decode(value.value())
        })
        .collect()
}
