//! The sessions in memory: what makes a request of a known session cheap, and a revocation immediate.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use identity::Origin;
use jiff::Timestamp;
use quick_cache::sync::Cache;

use super::{Life, Session, SignInId, Vouched};
use crate::store::Hash;

/// A session as one host knows it.
#[derive(Debug)]
pub(super) struct Bound {
    /// Where the handle is good.
    pub(super) origin: Origin,
    /// The session.
    pub(super) session: Arc<Session>,
}

/// The sessions in memory.
pub(crate) struct Live {
    handles: Cache<Hash, Arc<Bound>>,
    sessions: Cache<SignInId, Arc<Session>>,
    revocations: AtomicU64,
    seen: Mutex<Seen>,
    // Of every session that somebody holds, in the caches or not.
    lives: Mutex<HashMap<SignInId, Weak<Life>>>,
}

/// When sessions were seen that the store has not heard of.
#[derive(Debug, Default)]
struct Seen {
    noted: Vec<(SignInId, Timestamp, Timestamp)>,
    written: Option<Timestamp>,
}

/// How many sessions were revoked before something was read from the store.
#[derive(Clone, Copy, Debug)]
pub(super) struct Epoch(u64);

impl Live {
    /// Returns what is known of a handle.
    pub(super) fn handle(&self, hash: &Hash) -> Option<Arc<Bound>> {
        self.handles.get(hash)
    }

    /// Returns what is known of a sign-in.
    pub(super) fn session(&self, sign_in: &SignInId) -> Option<Arc<Session>> {
        self.sessions.get(sign_in)
    }

    /// Says that the store is about to be read.
    pub(super) fn epoch(&self) -> Epoch {
        Epoch(self.revocations.load(Ordering::SeqCst))
    }

    /// Keeps what was read since `epoch`; returns false, and keeps nothing, where a session was revoked meanwhile: it
    /// may be this one, read just before its record went.
    pub(super) fn keep(&self, epoch: Epoch, hash: Hash, bound: &Arc<Bound>) -> bool {
        let sign_in = bound.session.sign_in;
        self.sessions.insert(sign_in, Arc::clone(&bound.session));
        self.handles.insert(hash, Arc::clone(bound));
        // `revoke` counts first and removes then: either it sees the rows above, or the count shows here.
        let unchanged = self.epoch().0 == epoch.0;
        if !unchanged {
            self.forget(&hash, &sign_in);
        }
        unchanged
    }

    /// Drops a session from memory; the store may still know it.
    pub(super) fn forget(&self, hash: &Hash, sign_in: &SignInId) {
        self.handles.remove(hash);
        self.sessions.remove(sign_in);
    }

    /// Drops all sessions from memory; the store may still know them.
    pub(crate) fn clear(&self) {
        self.revocations.fetch_add(1, Ordering::SeqCst);
        self.sessions.clear();
        self.handles.clear();
    }

    /// Returns what all copies of a session share. Where there is one, what is vouched for in it is at least as new.
    pub(super) fn life(&self, sign_in: &SignInId, seen: Timestamp, vouched: Vouched) -> Arc<Life> {
        let mut lives = self.lives();
        if let Some(life) = lives.get(sign_in).and_then(Weak::upgrade) {
            life.seen.fetch_max(seen.as_microsecond(), Ordering::Relaxed);
            return life;
        }
        // Now and then those that nobody holds any more are dropped, in time that making them has paid for.
        if lives.len() == lives.capacity() {
            lives.retain(|_, life| life.strong_count() > 0);
        }
        let life = Arc::new(Life::new(seen, Arc::new(vouched)));
        lives.insert(*sign_in, Arc::downgrade(&life));
        life
    }

    fn lives(&self) -> MutexGuard<'_, HashMap<SignInId, Weak<Life>>> {
        self.lives.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops a session whose record has gone from the store, and tells all who hold it.
    pub(super) fn revoke(&self, sign_in: &SignInId, handles: &[Hash]) {
        self.revocations.fetch_add(1, Ordering::SeqCst);
        if let Some(life) = self.lives().remove(sign_in).and_then(|life| life.upgrade()) {
            life.ended.store(true, Ordering::Release);
        }
        self.sessions.remove(sign_in);
        for hash in handles {
            self.handles.remove(hash);
        }
    }

    /// Drops a handle whose record has gone from the store.
    pub(super) fn revoke_handle(&self, hash: &Hash) {
        self.revocations.fetch_add(1, Ordering::SeqCst);
        self.handles.remove(hash);
    }

    /// Notes that a session was seen; returns what is to be written when the last write is `interval` ago.
    pub(super) fn note_seen(&self, session: &Session, now: Timestamp, interval: std::time::Duration) -> Noted {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.noted.push((session.sign_in, now, session.expires));
        let due = seen.written.is_none_or(|written| now >= super::after(written, interval));
        if !due && seen.noted.len() < MAX_NOTED {
            return Vec::new();
        }
        seen.written = Some(now);
        std::mem::take(&mut seen.noted)
    }

    /// Returns all that is to be written.
    pub(super) fn take_noted(&self) -> Noted {
        std::mem::take(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner).noted)
    }
}

/// Sign-ins, when each was seen, and when each ends.
pub(super) type Noted = Vec<(SignInId, Timestamp, Timestamp)>;

impl Default for Live {
    fn default() -> Self {
        Self {
            handles: Cache::new(MAX_HANDLES),
            sessions: Cache::new(MAX_SESSIONS),
            revocations: AtomicU64::new(0),
            seen: Mutex::default(),
            lives: Mutex::default(),
        }
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("handles", &self.handles.len()).finish_non_exhaustive()
    }
}

/// How many handles stay in memory. One that is not is read from the store again.
const MAX_HANDLES: usize = 32_768;

/// How many sessions stay in memory, a few KiB each.
const MAX_SESSIONS: usize = 8_192;

/// How many sightings wait at most before they are written early.
const MAX_NOTED: usize = 4_096;
