//! Where sessions are kept: a small table of sealed values that end by themselves, with what is live in memory.
//!
//! Knows neither what the values mean nor how they are sealed.

mod file;
mod memory;

use std::fmt::Debug;
use std::sync::Arc;

use jiff::Timestamp;

use crate::StoreLocation;
use crate::refresh::Refreshes;
use crate::session::Live;

/// The session store. Outlives snapshots.
#[derive(Debug)]
pub struct Store {
    backend: Arc<dyn Backend>,
    live: Live,
    refreshes: Refreshes,
}

impl Store {
    /// Opens the store.
    ///
    /// # Errors
    /// The file cannot be opened, is locked by another process, or is no store of ours.
    pub fn open(location: &StoreLocation) -> Result<Self, StoreError> {
        Ok(match location {
            StoreLocation::Memory => Self::with_backend(memory::Memory::default()),
            StoreLocation::File(path) => Self::with_backend(file::File::open(path)?),
        })
    }

    /// Takes a backend.
    pub(crate) fn with_backend(backend: impl Backend + 'static) -> Self {
        Self { backend: Arc::new(backend), live: Live::default(), refreshes: Refreshes::default() }
    }

    /// Returns the backend, for the start, where blocking is no harm.
    pub(crate) fn backend(&self) -> &dyn Backend {
        &*self.backend
    }

    /// Returns the sessions that are in memory.
    pub(crate) const fn live(&self) -> &Live {
        &self.live
    }

    /// Returns the refreshes of sessions that are under way.
    pub(crate) const fn refreshes(&self) -> &Refreshes {
        &self.refreshes
    }

    /// Runs work on the backend where it may block.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Backend) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        if !self.backend.blocks() {
            return work(&*self.backend);
        }
        let backend = Arc::clone(&self.backend);
        tokio::task::spawn_blocking(move || work(&*backend))
            .await
            .unwrap_or_else(|error| Err(StoreError::Failed(error.to_string())))
    }
}

/// A sorted table whose rows end by themselves. A row that has ended counts as absent.
pub(crate) trait Backend: Debug + Send + Sync {
    /// Returns whether calls wait for a disk.
    fn blocks(&self) -> bool;

    /// Returns the value of a row.
    fn get(&self, key: &Key, now: Timestamp) -> Result<Option<Vec<u8>>, StoreError>;

    /// Returns what stands behind `prefix` in the key of each row that begins with it.
    fn below(&self, prefix: &Key, now: Timestamp) -> Result<Vec<Vec<u8>>, StoreError>;

    /// Makes all changes or none, and removes some rows that have ended.
    fn commit(&self, changes: &[Change], now: Timestamp) -> Result<(), StoreError>;

    /// Puts a row unless it is there; returns whether it was put.
    fn put_new(&self, key: &Key, value: &[u8], expires: Timestamp, now: Timestamp) -> Result<bool, StoreError>;

    /// Replaces a row that is there; returns whether it was.
    fn replace(&self, key: &Key, value: &[u8], expires: Timestamp, now: Timestamp) -> Result<bool, StoreError>;

    /// Removes a row and returns its value: of several callers at once, one gets it.
    fn take(&self, key: &Key, now: Timestamp) -> Result<Option<Vec<u8>>, StoreError>;
}

/// One change of the table.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// Puts or replaces a row.
    Put { key: Key, value: Vec<u8>, expires: Timestamp },
    /// Removes a row, if it is there.
    Remove(Key),
}

impl Change {
    /// Puts or replaces a row.
    pub(crate) const fn put(key: Key, value: Vec<u8>, expires: Timestamp) -> Self {
        Self::Put { key, value, expires }
    }
}

/// The key of a row: a tag that says what it is, then parts of fixed length, so that no two keys can be confused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(Vec<u8>);

/// A SHA-256 hash.
pub(crate) type Hash = [u8; 32];

impl Key {
    /// The key that seals.
    pub(crate) fn seal_key() -> Self {
        Self::of(0, &[])
    }

    /// The key that signs.
    pub(crate) fn signing_key() -> Self {
        Self::of(1, &[])
    }

    /// The record of a sign-in.
    pub(crate) fn sign_in(id: &[u8]) -> Self {
        Self::of(2, &[id])
    }

    /// All sign-ins.
    pub(crate) fn sign_ins() -> Self {
        Self::of(2, &[])
    }

    /// When a sign-in was last seen.
    pub(crate) fn seen(id: &[u8]) -> Self {
        Self::of(3, &[id])
    }

    /// A handle.
    pub(crate) fn handle(hash: &Hash) -> Self {
        Self::of(4, &[hash])
    }

    /// The handles of a sign-in.
    pub(crate) fn handles_of(id: &[u8]) -> Self {
        Self::of(5, &[id])
    }

    /// The sign-ins of a user.
    pub(crate) fn sign_ins_of_user(user: &Hash) -> Self {
        Self::of(6, &[user])
    }

    /// The sign-ins of a session at the provider.
    pub(crate) fn sign_ins_of_provider_session(session: &Hash) -> Self {
        Self::of(7, &[session])
    }

    /// The sign-ins of programs that come of a sign-in.
    pub(crate) fn programs_of(id: &[u8]) -> Self {
        Self::of(9, &[id])
    }

    /// A value that is put once and taken once.
    pub(crate) fn once(name: &Hash) -> Self {
        Self::of(8, &[name])
    }

    /// A row below a prefix.
    pub(crate) fn with(mut self, part: &[u8]) -> Self {
        self.0.extend_from_slice(part);
        self
    }

    fn of(tag: u8, parts: &[&[u8]]) -> Self {
        let mut key = vec![tag];
        parts.iter().for_each(|part| key.extend_from_slice(part));
        Self(key)
    }
}

/// How many ended rows one commit removes at most: more than it adds, so the table shrinks to what is live, and few
/// enough that no commit is slow.
const PURGED_AT_ONCE: usize = 64;

/// Why the store did not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be opened.
    #[error("cannot open the session store `{path}`: {reason}")]
    Unopenable {
        /// The file.
        path: String,
        /// Why, and what to do.
        reason: String,
    },
    /// The store failed while it was used.
    #[error("the session store failed: {0}")]
    Failed(String),
}

#[cfg(test)]
pub(crate) mod tests;
