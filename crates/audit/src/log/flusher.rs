//! The thread that writes what nobody waits for, waits for the disk where that is asked for, and tries again after a
//! failure.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{FAILING, Shared};
use crate::{Durability, Mode};

/// Works until the log is closed.
pub(super) fn run(shared: &Shared) {
    while let Some(batch) = next(shared) {
        shared.commit(batch);
    }
    if let Err((lost, error)) = shared.finish() {
        tracing::error!(%error, "the last audit segment could not be closed");
        if lost > 0 {
            tracing::error!(records = lost, "audit records are lost: the disk takes none");
        }
    }
}

/// Waits for a batch that is to be written; `None` when the log is closed.
fn next(shared: &Shared) -> Option<u64> {
    let mut queue = shared.queue();
    loop {
        if queue.closed {
            return None;
        }
        let is_failing = shared.state.load(Ordering::Acquire) == FAILING;
        if queue.batch.is_empty() && !is_failing {
            queue.flusher_sleeps = true;
            queue = shared.arrived.wait(queue).unwrap_or_else(PoisonError::into_inner);
            continue;
        }
        queue.flusher_sleeps = false;
        if shared.mode == Mode::Strict && shared.durability == Durability::Disk && !is_failing {
            // Requests wait; those that come while the disk works make the next batch.
            return Some(queue.number);
        }
        let number = queue.number;
        let patience = if is_failing { RETRY } else { GATHER };
        queue = shared.arrived.wait_timeout(queue, patience).unwrap_or_else(PoisonError::into_inner).0;
        if is_failing || queue.number == number {
            // Nobody else has written meanwhile.
            return (!queue.closed).then_some(queue.number);
        }
    }
}

/// How long a batch gathers. Waking a thread for each record would cost more than writing it.
const GATHER: Duration = Duration::from_millis(5);

/// How long after a failure the disk is tried again.
const RETRY: Duration = Duration::from_millis(100);
