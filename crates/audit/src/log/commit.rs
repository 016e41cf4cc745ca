//! Takes lines from memory to the segments, many at a time, by whoever has the most reason to.

use std::io;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::time::Instant;

use super::batch::Batch;
use super::failure::Failure;
use super::group::{Group, Leader};
use super::segment::Segments;
use super::tee::Tee;
use super::{FAILING, OPEN, Shared};
use crate::mark::Closed;
use crate::{AuditError, Durability};

/// What only one may hold at a time.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) segments: Segments,
    // Lines that no segment has yet. They stay here until one has them.
    pending: Batch,
    tee: Tee,
}

/// Waits until a line is in a segment.
#[derive(Debug)]
#[must_use = "the line is not written before this has ended"]
pub(super) struct Committed<'a> {
    shared: &'a Shared,
    // The batch that has the line.
    batch: u64,
    leader: Option<Leader>,
}

impl Writer {
    pub(super) const fn new(segments: Segments, tee: Tee) -> Self {
        Self { segments, pending: Batch::new(), tee }
    }
}

impl<'a> Committed<'a> {
    pub(super) const fn new(shared: &'a Shared, batch: u64) -> Self {
        Self { shared, batch, leader: None }
    }
}

impl Future for Committed<'_> {
    type Output = Result<(), AuditError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { shared, batch, leader } = &mut *self;
        if leader.is_some() && shared.result(*batch).is_none() {
            shared.commit(*batch);
        }
        if let Some(result) = shared.result(*batch) {
            *leader = None;
            return Poll::Ready(result);
        }
        match shared.durability {
            Durability::Os => {
                *leader = Group::of_this_thread().join(context.waker());
                if leader.is_some() {
                    // Behind all that this thread has to do now: their lines go with ours.
                    context.waker().wake_by_ref();
                }
            }
            // The disk takes its time, and the thread that waits for it may not be one that serves requests.
            Durability::Disk => {
                shared.waiting_for_disk.wait(context.waker());
                if let Some(result) = shared.result(*batch) {
                    return Poll::Ready(result);
                }
            }
        }
        Poll::Pending
    }
}

impl Shared {
    /// Writes what waits, at least through this batch.
    pub(super) fn commit(&self, through: u64) {
        let mut writer = self.writer();
        if self.attempted.load(Ordering::Acquire) > through {
            return;
        }
        let began = Instant::now();
        let Writer { segments, pending, tee } = &mut *writer;
        let number = {
            let mut queue = self.queue();
            pending.take(&mut queue.batch);
            queue.number += 1;
            queue.number - 1
        };
        let stored = if pending.is_empty() { Ok(()) } else { segments.append(pending, began) };
        if stored.is_ok() {
            self.waiting.fetch_sub(pending.bytes().len(), Ordering::Relaxed);
            self.counters.committed(pending.bytes().len(), pending.lines(), segments.number(), began.elapsed());
            tee.send(pending);
            pending.clear();
            self.committed.store(number + 1, Ordering::Release);
        } else {
            self.counters.failed();
        }
        self.note(stored.as_ref().err());
        self.attempted.store(number + 1, Ordering::Release);
        drop(writer);
        self.waiting_for_disk.wake();
    }

    /// Writes what is left and closes the segment. Returns what could not be written.
    pub(super) fn finish(&self) -> Result<(), (usize, io::Error)> {
        let through = self.queue().number;
        self.commit(through);
        let mut writer = self.writer();
        let lost = writer.pending.lines();
        writer.tee.close();
        let finished = writer.segments.finish(Closed::Stop).map_err(|error| (lost, error));
        if let Some(checkpoints) = &self.checkpoints {
            checkpoints.sign(writer.segments.reached());
        }
        writer.segments.release();
        finished
    }

    /// Returns how the batch fared, once it was tried.
    fn result(&self, batch: u64) -> Option<Result<(), AuditError>> {
        if self.attempted.load(Ordering::Acquire) <= batch {
            return None;
        }
        if self.committed.load(Ordering::Acquire) > batch {
            return Some(Ok(()));
        }
        Some(Err(self.failure().unwrap_or(AuditError::Full)))
    }

    /// Notes whether the disk takes lines, and says so when that changes.
    fn note(&self, error: Option<&io::Error>) {
        // Nearly always nothing has changed, and nobody is to wait for that.
        if error.is_none() && self.state.load(Ordering::Relaxed) == OPEN {
            return;
        }
        let failure = error.map(Failure::from);
        let mut queue = self.queue();
        let is_news = queue.failure != failure;
        queue.failure = failure;
        if !queue.closed {
            self.state.store(if error.is_some() { FAILING } else { OPEN }, Ordering::Release);
        }
        drop(queue);
        if !is_news {
            return;
        }
        let dir = self.dir.display();
        match error {
            Some(error) => {
                tracing::error!(%dir, %error, "the audit log cannot be written: requests are refused until it can");
                self.arrived.notify_one();
            }
            None => tracing::info!(%dir, "the audit log can be written again"),
        }
    }

    pub(super) fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
