//! Bounds retries by the number of requests, so that they do not bury an upstream that fails.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use tokio::time::Instant;

/// What a route may still retry.
#[derive(Debug)]
pub(super) struct Budget {
    /// What a request adds.
    share: i64,
    /// In hundredths of a retry.
    balance: AtomicI64,
    epoch: Instant,
    /// The second after `epoch` at which the reserve was added last.
    reserved: AtomicU64,
}

impl Budget {
    pub(super) fn new(percent: u32) -> Self {
        Self {
            share: i64::from(percent),
            balance: AtomicI64::new(if percent == 0 { 0 } else { MOST }),
            epoch: Instant::now(),
            reserved: AtomicU64::new(0),
        }
    }

    /// Adds a request's share.
    pub(super) fn deposit(&self) {
        // While nothing fails nothing is written: all threads share it.
        if self.balance.load(Ordering::Relaxed) < MOST {
            self.balance.fetch_add(self.share, Ordering::Relaxed);
        }
    }

    /// Takes one retry, where there is one.
    pub(super) fn withdraw(&self, now: Instant) -> bool {
        let second = now.duration_since(self.epoch).as_secs();
        let since = second.saturating_sub(self.reserved.fetch_max(second, Ordering::Relaxed));
        if since > 0 && self.share > 0 {
            let reserve = i64::try_from(since).unwrap_or(MOST).saturating_mul(RESERVE);
            self.balance.fetch_add(reserve.min(MOST), Ordering::Relaxed);
        }
        let take = |balance: i64| (balance >= RETRY).then(|| balance.min(MOST) - RETRY);
        self.balance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

/// One retry.
const RETRY: i64 = 100;

/// Retries that may come at once.
const MOST: i64 = 20 * RETRY;

/// Added each second, for routes with few requests.
const RESERVE: i64 = 2 * RETRY;

#[cfg(test)]
mod tests;
