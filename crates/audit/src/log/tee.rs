//! Where committed lines go besides the segments: each place has a thread and a bounded queue of its own, so that none
//! of them ever holds up a request. What does not fit is counted, and is in the segments all the same.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::batch::Batch;

/// A second place for lines.
pub(super) trait Sink: Send {
    /// Returns its name, for the log and for metrics.
    fn name(&self) -> &'static str;

    /// Takes whole lines, as they stand in the segments. May block.
    ///
    /// # Errors
    /// It takes no more; it is not asked again.
    fn write(&mut self, lines: &[u8]) -> io::Result<()>;
}

/// What became of the lines for one sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SinkCounts {
    /// The name of the sink.
    pub name: &'static str,
    /// Lines that it took.
    pub sent: u64,
    /// Lines that it could not take.
    pub dropped: u64,
    /// Bytes that wait for it.
    pub waiting_bytes: usize,
}

/// All sinks.
#[derive(Debug, Default)]
pub(super) struct Tee {
    branches: Vec<Branch>,
}

#[derive(Debug)]
struct Branch {
    counts: Arc<Counts>,
    // None once it is closed.
    queue: Option<Sender<(Arc<[u8]>, u64)>>,
    // Its other end goes with the thread.
    ended: Receiver<()>,
}

#[derive(Debug)]
pub(super) struct Counts {
    name: &'static str,
    sent: AtomicU64,
    dropped: AtomicU64,
    waiting: AtomicUsize,
}

impl Tee {
    /// Starts a thread for each sink.
    pub(super) fn start(sinks: Vec<Box<dyn Sink>>) -> io::Result<Self> {
        let branches = sinks.into_iter().map(Branch::start).collect::<io::Result<_>>()?;
        Ok(Self { branches })
    }

    /// Returns the counters, which are valid as long as the process lives.
    pub(super) fn counts(&self) -> Vec<Arc<Counts>> {
        self.branches.iter().map(|branch| Arc::clone(&branch.counts)).collect()
    }

    /// Hands a batch to all sinks. Never blocks.
    pub(super) fn send(&self, batch: &Batch) {
        if self.branches.is_empty() || batch.is_empty() {
            return;
        }
        let lines: Arc<[u8]> = batch.bytes().into();
        self.branches.iter().for_each(|branch| branch.send(&lines, batch.lines() as u64));
    }

    /// Lets the sinks take what waits for them, and ends.
    pub(super) fn close(&mut self) {
        self.branches.iter_mut().for_each(|branch| branch.queue = None);
        for Branch { counts, ended, .. } in self.branches.drain(..) {
            if ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                let waiting = counts.waiting.load(Ordering::Relaxed);
                tracing::warn!(
                    sink = counts.name,
                    bytes = waiting,
                    "audit records were not copied there before the end"
                );
            }
        }
    }
}

impl Branch {
    fn start(sink: Box<dyn Sink>) -> io::Result<Self> {
        let counts = Arc::new(Counts {
            name: sink.name(),
            sent: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
        });
        let (queue, lines) = channel();
        let of_thread = Arc::clone(&counts);
        let name = format!("audit-{}", counts.name);
        let (end, ended) = channel();
        std::thread::Builder::new().name(name).spawn(move || {
            run(sink, &lines, &of_thread);
            drop(end);
        })?;
        Ok(Self { counts, queue: Some(queue), ended })
    }

    fn send(&self, lines: &Arc<[u8]>, count: u64) {
        let has_room = self.counts.waiting.load(Ordering::Relaxed) < MAX_WAITING_BYTES;
        let queue = self.queue.as_ref().filter(|_| has_room);
        self.counts.waiting.fetch_add(lines.len(), Ordering::Relaxed);
        if queue.is_none_or(|queue| queue.send((Arc::clone(lines), count)).is_err()) {
            self.counts.waiting.fetch_sub(lines.len(), Ordering::Relaxed);
            self.counts.dropped.fetch_add(count, Ordering::Relaxed);
        }
    }
}

impl Counts {
    pub(super) fn read(&self) -> SinkCounts {
        SinkCounts {
            name: self.name,
            sent: self.sent.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            waiting_bytes: self.waiting.load(Ordering::Relaxed),
        }
    }
}

fn run(mut sink: Box<dyn Sink>, queue: &Receiver<(Arc<[u8]>, u64)>, counts: &Counts) {
    while let Ok((lines, count)) = queue.recv() {
        let written = sink.write(&lines);
        counts.waiting.fetch_sub(lines.len(), Ordering::Relaxed);
        if let Err(error) = written {
            counts.dropped.fetch_add(count, Ordering::Relaxed);
            tracing::warn!(sink = counts.name, %error, "audit records are no longer copied there");
            return;
        }
        counts.sent.fetch_add(count, Ordering::Relaxed);
    }
}

/// Standard output.
#[derive(Debug)]
pub(super) struct Stdout;

impl Sink for Stdout {
    fn name(&self) -> &'static str {
        "stdout"
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        use io::Write as _;
        let mut stdout = io::stdout().lock();
        stdout.write_all(lines)?;
        stdout.flush()
    }
}

/// How long a sink may take for what waits for it when the process ends: a reader that reads no more must not keep it.
const PATIENCE: Duration = Duration::from_secs(5);

/// How much may wait for one sink: some seconds of a busy proxy.
const MAX_WAITING_BYTES: usize = 32 * 1024 * 1024;
