//! The thread that takes lines from memory to the disk, many at a time.

use std::io::Write;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::segment::Segments;
use super::{FAILING, Failure, OPEN, Shared};

/// Takes what was handed over to the segments, in order.
pub(super) struct Writer {
    shared: Arc<Shared>,
    segments: Segments,
    // A second place for the same lines; none when its reader has gone.
    copy: Option<Box<dyn Write + Send>>,
    // Lines on their way. They stay here until a segment has them.
    batch: Vec<u8>,
}

impl Writer {
    /// Writes to `segments`, and then to `copy`.
    pub(super) fn new(shared: Arc<Shared>, segments: Segments, copy: Option<Box<dyn Write + Send>>) -> Self {
        Self { shared, segments, copy, batch: Vec::new() }
    }

    /// Works until the log is closed.
    pub(super) fn run(mut self) {
        while self.take_batch() {
            while !self.store_batch() {
                if self.wait_to_retry() {
                    // Closed while the disk takes nothing: one last try, then the loss is at least known.
                    if !self.store_batch() {
                        tracing::error!(bytes = self.batch.len(), "audit records are lost: the disk takes none");
                    }
                    break;
                }
            }
            self.batch.clear();
            self.batch.shrink_to(KEPT_BYTES);
        }
        if let Err(error) = self.segments.finish() {
            tracing::error!(%error, "the last audit segment could not be closed");
        }
    }

    /// Waits for lines; returns false when the log is closed and none are left.
    fn take_batch(&mut self) -> bool {
        let mut handed_over = self.shared.lock();
        while handed_over.lines.is_empty() {
            if handed_over.closed {
                return false;
            }
            handed_over.writer_sleeps = true;
            handed_over = self.shared.arrived.wait(handed_over).unwrap_or_else(PoisonError::into_inner);
        }
        handed_over.writer_sleeps = false;
        if !handed_over.closed {
            // Others are likely close behind. Only `close` wakes it before.
            let waited = self.shared.arrived.wait_timeout(handed_over, GATHER);
            (handed_over, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut handed_over.lines, &mut self.batch);
        true
    }

    fn store_batch(&mut self) -> bool {
        let stored = self.segments.append(&self.batch);
        let mut handed_over = self.shared.lock();
        handed_over.attempts += 1;
        let failure = stored.as_ref().err().map(Failure::from);
        let changed = handed_over.failure != failure;
        handed_over.failure = failure;
        let state = if failure.is_some() { FAILING } else { OPEN };
        if !handed_over.closed {
            self.shared.state.store(state, Ordering::Release);
        }
        if failure.is_none() {
            self.shared.waiting.fetch_sub(self.batch.len(), Ordering::Relaxed);
        }
        drop(handed_over);
        self.shared.attempted.notify_all();
        match stored {
            Ok(()) => {
                if changed {
                    tracing::info!(dir = %self.shared.dir.display(), "the audit log can be written again");
                }
                self.write_copy();
                true
            }
            Err(error) => {
                if changed {
                    let dir = self.shared.dir.display();
                    tracing::error!(%dir, %error, "the audit log cannot be written: requests are refused until it can");
                }
                false
            }
        }
    }

    fn write_copy(&mut self) {
        let Some(copy) = &mut self.copy else { return };
        if let Err(error) = copy.write_all(&self.batch).and_then(|()| copy.flush()) {
            // The segments are the log; the copy has ended.
            tracing::warn!(%error, "audit records are no longer copied to standard output");
            self.copy = None;
        }
    }

    /// Returns whether the log was closed meanwhile.
    fn wait_to_retry(&self) -> bool {
        let handed_over = self.shared.lock();
        if handed_over.closed {
            return true;
        }
        let waited = self.shared.arrived.wait_timeout(handed_over, RETRY);
        waited.unwrap_or_else(PoisonError::into_inner).0.closed
    }
}

/// How long a batch gathers. Waking a thread for each record would cost more than writing it.
const GATHER: Duration = Duration::from_millis(5);

/// How long after a failure the disk is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// How much memory is kept for the next batch after a burst.
const KEPT_BYTES: usize = 256 * 1024;
