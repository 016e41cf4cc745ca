//! Round robin.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Whose turn it is.
#[derive(Debug, Default)]
pub(super) struct RoundRobin {
    turn: AtomicUsize,
}

impl RoundRobin {
    /// Returns every item once, beginning with the next one in turn.
    pub(super) fn next<'a, T>(&self, items: &'a [T]) -> impl Iterator<Item = &'a T> + use<'a, T> {
        let first = match items.len() {
            0 | 1 => 0,
            several => self.turn.fetch_add(1, Ordering::Relaxed) % several,
        };
        let (earlier, later) = items.split_at_checked(first).unwrap_or((&[], items));
        later.iter().chain(earlier)
    }
}
