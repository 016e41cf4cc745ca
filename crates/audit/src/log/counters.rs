//! What the log counts about itself, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::SinkCounts;

/// What the log has done since it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// Lines that are in segments.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that wait to be written: the lag.
    pub waiting_bytes: usize,
    /// How often the disk did not take a batch.
    pub failures: u64,
    /// The number of the segment that is written.
    pub segment: u64,
    /// How many batches took no longer than each of [`LATENCY_BOUNDS`] and longer than the one before; the last took longer
    /// than all.
    pub commits: [u64; LATENCY_BOUNDS.len() + 1],
    /// How long they took together.
    pub commit_time: Duration,
    /// What became of the lines for each further place.
    pub sinks: Vec<SinkCounts>,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    records: AtomicU64,
    bytes: AtomicU64,
    failures: AtomicU64,
    segment: AtomicU64,
    commits: [AtomicU64; LATENCY_BOUNDS.len() + 1],
    commit_nanoseconds: AtomicU64,
}

impl Counters {
    /// Counts a batch that is in a segment.
    pub(super) fn committed(&self, bytes: usize, lines: usize, segment: u64, duration: Duration) {
        self.segment.store(segment, Ordering::Relaxed);
        self.records.fetch_add(lines as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        let slot = LATENCY_BOUNDS.iter().position(|bound| duration <= *bound).unwrap_or(LATENCY_BOUNDS.len());
        if let Some(commits) = self.commits.get(slot) {
            commits.fetch_add(1, Ordering::Relaxed);
        }
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.commit_nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// Counts a batch that the disk did not take.
    pub(super) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self, waiting_bytes: usize, sinks: Vec<SinkCounts>) -> Statistics {
        Statistics {
            records: self.records.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            waiting_bytes,
            failures: self.failures.load(Ordering::Relaxed),
            segment: self.segment.load(Ordering::Relaxed),
            commits: self.commits.each_ref().map(|commits| commits.load(Ordering::Relaxed)),
            commit_time: Duration::from_nanos(self.commit_nanoseconds.load(Ordering::Relaxed)),
            sinks,
        }
    }
}

/// The bounds of the histogram of commits.
pub const LATENCY_BOUNDS: [Duration; 10] = [
    Duration::from_micros(10),
    Duration::from_micros(25),
    Duration::from_micros(50),
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_millis(1),
    Duration::from_millis(5),
    Duration::from_millis(25),
    Duration::from_millis(100),
    Duration::from_secs(1),
];
