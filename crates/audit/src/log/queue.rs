//! Lines that no segment has yet, and how they get there: written out on the thread that has something to say.

use std::cell::RefCell;
use std::sync::atomic::Ordering;

use super::Shared;
use super::batch::Batch;
use super::failure::Failure;
use crate::{Durability, Record, chain};

/// What waits for the next commit.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) batch: Batch,
    // The number of this batch.
    pub(super) number: u64,
    pub(super) flusher_sleeps: bool,
    pub(super) closed: bool,
    // Why the last batch that was tried is not in a segment.
    pub(super) failure: Option<Failure>,
}

/// Whether somebody waits for a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hurry {
    /// It is written with others, soon.
    None,
    /// Whoever handed it over sees to it.
    Waited,
}

impl Shared {
    /// Takes a record, without what it may not tell.
    pub(super) fn hand_over_record(&self, hurry: Hurry, record: &Record<'_>) -> Option<u64> {
        match &self.redactor {
            None => self.hand_over(hurry, |line| record.append(line)),
            Some(redactor) => self.hand_over(hurry, |line| redactor.record(record).append(line)),
        }
    }

    /// Takes a line, and returns the batch that has it. Whoever has a place is never turned away: what waits is bounded
    /// by `MAX_WAITING_BYTES` and two lines for each request in flight.
    pub(super) fn hand_over(
        &self,
        hurry: Hurry,
        append: impl FnOnce(&mut Vec<u8>) -> serde_json::Result<()>,
    ) -> Option<u64> {
        LINE.with_borrow_mut(|line| {
            line.clear();
            if let Err(error) = append(line) {
                tracing::error!(%error, "an audit record has no JSON form");
                return None;
            }
            chain::make_room(line);
            let mut queue = self.queue();
            if queue.closed {
                drop(queue);
                tracing::error!("an audit record came after the log was closed");
                return None;
            }
            queue.batch.push(line);
            let number = queue.number;
            self.waiting.fetch_add(line.len(), Ordering::Relaxed);
            // A flusher that is awake looks again by itself.
            let is_for_flusher = hurry == Hurry::None || self.durability == Durability::Disk;
            if is_for_flusher && std::mem::take(&mut queue.flusher_sleeps) {
                self.arrived.notify_one();
            }
            Some(number)
        })
    }
}

thread_local! {
    // Records are written out here, outside of the lock.
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}
