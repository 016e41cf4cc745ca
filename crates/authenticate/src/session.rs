//! Our record that somebody signed in.

use identity::Identity;
use jiff::Timestamp;

/// What logs and policies call a session: a prefix of a hash, no credential.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionId(Box<str>);

impl SessionId {
    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One sign-in, as one host sees it. Shared by all requests that present its handle.
#[derive(Debug)]
pub struct Session {
    id: SessionId,
    identity: Identity,
    created: Timestamp,
    expires: Timestamp,
}

impl Session {
    /// Returns the id.
    #[must_use]
    pub const fn id(&self) -> &SessionId {
        &self.id
    }

    /// Returns who signed in.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Returns when the user signed in.
    #[must_use]
    pub const fn created(&self) -> Timestamp {
        self.created
    }

    /// Returns when the session ends, whatever happens.
    #[must_use]
    pub const fn expires(&self) -> Timestamp {
        self.expires
    }
}
