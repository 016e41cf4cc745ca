//! What the provider remembers under names that nobody can guess, for a while.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::rand;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

/// Entries that end on their own after a fixed time.
#[derive(Debug)]
pub(super) struct Ledger<T> {
    seconds: i64,
    entries: Mutex<HashMap<String, Entry<T>>>,
}

#[derive(Debug)]
struct Entry<T> {
    until: i64,
    value: T,
}

impl<T: Clone> Ledger<T> {
    pub(super) fn new(seconds: i64) -> Self {
        Self { seconds, entries: Mutex::default() }
    }

    /// Keeps `value` under a new name; `None` when there is no room or no randomness.
    pub(super) fn put(&self, value: T, now: i64) -> Option<String> {
        let name = random()?;
        let mut entries = self.entries();
        entries.retain(|_, entry| entry.until > now);
        if entries.len() >= MAX_ENTRIES {
            return None;
        }
        entries.insert(name.clone(), Entry { until: now + self.seconds, value });
        Some(name)
    }

    /// Returns what is kept under `name`.
    pub(super) fn get(&self, name: &str, now: i64) -> Option<T> {
        self.entries().get(name).filter(|entry| entry.until > now).map(|entry| entry.value.clone())
    }

    /// Changes what is kept under `name`; what `change` refuses is forgotten.
    pub(super) fn change<C>(&self, name: &str, now: i64, change: impl FnOnce(&mut T) -> Option<C>) -> Option<C> {
        let mut entries = self.entries();
        let changed =
            entries.get_mut(name).filter(|entry| entry.until > now).and_then(|entry| change(&mut entry.value));
        if changed.is_none() {
            entries.remove(name);
        }
        changed
    }

    /// Returns what is kept under `name`, and forgets it.
    pub(super) fn take(&self, name: &str, now: i64) -> Option<T> {
        self.entries().remove(name).filter(|entry| entry.until > now).map(|entry| entry.value)
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<String, Entry<T>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns what nobody can guess; `None` when there is no randomness.
pub(super) fn random() -> Option<String> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).ok()?;
    Some(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

/// Bounds the memory that callers without a name can take.
const MAX_ENTRIES: usize = 10_000;
