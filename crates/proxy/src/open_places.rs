//! Counts the connections that a listener has open: on its socket, whatever configurations follow each other on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// The open connections of one listener. How many there may be is for the configuration in force to say.
#[derive(Debug, Default)]
pub(crate) struct OpenPlaces {
    taken: AtomicUsize,
    freed: Notify,
}

/// The place of one connection, until dropped.
#[derive(Debug)]
pub(crate) struct OpenPlace(Arc<OpenPlaces>);

impl OpenPlaces {
    /// Takes a place, where fewer than `limit` are taken.
    pub(crate) fn try_take(self: &Arc<Self>, limit: usize) -> Option<OpenPlace> {
        let next = |taken: usize| (taken < limit).then_some(taken + 1);
        let taken = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        taken.is_ok().then(|| OpenPlace(Arc::clone(self)))
    }

    /// Waits for a place. One waits at a time: the task that accepts.
    pub(crate) async fn take(self: &Arc<Self>, limit: usize) -> OpenPlace {
        loop {
            if let Some(place) = self.try_take(limit) {
                return place;
            }
            // What was freed since is remembered.
            self.freed.notified().await;
        }
    }
}

impl Drop for OpenPlace {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests;
