//! Active health checks: what they found of an endpoint, and when it is asked again.

mod probe;

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{sleep, timeout};

use super::endpoint::Endpoint;
use crate::config::HealthCheck;

/// What active checks found of one endpoint.
#[derive(Debug)]
pub(super) struct Health {
    check: HealthCheck,
    found: AtomicU8,
    task: OnceLock<Watching>,
}

/// The task that checks; ends with the endpoint.
#[derive(Debug)]
struct Watching(AbortHandle);

/// Results of the same kind in a row.
#[derive(Clone, Copy, Debug, Default)]
struct Streak {
    good: u32,
    bad: u32,
}

impl Health {
    pub(super) const fn new(check: HealthCheck) -> Self {
        Self { check, found: AtomicU8::new(UNKNOWN), task: OnceLock::new() }
    }

    /// Returns whether requests may go to the endpoint. One that was not asked yet is believed to work.
    pub(super) fn is_good(&self) -> bool {
        self.found.load(Ordering::Relaxed) != BAD
    }

    /// Begins to check, once.
    pub(super) fn watch(&self, endpoint: &Arc<Endpoint>) {
        self.task.get_or_init(|| {
            let task: JoinHandle<()> = tokio::spawn(watch(Arc::downgrade(endpoint), self.check.clone()));
            Watching(task.abort_handle())
        });
    }

    /// Takes in one result. The first decides at once: until then nothing was known.
    fn found(&self, endpoint: &Endpoint, streak: &mut Streak, result: Result<(), String>) {
        let before = self.found.load(Ordering::Relaxed);
        let (now, reason) = match result {
            Ok(()) => {
                *streak = Streak { good: streak.good.saturating_add(1), bad: 0 };
                let back = before == UNKNOWN || streak.good >= self.check.healthy_threshold;
                (if back { GOOD } else { before }, None)
            }
            Err(reason) => {
                *streak = Streak { good: 0, bad: streak.bad.saturating_add(1) };
                let out = before == UNKNOWN || streak.bad >= self.check.unhealthy_threshold;
                (if out { BAD } else { before }, Some(reason))
            }
        };
        self.found.store(now, Ordering::Relaxed);
        let name = endpoint.name();
        match (before, now) {
            (UNKNOWN | GOOD, BAD) => {
                tracing::warn!(upstream.address = %name, error = reason.as_deref(), "upstream endpoint is unhealthy");
            }
            (BAD, GOOD) => tracing::info!(upstream.address = %name, "upstream endpoint is healthy again"),
            _ => {}
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn watch(endpoint: Weak<Endpoint>, check: HealthCheck) {
    let mut streak = Streak::default();
    while let Some(endpoint) = endpoint.upgrade() {
        let result = timeout(check.timeout, probe::ask(&endpoint, &check.probe))
            .await
            .unwrap_or_else(|_| Err(format!("health check: no answer within {:?}", check.timeout)));
        if let Some(health) = endpoint.health() {
            health.found(&endpoint, &mut streak, result);
        }
        drop(endpoint);
        sleep(check.interval + share(check.jitter)).await;
    }
}

/// Returns a part of `whole`, by chance.
fn share(whole: Duration) -> Duration {
    let mut random = [0; 2];
    // Without chance all instances check at once, which is no reason not to check.
    let _unlucky = aws_lc_rs::rand::fill(&mut random);
    whole.mul_f64(f64::from(u16::from_be_bytes(random)) / f64::from(u16::MAX))
}

const UNKNOWN: u8 = 0;
const GOOD: u8 = 1;
const BAD: u8 = 2;

#[cfg(test)]
mod tests;
