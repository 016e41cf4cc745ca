//! The newest records, or the oldest: so many of them, and no more in memory, however many match.

use std::collections::BinaryHeap;
use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ::audit::{Collect, Found, Order, Summary};

/// Keeps the newest records, or the oldest.
#[derive(Debug)]
pub(super) struct Newest {
    limit: usize,
    order: Order,
    kept: Mutex<BinaryHeap<Kept>>,
}

/// A record that is kept. The last in order goes first when there are too many.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kept {
    rank: i64,
    pub(super) line: Box<[u8]>,
    pub(super) outcome: Option<Box<[u8]>>,
}

impl Newest {
    pub(super) const fn new(limit: usize, order: Order) -> Self {
        Self { limit, order, kept: Mutex::new(BinaryHeap::new()) }
    }

    /// Returns what was kept, in the order asked for.
    pub(super) fn into_sorted(self) -> Vec<Kept> {
        self.kept.into_inner().unwrap_or_else(PoisonError::into_inner).into_sorted_vec()
    }

    /// Takes a record, if it is among them.
    pub(super) fn keep(&self, found: &Found<'_>) {
        let rank = self.rank(found.facts.time);
        let mut kept = self.kept();
        if self.is_among(&kept, rank) {
            kept.push(Kept { rank, line: found.line.into(), outcome: found.outcome.map(Into::into) });
            if kept.len() > self.limit {
                kept.pop();
            }
        }
    }

    fn rank(&self, time: jiff::Timestamp) -> i64 {
        match self.order {
            Order::Oldest => time.as_microsecond(),
            Order::Newest => -time.as_microsecond(),
        }
    }

    fn kept(&self) -> MutexGuard<'_, BinaryHeap<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_among(&self, kept: &BinaryHeap<Kept>, rank: i64) -> bool {
        kept.len() < self.limit || kept.peek().is_some_and(|last| rank < last.rank)
    }
}

impl Collect for Newest {
    type Part = ();

    fn wants(&self, summary: &Summary) -> bool {
        let best = match self.order {
            Order::Oldest => summary.from,
            Order::Newest => summary.to,
        };
        best.is_none_or(|best| self.is_among(&self.kept(), self.rank(best)))
    }

    fn begin(&self, _place: usize) {}

    fn take(&self, (): &mut (), found: &Found<'_>) -> ControlFlow<()> {
        self.keep(found);
        ControlFlow::Continue(())
    }

    fn end(&self, (): ()) {}
}

impl Kept {
    pub(super) fn json(&self) -> String {
        // Both lines were read before.
        ::audit::joined(&self.line, self.outcome.as_deref()).unwrap_or_default()
    }
}
