//! The tables as FORMAT.md describes them, and the door to redb: open, read and write
//! transactions. No meaning is given to keys and values here; `rows` does that.

use redb::{ReadableDatabase as _, TableDefinition, WriteTransaction};

use crate::error::{StoreError, from_redb};

/// Named numbers about the file itself.
pub(crate) const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("about");

/// One row per entity: key by [`crate::rows`], value in postcard.
pub(crate) const ENTITIES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("entities");

/// (room, seq) -> (offset, segment, byte, index): where a message lies in the log.
pub(crate) const MESSAGES: TableDefinition<'_, (u32, u64), (u64, u32, u32, u16)> =
    TableDefinition::new("messages");

/// Key in [`ABOUT`]: version of this layout.
pub(crate) const FORMAT: &str = "format";

/// Key in [`ABOUT`]: everything up to this offset is in the tables.
pub(crate) const APPLIED: &str = "applied";

/// Runs `work` in one transaction that is on the card when this returns. Quick repair makes the
/// next start instant after a crash and commits in two phases, which also withstands contents
/// chosen by an attacker.
pub(crate) fn write<T>(
    database: &redb::Database,
    work: impl FnOnce(&WriteTransaction) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let mut transaction = database.begin_write().map_err(from_redb)?;
    transaction.set_quick_repair(true);
    let result = work(&transaction)?;
    transaction.commit().map_err(from_redb)?;
    Ok(result)
}

/// Runs `work` on one consistent snapshot.
pub(crate) fn read<T>(
    database: &redb::Database,
    work: impl FnOnce(&redb::ReadTransaction) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    work(&database.begin_read().map_err(from_redb)?)
}

/// Makes the tables of a fresh file, or checks the version of an old one.
pub(crate) fn prepare(database: &redb::Database, version: u64) -> Result<(), StoreError> {
    if let Some(found) = version_of(database)? {
        return if found == version {
            Ok(())
        } else {
            Err(StoreError::Format { found, known: version })
        };
    }
    write(database, |transaction| {
        transaction.open_table(ENTITIES).map_err(from_redb)?;
        transaction.open_table(MESSAGES).map_err(from_redb)?;
        let mut about = transaction.open_table(ABOUT).map_err(from_redb)?;
        about.insert(FORMAT, version).map_err(from_redb)?;
        about.insert(APPLIED, 0).map_err(from_redb)?;
        Ok(())
    })
}

fn version_of(database: &redb::Database) -> Result<Option<u64>, StoreError> {
    read(database, |transaction| {
        let about = match transaction.open_table(ABOUT) {
            Ok(about) => about,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(from_redb(error)),
        };
        let version = about.get(FORMAT).map_err(from_redb)?;
        version
            .map(|version| Some(version.value()))
            .ok_or_else(|| StoreError::Corrupt("it names no format".into()))
    })
}
