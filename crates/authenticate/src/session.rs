//! Our record that somebody signed in, with idle and absolute expiry.

mod find;
mod live;
mod record;
mod sessions;

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::{Identity, Secret};
use jiff::Timestamp;

use crate::SessionConfig;
use crate::assertion::AssertionCache;
use crate::store::Hash;

pub(crate) use self::live::Live;
pub(crate) use self::sessions::Sessions;

/// What logs and policies call a session: a prefix of a hash, no credential. It is the same on every host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionId(Box<str>);

impl SessionId {
    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One sign-in. Shared by all requests that present one of its handles.
#[derive(Debug)]
pub struct Session {
    id: SessionId,
    sign_in: SignInId,
    identity: Identity,
    provider_session: Option<Box<str>>,
    created: Timestamp,
    expires: Timestamp,
    life: Arc<Life>,
    assertions: AssertionCache,
    // How the records of its requests tell of it, once there was one.
    described: OnceLock<Box<str>>,
}

/// What all copies of a session in memory share: one may be held by a stream long after another took its place.
#[derive(Debug)]
struct Life {
    ended: AtomicBool,
    // In microseconds, as `Timestamp` counts them: when the last request came, and the last such time that was noted
    // for the store.
    seen: AtomicI64,
    noted: AtomicI64,
}

impl Life {
    fn new(seen: Timestamp) -> Self {
        let seen = seen.as_microsecond();
        Self { ended: AtomicBool::new(false), seen: AtomicI64::new(seen), noted: AtomicI64::new(seen) }
    }
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

    /// Returns when the last request came, as far as this process knows; noted only under an idle timeout.
    #[must_use]
    pub fn last_seen(&self) -> Timestamp {
        self.seen()
    }

    /// Returns how records tell of it: the same for all its requests, so it is written out once.
    pub fn described(&self, describe: impl FnOnce(&Self) -> Box<str>) -> &str {
        self.described.get_or_init(|| describe(self))
    }

    /// Returns the assertions that were signed for it.
    pub(crate) const fn assertions(&self) -> &AssertionCache {
        &self.assertions
    }

    fn seen(&self) -> Timestamp {
        Timestamp::from_microsecond(self.life.seen.load(Ordering::Relaxed)).unwrap_or(self.created)
    }
}

/// Names the record of one sign-in within the store. It is no credential: no request can present it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SignInId([u8; Self::LEN]);

impl SignInId {
    const LEN: usize = 16;

    /// Returns the bytes.
    pub(crate) const fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads the bytes.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    fn random() -> Self {
        Self(crate::keys::random_bytes())
    }

    /// Returns the id for logs: 72 bits of the hash, so that no two sessions share one by chance.
    fn session_id(&self) -> SessionId {
        let hash = sha256(&[b"session", &self.0]);
        let prefix = hash.first_chunk::<9>().map_or_else(String::new, |prefix| URL_SAFE_NO_PAD.encode(prefix));
        SessionId(prefix.into())
    }
}

/// What a sign-in found out.
#[derive(Clone, Debug)]
pub(crate) struct NewSession {
    /// Who signed in.
    pub(crate) identity: Identity,
    /// The ID token, for the provider's sign-out.
    pub(crate) id_token: Option<Secret>,
    /// The refresh token.
    pub(crate) refresh_token: Option<Secret>,
    /// The `sid` claim: the provider's own session.
    pub(crate) provider_session: Option<String>,
}

/// How a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Live,
    /// Nobody made a request for too long.
    Idle,
    /// Its lifetime is over.
    Over,
}

/// Tells how a session stands. A lifetime that the configuration shortened holds for sessions that exist, too.
fn standing(
    bounds: &SessionConfig,
    created: Timestamp,
    expires: Timestamp,
    seen: Timestamp,
    now: Timestamp,
) -> Standing {
    if now >= expires || now >= after(created, bounds.lifetime) {
        return Standing::Over;
    }
    match bounds.idle_timeout {
        Some(timeout) if now >= after(seen, timeout) => Standing::Idle,
        _ => Standing::Live,
    }
}

/// Returns the time so long after another; the end of time where there is none.
fn after(time: Timestamp, duration: Duration) -> Timestamp {
    time.checked_add(duration).unwrap_or(Timestamp::MAX)
}

/// Hashes parts with the length of each in front, so that no byte can move from one part to the next.
fn sha256(parts: &[&[u8]]) -> Hash {
    let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for part in parts {
        digest.update(&(part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finish().as_ref().try_into().unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod tests;
