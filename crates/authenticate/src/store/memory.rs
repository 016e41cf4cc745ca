//! The store of one process: a restart signs everybody out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::{Backend, Change, Key, PURGED_AT_ONCE, StoreError};

/// Rows in memory, at most [`MAX_ROWS`] of them.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<Rows>);

#[derive(Debug, Default)]
struct Rows {
    rows: BTreeMap<Key, (Vec<u8>, Timestamp)>,
    // Invariant: every row that can end is here under its end.
    ends: BTreeSet<(Timestamp, Key)>,
}

impl Memory {
    fn rows(&self) -> MutexGuard<'_, Rows> {
        // No call below leaves a row half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rows {
    fn get(&self, key: &Key, now: Timestamp) -> Option<&Vec<u8>> {
        self.rows.get(key).filter(|(_, expires)| now < *expires).map(|(value, _)| value)
    }

    fn put(&mut self, key: &Key, value: Vec<u8>, expires: Timestamp) {
        self.remove(key);
        self.ends.insert((expires, key.clone()));
        self.rows.insert(key.clone(), (value, expires));
    }

    fn remove(&mut self, key: &Key) -> Option<(Vec<u8>, Timestamp)> {
        let (value, expires) = self.rows.remove(key)?;
        self.ends.remove(&(expires, key.clone()));
        Some((value, expires))
    }

    fn purge(&mut self, now: Timestamp) {
        for _ in 0..PURGED_AT_ONCE {
            match self.ends.first() {
                Some((expires, key)) if *expires <= now => {
                    let key = key.clone();
                    self.remove(&key);
                }
                _ => break,
            }
        }
    }

    fn make_room(&mut self, more: usize, now: Timestamp) -> Result<(), StoreError> {
        self.purge(now);
        if self.rows.len().saturating_add(more) > MAX_ROWS {
            return Err(StoreError::Failed(format!("it is full: `memory` holds {MAX_ROWS} rows; use a file")));
        }
        Ok(())
    }
}

impl Backend for Memory {
    fn blocks(&self) -> bool {
        false
    }

    fn get(&self, key: &Key, now: Timestamp) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.rows().get(key, now).cloned())
    }

    fn below(&self, prefix: &Key, now: Timestamp) -> Result<Vec<Vec<u8>>, StoreError> {
        let rows = self.rows();
        let from_prefix = rows.rows.range(prefix.clone()..);
        let live = from_prefix.filter(|(_, (_, expires))| now < *expires);
        Ok(live.map_while(|(key, _)| key.0.strip_prefix(&*prefix.0)).map(<[u8]>::to_vec).collect())
    }

    fn commit(&self, changes: &[Change], now: Timestamp) -> Result<(), StoreError> {
        let mut rows = self.rows();
        let puts = changes.iter().filter(|change| matches!(change, Change::Put { .. })).count();
        if puts > 0 {
            rows.make_room(puts, now)?;
        }
        for change in changes {
            match change {
                Change::Put { key, value, expires } => rows.put(key, value.clone(), *expires),
                Change::Remove(key) => {
                    rows.remove(key);
                }
            }
        }
        Ok(())
    }

    fn put_new(&self, key: &Key, value: &[u8], expires: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        let mut rows = self.rows();
        if rows.get(key, now).is_some() {
            return Ok(false);
        }
        rows.make_room(1, now)?;
        rows.put(key, value.to_vec(), expires);
        Ok(true)
    }

    fn replace(&self, key: &Key, value: &[u8], expires: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        let mut rows = self.rows();
        let is_there = rows.get(key, now).is_some();
        if is_there {
            rows.put(key, value.to_vec(), expires);
        }
        Ok(is_there)
    }

    fn take(&self, key: &Key, now: Timestamp) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.rows().remove(key).filter(|(_, expires)| now < *expires).map(|(value, _)| value))
    }
}

/// How many rows fit: a sign-in with one handle takes five of them and a few KiB, so at the bound the process is some
/// hundreds of MiB large and refuses further sign-ins instead of growing.
const MAX_ROWS: usize = 500_000;
