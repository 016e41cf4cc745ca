//! Where sessions are kept.

use crate::StoreLocation;

/// The session store. Outlives snapshots.
#[derive(Debug)]
pub struct Store {}

impl Store {
    /// Opens the store.
    ///
    /// # Errors
    /// The file cannot be opened, is locked by another process, or is no store of ours.
    pub fn open(_location: &StoreLocation) -> Result<Self, StoreError> {
        Ok(Self {})
    }
}

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
