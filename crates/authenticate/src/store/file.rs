//! The store in one database file, which survives restarts and also keeps the keys.

use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use jiff::Timestamp;
use redb::{
    Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, Table, TableDefinition, WriteTransaction,
};

use super::{Backend, Change, Key, PURGED_AT_ONCE, StoreError};

/// An open database file. The operating system's lock on it keeps other processes out.
#[derive(Debug)]
pub(super) struct File(Database);

impl File {
    /// Opens the file, or makes it with mode 0600: it is never readable by others, not even for a moment.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let unopenable = |reason: String| StoreError::Unopenable { path: path.display().to_string(), reason };
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        if let Some(parent) = parent
            && !parent.is_dir()
        {
            let parent = parent.display();
            return Err(unopenable(format!("there is no directory `{parent}`: make it, writable for portcullis only")));
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(MODE).open(path);
        let file = file.map_err(|error| {
            unopenable(format!("{error}: write the path of a file that the user of portcullis may read and write"))
        })?;
        let handle = file.try_clone().map_err(|error| unopenable(error.to_string()))?;
        let database = Database::builder().set_cache_size(CACHE_BYTES).create_file(file);
        let database = database.map_err(|error| unopenable(why_not(&error)))?;
        // Only now: the mode of a file that is no store of ours is none of our business.
        let metadata = handle.metadata().map_err(|error| unopenable(error.to_string()))?;
        if metadata.permissions().mode() & 0o077 != 0 {
            tracing::warn!(path = %path.display(), "the session store was open to other accounts; its mode is now 0600");
            handle.set_permissions(Permissions::from_mode(MODE)).map_err(|error| unopenable(error.to_string()))?;
        }
        let store = Self(database);
        store.write(|_| Ok(())).map_err(|error| unopenable(error.to_string()))?;
        Ok(store)
    }

    fn write<T>(&self, work: impl FnOnce(&mut Tables<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let transaction = self.0.begin_write().map_err(failed)?;
        let result = work(&mut Tables::open(&transaction)?)?;
        transaction.commit().map_err(failed)?;
        Ok(result)
    }
}

impl Backend for File {
    fn blocks(&self) -> bool {
        true
    }

    fn get(&self, key: &Key, now: Timestamp) -> Result<Option<Vec<u8>>, StoreError> {
        let rows = self.0.begin_read().map_err(failed)?.open_table(ROWS).map_err(failed)?;
        let row = rows.get(&*key.0).map_err(failed)?;
        Ok(row.and_then(|row| live_value(row.value(), now).map(<[u8]>::to_vec)))
    }

    fn below(&self, prefix: &Key, now: Timestamp) -> Result<Vec<Vec<u8>>, StoreError> {
        let rows = self.0.begin_read().map_err(failed)?.open_table(ROWS).map_err(failed)?;
        let mut found = Vec::new();
        for row in rows.range(&*prefix.0..).map_err(failed)? {
            let (key, row) = row.map_err(failed)?;
            let Some(rest) = key.value().strip_prefix(&*prefix.0) else { break };
            if live_value(row.value(), now).is_some() {
                found.push(rest.to_vec());
            }
        }
        Ok(found)
    }

    fn commit(&self, changes: &[Change], now: Timestamp) -> Result<(), StoreError> {
        self.write(|tables| {
            for change in changes {
                match change {
                    Change::Put { key, value, expires } => tables.put(key, value, *expires)?,
                    Change::Remove(key) => drop(tables.rows.remove(&*key.0).map_err(failed)?),
                }
            }
            tables.purge(now)
        })
    }

    fn put_new(&self, key: &Key, value: &[u8], expires: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        self.write(|tables| {
            if tables.is_live(key, now)? {
                return Ok(false);
            }
            tables.put(key, value, expires)?;
            tables.purge(now)?;
            Ok(true)
        })
    }

    fn replace(&self, key: &Key, value: &[u8], expires: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        self.write(|tables| {
            let is_there = tables.is_live(key, now)?;
            if is_there {
                tables.put(key, value, expires)?;
            }
            Ok(is_there)
        })
    }

    fn take(&self, key: &Key, now: Timestamp) -> Result<Option<Vec<u8>>, StoreError> {
        self.write(|tables| {
            let row = tables.rows.remove(&*key.0).map_err(failed)?;
            Ok(row.and_then(|row| live_value(row.value(), now).map(<[u8]>::to_vec)))
        })
    }
}

struct Tables<'t> {
    rows: Table<'t, &'static [u8], &'static [u8]>,
    // Keys by their end. A row that was removed or given a later end may leave an entry here, which says nothing.
    ends: Table<'t, (i64, &'static [u8]), ()>,
}

impl<'t> Tables<'t> {
    fn open(transaction: &'t WriteTransaction) -> Result<Self, StoreError> {
        Ok(Self {
            rows: transaction.open_table(ROWS).map_err(failed)?,
            ends: transaction.open_table(ENDS).map_err(failed)?,
        })
    }

    fn is_live(&self, key: &Key, now: Timestamp) -> Result<bool, StoreError> {
        let row = self.rows.get(&*key.0).map_err(failed)?;
        Ok(row.is_some_and(|row| live_value(row.value(), now).is_some()))
    }

    fn put(&mut self, key: &Key, value: &[u8], expires: Timestamp) -> Result<(), StoreError> {
        let mut row = Vec::with_capacity(END_LEN + value.len());
        row.extend_from_slice(&expires.as_microsecond().to_be_bytes());
        row.extend_from_slice(value);
        self.rows.insert(&*key.0, &*row).map_err(failed)?;
        if expires != Timestamp::MAX {
            self.ends.insert((expires.as_microsecond(), &*key.0), ()).map_err(failed)?;
        }
        Ok(())
    }

    fn purge(&mut self, now: Timestamp) -> Result<(), StoreError> {
        for _ in 0..PURGED_AT_ONCE {
            let key = match self.ends.first().map_err(failed)? {
                Some((end, _)) if end.value().0 <= now.as_microsecond() => end.value().1.to_vec(),
                _ => break,
            };
            self.ends.pop_first().map_err(failed)?;
            let row = self.rows.get(&*key).map_err(failed)?;
            if row.is_some_and(|row| live_value(row.value(), now).is_none()) {
                self.rows.remove(&*key).map_err(failed)?;
            }
        }
        Ok(())
    }
}

/// Returns the value of a row that has not ended.
fn live_value(row: &[u8], now: Timestamp) -> Option<&[u8]> {
    let (expires, value) = row.split_first_chunk::<END_LEN>()?;
    (now.as_microsecond() < i64::from_be_bytes(*expires)).then_some(value)
}

fn why_not(error: &DatabaseError) -> String {
    if matches!(error, DatabaseError::DatabaseAlreadyOpen) {
        "another process has it open: stop that one, or give this one a file of its own".into()
    } else {
        format!("it is no session store, or it is damaged ({error}): move it away to start with an empty one")
    }
}

fn failed(error: impl std::fmt::Display) -> StoreError {
    StoreError::Failed(error.to_string())
}

const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows-v1");
const ENDS: TableDefinition<'_, (i64, &[u8]), ()> = TableDefinition::new("ends-v1");

/// Length of the end in front of each value.
const END_LEN: usize = 8;

/// Sessions in use are cached above; the database needs little.
const CACHE_BYTES: usize = 4 * 1024 * 1024;

/// The file holds the keys: no other account may read it.
const MODE: u32 = 0o600;
