//! Our record that somebody signed in, with idle and absolute expiry.

mod find;
mod life;
mod live;
mod programs;
mod record;
mod renew;
mod sessions;
mod term;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::{Identity, Secret};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::SessionConfig;
use crate::assertion::AssertionCache;
use crate::store::Hash;

use self::life::{Life, Vouched};
pub(crate) use self::live::Live;
pub(crate) use self::programs::BrowserOf;
#[cfg(test)]
pub(crate) use self::programs::MOST_PROGRAMS;
pub(crate) use self::sessions::Sessions;
use self::term::{Term, Turn};

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
    provider_session: Option<Box<str>>,
    is_program: bool,
    created: Timestamp,
    expires: Timestamp,
    // A request is decided and recorded by what was vouched for when it came.
    vouched: Arc<Vouched>,
    life: Arc<Life>,
}

impl Session {
    /// Returns the id.
    #[must_use]
    pub const fn id(&self) -> &SessionId {
        &self.id
    }

    /// Returns who signed in.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.vouched.identity
    }

    /// Returns whether it is one that the user let a program on their computer have.
    #[must_use]
    pub const fn is_program(&self) -> bool {
        self.is_program
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
        self.vouched.described.get_or_init(|| describe(self))
    }

    /// Returns the assertions that were signed for it.
    pub(crate) fn assertions(&self) -> &AssertionCache {
        &self.vouched.assertions
    }

    /// Returns whether its provider has said since who the user is now.
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        !Arc::ptr_eq(&self.vouched, &self.life.vouched.load())
    }

    /// Returns the session with what its provider has said since.
    #[must_use]
    pub fn renewed(&self) -> Option<Arc<Self>> {
        let vouched = self.life.vouched.load_full();
        (!Arc::ptr_eq(&self.vouched, &vouched)).then(|| {
            let (id, provider_session, life) = (self.id.clone(), self.provider_session.clone(), Arc::clone(&self.life));
            let Self { sign_in, is_program, created, expires, .. } = *self;
            Arc::new(Self { id, sign_in, provider_session, is_program, created, expires, vouched, life })
        })
    }

    /// Returns whether its provider is to be asked again.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        now >= self.vouched.refresh_from
    }

    /// Returns whether its provider may have said something else meanwhile: a program hears what its user's browser is told.
    fn may_be_outdated(&self, now: Timestamp) -> bool {
        self.is_due(now) || self.is_program
    }

    /// Returns whether the ID token has not ended yet; one that nobody refreshes does not end.
    pub(crate) fn is_vouched_for(&self, now: Timestamp) -> bool {
        self.vouched.term.is_none_or(|term| now < term.until)
    }

    /// Returns whose turn it is to ask the provider.
    pub(crate) fn turn(&self) -> &Turn {
        &self.life.turn
    }

    /// Returns the provider's own session (`sid`).
    pub(crate) fn provider_session(&self) -> Option<&str> {
        self.provider_session.as_deref()
    }

    /// Returns how long the provider vouches for what it said.
    pub(crate) fn term(&self) -> Option<Term> {
        self.vouched.term
    }

    /// Returns how long it vouches for what it says now.
    pub(crate) fn next_term(&self, now: Timestamp, until: Option<Timestamp>) -> Option<Term> {
        self.vouched.term.map(|term| term.next(now, until))
    }

    /// Returns what names its record within the store.
    pub(crate) const fn sign_in(&self) -> &SignInId {
        &self.sign_in
    }

    fn seen(&self) -> Timestamp {
        Timestamp::from_microsecond(self.life.seen.load(Ordering::Relaxed)).unwrap_or(self.created)
    }
}

/// Names the record of one sign-in within the store. It is no credential: no request can present it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
