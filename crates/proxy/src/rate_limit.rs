//! Bounds the requests that one user or one address makes of a route.
//!
//! Each of them has a budget that refills evenly (the generic cell rate algorithm): all of it may be used at once, and
//! then as fast as it refills.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use identity::Ip;
use tokio::time::Instant;

use crate::config::{RateLimit, RateLimitBy};

/// The budgets of one route.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    limit: RateLimit,
    hasher: RandomState,
    budgets: Mutex<Budgets>,
}

#[derive(Debug, Default)]
struct Budgets {
    // When each is full again.
    full_at: HashMap<Key, Instant>,
    // Looking through all of them is work that must not be ordered with each request.
    tidied: Option<Instant>,
}

/// Whose budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    /// A client's, by [`Ip::network`].
    Client(Ip),
    /// A user's, by the hash of the id.
    User(u64),
    /// That of all for whom there is no place.
    Others,
}

impl RateLimiter {
    pub(crate) fn new(limit: RateLimit) -> Self {
        Self { limit, hasher: RandomState::new(), budgets: Mutex::default() }
    }

    /// Returns what it counts by.
    pub(crate) const fn limit(&self) -> &RateLimit {
        &self.limit
    }

    /// Takes a request from the budgets of a user and of an address, whichever count.
    ///
    /// # Errors
    /// One of them is used up; after so long it has room for one more.
    pub(crate) fn take(&self, user: Option<&str>, client: Ip, now: Instant) -> Result<(), Duration> {
        let of_client = Key::Client(client.network());
        // Whoever has not signed in is told by the address alone.
        let of_user = user.map_or(of_client, |user| Key::User(self.hasher.hash_one(user)));
        match self.limit.by {
            RateLimitBy::Client => self.take_from(&[of_client], now),
            RateLimitBy::User => self.take_from(&[of_user], now),
            RateLimitBy::Both if of_user == of_client => self.take_from(&[of_client], now),
            RateLimitBy::Both => self.take_from(&[of_client, of_user], now),
        }
    }

    fn take_from(&self, keys: &[Key], now: Instant) -> Result<(), Duration> {
        let RateLimit { requests, period, .. } = self.limit;
        let one = period / requests.max(1);
        let mut budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        let Budgets { full_at, tidied } = &mut *budgets;
        let is_tidy = tidied.is_some_and(|tidied| now.duration_since(tidied) < TIDY);
        if full_at.len() + keys.len() > MAX_BUDGETS && !is_tidy {
            // A budget that is full again is as good as none.
            full_at.retain(|_, full_at| *full_at > now);
            *tidied = Some(now);
        }
        let room = full_at.len() + keys.len() <= MAX_BUDGETS;
        let known = |key: &Key| if room || full_at.contains_key(key) { *key } else { Key::Others };
        let keys: Vec<_> = keys.iter().map(known).collect();
        for key in &keys {
            let after = full_at.get(key).map_or(now, |full_at| (*full_at).max(now)) + one;
            let wait = after.duration_since(now).saturating_sub(period);
            if !wait.is_zero() {
                return Err(wait);
            }
        }
        for key in keys {
            let full_at = full_at.entry(key).or_insert(now);
            *full_at = (*full_at).max(now) + one;
        }
        Ok(())
    }
}

/// Further ones share one budget: nobody gets round the limit by coming from everywhere, and memory stays bounded.
const MAX_BUDGETS: usize = 65_536;

/// How often those that are full again are forgotten, where there is no place left.
const TIDY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
