//! What can be wrong with the configuration of sign-in.

use crate::StoreError;

/// What can be wrong when sign-in is set up.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticateError {
    /// A configured key cannot be used.
    #[error("`keys.{key}[{index}]`: {reason}")]
    UnusableKey {
        /// `seal` or `signing`.
        key: &'static str,
        /// Which of the list.
        index: usize,
        /// Why, without the key.
        reason: &'static str,
    },
    /// A `ca_file` cannot be used.
    #[error("provider `{provider}`: `ca_file`: {reason}")]
    UnusableCa {
        /// The provider's id.
        provider: String,
        /// Why.
        reason: String,
    },
    /// The key did not sign an assertion.
    #[error("the signing key did not sign the assertion")]
    Unsigned,
    /// The session store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
