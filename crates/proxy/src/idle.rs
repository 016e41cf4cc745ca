//! Notices when something has waited for too long.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Follows something that moves and waits in turns.
#[derive(Debug)]
pub(crate) struct Idle {
    limit: Duration,
    /// When it began to wait; nothing where it does not wait.
    since: Option<Instant>,
    /// Made when first waited for: most never wait.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Idle {
    pub(crate) const fn new(limit: Duration) -> Self {
        Self { limit, since: None, timer: None }
    }

    /// Returns how long it may wait.
    pub(crate) const fn limit(&self) -> Duration {
        self.limit
    }

    /// It has moved.
    pub(crate) const fn moved(&mut self) {
        self.since = None;
    }

    /// It waits; ready once it has for too long. `last` is when something else moved that counts as well.
    pub(crate) fn poll(&mut self, last: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let since = *self.since.get_or_insert_with(Instant::now);
            let end = last.map_or(since, |last| last.max(since)) + self.limit;
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
            ready!(timer.as_mut().poll(cx));
            if end <= Instant::now() {
                return Poll::Ready(());
            }
            timer.as_mut().reset(end);
        }
    }
}
