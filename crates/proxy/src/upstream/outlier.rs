//! Leaves out endpoints that fail the requests of a route.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::OutlierDetection;

/// What the requests of one route found out about one endpoint.
#[derive(Debug)]
pub(super) struct Outlier {
    epoch: Instant,
    /// Failures since the last success.
    failures: AtomicU32,
    /// Ejections in a row: the next lasts so many times as long, and once more.
    ejections: AtomicU32,
    /// Milliseconds after `epoch` at which the last ejection ends; 0 before the first.
    until: AtomicU64,
}

impl Outlier {
    pub(super) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            failures: AtomicU32::new(0),
            ejections: AtomicU32::new(0),
            until: AtomicU64::new(0),
        }
    }

    pub(super) fn is_ejected(&self) -> bool {
        match self.until.load(Ordering::Relaxed) {
            0 => false,
            until => self.since(Instant::now()) < until,
        }
    }

    pub(super) fn succeeded(&self) {
        // Written only where it changes: all threads share it.
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// Counts a failure; returns whether there have been enough.
    pub(super) fn failed(&self, limits: &OutlierDetection) -> bool {
        self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= limits.consecutive_failures
    }

    /// Ejects, for longer each time; returns for how long. An endpoint that stayed in service for as long as an ejection
    /// may last begins anew.
    pub(super) fn eject(&self, limits: &OutlierDetection, now: Instant) -> Duration {
        let (now, last) = (self.since(now), self.until.load(Ordering::Relaxed));
        if now.saturating_sub(last) >= millis(limits.max_ejection_time) {
            self.ejections.store(0, Ordering::Relaxed);
        }
        let times = self.ejections.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let duration = limits.ejection_time.saturating_mul(times).min(limits.max_ejection_time);
        self.failures.store(0, Ordering::Relaxed);
        self.until.store(now + millis(duration), Ordering::Relaxed);
        duration
    }

    /// Returns how often in a row there were ejections.
    pub(super) fn ejections(&self) -> u32 {
        self.ejections.load(Ordering::Relaxed)
    }

    fn since(&self, now: Instant) -> u64 {
        // Never 0, which stands for no ejection.
        millis(now.duration_since(self.epoch)) + 1
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests;
