//! What all copies of a session in memory share: one may be held by a stream long after another took its place.

use std::sync::atomic::{AtomicBool, AtomicI64};
use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwap, ArcSwapOption};
use identity::Identity;
use jiff::Timestamp;

use super::SignInId;
use super::term::{Term, Turn};
use crate::assertion::AssertionCache;

/// What all copies of a session share.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) ended: AtomicBool,
    // In microseconds, as `Timestamp` counts them: when the last request came, and the last such time that was noted
    // for the store.
    pub(super) seen: AtomicI64,
    pub(super) noted: AtomicI64,
    /// What the provider said last.
    pub(super) vouched: ArcSwap<Vouched>,
    /// Who asks it again.
    pub(super) turn: Turn,
    /// Of a program's session, that of its browser's once it was asked for: nobody else may hold it, and with it would go how its
    /// last refresh went, and a refresh token that the store did not take.
    pub(super) browser: ArcSwapOption<Self>,
}

/// What a provider said of a user, and what was made of that.
#[derive(Debug)]
pub(super) struct Vouched {
    pub(super) identity: Identity,
    /// None where there is no refresh token, or nothing to refresh before the session ends.
    pub(super) term: Option<Term>,
    /// The end of time where there is no term.
    pub(super) refresh_from: Timestamp,
    pub(super) assertions: AssertionCache,
    /// How the records of its requests tell of it, once there was one.
    pub(super) described: OnceLock<Box<str>>,
}

impl Life {
    pub(super) fn new(seen: Timestamp, vouched: Arc<Vouched>) -> Self {
        let seen = seen.as_microsecond();
        Self {
            ended: AtomicBool::new(false),
            seen: AtomicI64::new(seen),
            noted: AtomicI64::new(seen),
            vouched: ArcSwap::new(vouched),
            turn: Turn::default(),
            browser: ArcSwapOption::empty(),
        }
    }
}

impl Vouched {
    /// What a provider said for the session of that sign-in, which ends at `expires`.
    pub(super) fn new(identity: Identity, term: Option<Term>, sign_in: &SignInId, expires: Timestamp) -> Self {
        let term = term.filter(|term| term.until < expires);
        Self {
            identity,
            term,
            refresh_from: term.map_or(Timestamp::MAX, |term| term.refresh_from(sign_in)),
            assertions: AssertionCache::default(),
            described: OnceLock::new(),
        }
    }
}
