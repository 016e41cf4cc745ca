//! What the provider remembers under names that nobody can guess, for a while.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::rand;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

/// Entries that end on their own after a fixed time.
#[derive(Debug)]
pub(super) struct Ledger<T> {
    seconds: i64,
    kept: Mutex<Kept<T>>,
}

#[derive(Debug)]
struct Kept<T> {
    entries: HashMap<String, Entry<T>>,
    /// Their names, those that end first at the front; of some the entry is gone.
    ends: VecDeque<(i64, String)>,
}

#[derive(Debug)]
struct Entry<T> {
    until: i64,
    value: T,
}

impl<T: Clone> Ledger<T> {
    pub(super) fn new(seconds: i64) -> Self {
        Self { seconds, kept: Mutex::new(Kept { entries: HashMap::new(), ends: VecDeque::new() }) }
    }

    /// Keeps `value` under a new name; `None` when there is no randomness. Where there is no room, what would end first is forgotten.
    pub(super) fn put(&self, value: T, now: i64) -> Option<String> {
        let name = random()?;
        let until = now + self.seconds;
        let mut kept = self.kept();
        let Kept { entries, ends } = &mut *kept;
        while ends.len() >= MAX_ENTRIES || ends.front().is_some_and(|(until, _)| *until <= now) {
            let Some((_, first)) = ends.pop_front() else { break };
            entries.remove(&first);
        }
        entries.insert(name.clone(), Entry { until, value });
        ends.push_back((until, name.clone()));
        Some(name)
    }

    /// Returns what is kept under `name`.
    pub(super) fn get(&self, name: &str, now: i64) -> Option<T> {
        self.kept().entries.get(name).filter(|entry| entry.until > now).map(|entry| entry.value.clone())
    }

    /// Changes what is kept under `name`; what `change` refuses is forgotten.
    pub(super) fn change<C>(&self, name: &str, now: i64, change: impl FnOnce(&mut T) -> Option<C>) -> Option<C> {
        let entries = &mut self.kept().entries;
        let changed =
            entries.get_mut(name).filter(|entry| entry.until > now).and_then(|entry| change(&mut entry.value));
        if changed.is_none() {
            entries.remove(name);
        }
        changed
    }

    /// Returns what is kept under `name`, and forgets it.
    pub(super) fn take(&self, name: &str, now: i64) -> Option<T> {
        self.kept().entries.remove(name).filter(|entry| entry.until > now).map(|entry| entry.value)
    }

    fn kept(&self) -> MutexGuard<'_, Kept<T>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests;
