//! When a session is refreshed, and by whom.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use identity::Secret;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::{NewSession, SignInId};
use crate::oidc::{self, MAX_BACK_OFF, back_off};

/// How long a provider vouches for what it said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Term {
    /// When it said so.
    pub(super) since: Timestamp,
    /// The end of the ID token.
    pub(super) until: Timestamp,
}

/// Whose turn it is to refresh a session, and how that went.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    // Held by whoever asks. Holds a refresh token that the store did not take.
    asking: Arc<Mutex<Option<Secret>>>,
    failures: AtomicU32,
    // In microseconds; no attempt before.
    off_until: AtomicI64,
}

impl Term {
    /// Returns the term of a sign-in, where it brought what it can be refreshed with.
    pub(super) fn of(new: &NewSession, now: Timestamp) -> Option<Self> {
        new.refresh_token.as_ref().and_then(|_| oidc::ends(&new.identity)).map(|until| Self { since: now, until })
    }

    /// Returns when to ask again: a minute before the end, or the last fifth of a short life, and up to half of that sooner,
    /// so that those who signed in together are not refreshed together. Never at once, or a provider whose tokens end as they
    /// come would be asked without end.
    pub(super) fn refresh_from(&self, sign_in: &SignInId) -> Timestamp {
        let early = (self.life() / 5).clamp(SignedDuration::ZERO, EARLY);
        let [spread, ..] = sign_in.0;
        let jitter = early / 2 * i32::from(spread) / 256;
        let from = self.until.checked_sub(early + jitter).unwrap_or(self.until);
        from.max(self.since.checked_add(AT_MOST_EVERY).unwrap_or(from))
    }

    /// Returns the term that begins now: to the end that is known, or as long as this one.
    pub(super) fn next(&self, now: Timestamp, until: Option<Timestamp>) -> Self {
        let until = until.or_else(|| now.checked_add(self.life()).ok()).unwrap_or(Timestamp::MAX);
        Self { since: now, until }
    }

    fn life(&self) -> SignedDuration {
        self.until.duration_since(self.since)
    }
}

impl Turn {
    /// Takes the turn, unless somebody has it.
    pub(crate) fn take(&self) -> Option<OwnedMutexGuard<Option<Secret>>> {
        Arc::clone(&self.asking).try_lock_owned().ok()
    }

    /// Takes the turn when whoever has it is done.
    pub(crate) async fn next(&self) -> OwnedMutexGuard<Option<Secret>> {
        Arc::clone(&self.asking).lock_owned().await
    }

    /// Waits until whoever has the turn is done.
    pub(crate) async fn over(&self) {
        drop(self.asking.lock().await);
    }

    /// Returns whether the provider is left alone because it has just failed.
    pub(crate) fn is_off(&self, now: Timestamp) -> bool {
        let left = self.off_until.load(Ordering::Relaxed).saturating_sub(now.as_microsecond());
        // More than was ever set: the clock was set back.
        left > 0 && i128::from(left) <= MAX_BACK_OFF.as_micros()
    }

    /// Returns whether the last attempt failed.
    pub(crate) fn fails(&self) -> bool {
        self.failures.load(Ordering::Relaxed) > 0
    }

    /// Notes that an attempt failed; returns whether the one before had not.
    pub(crate) fn failed(&self, now: Timestamp) -> bool {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed);
        let off_until = now.checked_add(back_off(failures)).unwrap_or(now);
        self.off_until.store(off_until.as_microsecond(), Ordering::Relaxed);
        failures == 0
    }

    /// Notes that an attempt succeeded.
    pub(crate) fn succeeded(&self) {
        self.failures.store(0, Ordering::Relaxed);
        self.off_until.store(0, Ordering::Relaxed);
    }
}

const EARLY: SignedDuration = SignedDuration::from_secs(60);
const AT_MOST_EVERY: SignedDuration = SignedDuration::from_secs(1);

#[cfg(test)]
mod tests;
