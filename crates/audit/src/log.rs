//! The log itself: records are handed over in memory; a thread of its own takes them to segments in a directory.
//!
//! Deliberately knows nothing of durability beyond the operating system's: a record is written when its request ended.

mod segment;
mod writer;

use std::cell::RefCell;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use jiff::Timestamp;
use serde::Serialize;

use self::segment::Segments;
use self::writer::Writer;
use crate::{AuditError, Config, Record, line};

/// The log. Cheap to clone; all clones write to the same segments.
#[derive(Clone, Debug)]
pub struct Log {
    inner: Arc<Inner>,
}

/// The place of one record. A place that is given up without a record (a request whose task was torn down) leaves a
/// line of kind `unrecorded`, so that the log never looks complete when it is not.
#[derive(Debug)]
#[must_use = "a place without a record is a gap in the log"]
pub struct Slot {
    // Invariant: `Some` until the record is written.
    log: Option<Arc<Inner>>,
}

/// What all clones and places share. The last one to go closes the log.
#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the writing thread shares with those who hand records over.
#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    // Looked at by `reserve` without the lock.
    state: AtomicU8,
    // Bytes that were handed over and are in no segment yet.
    waiting: AtomicUsize,
    handed_over: Mutex<HandedOver>,
    // Wakes the writer.
    arrived: Condvar,
    // Wakes those who wait for the writer.
    attempted: Condvar,
}

#[derive(Debug, Default)]
struct HandedOver {
    lines: Vec<u8>,
    writer_sleeps: bool,
    closed: bool,
    // How often the writer tried to store a batch, and why the last try failed.
    attempts: u64,
    failure: Option<Failure>,
}

/// Why the disk takes nothing: an `io::Error` that can be handed to many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Failure {
    code: Option<i32>,
    kind: io::ErrorKind,
}

/// What stands in for a record that never came.
#[derive(Serialize)]
struct Unrecorded {
    time: Timestamp,
    kind: &'static str,
    reason: &'static str,
}

impl Log {
    /// Opens the log: makes the directory and starts a segment, so that a log that cannot be written stops the start.
    ///
    /// # Errors
    /// The directory cannot be made or written.
    pub fn open(config: &Config) -> Result<Self, AuditError> {
        let started = Segments::start(config).and_then(|segments| {
            let copy = config.stdout.then(|| Box::new(io::stdout()) as Box<dyn io::Write + Send>);
            Self::start(config, segments, copy)
        });
        started.map_err(|source| AuditError::Unwritable { dir: config.dir.clone(), source })
    }

    fn start(config: &Config, segments: Segments, copy: Option<Box<dyn io::Write + Send>>) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            dir: config.dir.clone(),
            state: AtomicU8::new(OPEN),
            waiting: AtomicUsize::new(0),
            handed_over: Mutex::default(),
            arrived: Condvar::new(),
            attempted: Condvar::new(),
        });
        let writer = Writer::new(Arc::clone(&shared), segments, copy);
        let thread = std::thread::Builder::new().name("audit".into()).spawn(move || writer.run())?;
        Ok(Self { inner: Arc::new(Inner { shared, thread: Mutex::new(Some(thread)) }) })
    }

    /// Takes a place for the record of one request, before it is forwarded: when the log cannot take a record, the
    /// request must be refused. Works again by itself when the disk does.
    ///
    /// # Errors
    /// The disk does not take records, or not as fast as they come.
    pub fn reserve(&self) -> Result<Slot, AuditError> {
        self.check().map(|()| Slot { log: Some(Arc::clone(&self.inner)) })
    }

    /// Checks that the log takes records, as [`Log::reserve`] does.
    ///
    /// # Errors
    /// Why requests are refused now.
    pub fn check(&self) -> Result<(), AuditError> {
        let shared = &self.inner.shared;
        match shared.state.load(Ordering::Acquire) {
            OPEN if shared.waiting.load(Ordering::Relaxed) < MAX_WAITING_BYTES => Ok(()),
            OPEN => Err(AuditError::Full),
            CLOSED => Err(AuditError::Closed),
            _ => Err(shared.failure().unwrap_or(AuditError::Full)),
        }
    }

    /// Waits until all records that were written so far are in a segment. Blocks.
    ///
    /// # Errors
    /// The disk took none of them when they were tried; they stay in memory and are tried again.
    pub fn flush(&self) -> Result<(), AuditError> {
        let shared = &self.inner.shared;
        let mut handed_over = shared.lock();
        let before = handed_over.attempts;
        while shared.waiting.load(Ordering::Relaxed) > 0 && !handed_over.closed {
            if handed_over.attempts > before && handed_over.failure.is_some() {
                break;
            }
            handed_over = shared.attempted.wait(handed_over).unwrap_or_else(PoisonError::into_inner);
        }
        drop(handed_over);
        shared.failure().map_or(Ok(()), Err)
    }

    /// Writes what is still in memory and closes the segment. Blocks until it is on its way to the disk.
    pub fn close(&self) {
        self.inner.close();
    }
}

impl Slot {
    /// Writes the record. Never blocks on the disk.
    pub fn write(mut self, record: &Record<'_>) {
        if let Some(log) = self.log.take() {
            log.shared.hand_over(|line| line::append_record(line, record));
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(log) = self.log.take() {
            tracing::error!(reason = SLOT_DROPPED, "a request ended without its audit record");
            let unrecorded = Unrecorded { time: Timestamp::now(), kind: "unrecorded", reason: SLOT_DROPPED };
            log.shared.hand_over(|line| line::append(line, &unrecorded));
        }
    }
}

impl Inner {
    fn close(&self) {
        let mut handed_over = self.shared.lock();
        handed_over.closed = true;
        self.shared.state.store(CLOSED, Ordering::Release);
        self.shared.arrived.notify_one();
        drop(handed_over);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that writes the audit log ended before its time");
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    /// Takes a line. Whoever has a place is never turned away: what waits is bounded by [`MAX_WAITING_BYTES`] and one
    /// record for each request in flight.
    fn hand_over(&self, append: impl FnOnce(&mut Vec<u8>) -> serde_json::Result<()>) {
        LINE.with_borrow_mut(|line| {
            line.clear();
            if let Err(error) = append(line) {
                tracing::error!(%error, "an audit record has no JSON form");
                return;
            }
            let mut handed_over = self.lock();
            if handed_over.closed {
                drop(handed_over);
                tracing::error!("an audit record came after the log was closed");
                return;
            }
            handed_over.lines.extend_from_slice(line);
            self.waiting.fetch_add(line.len(), Ordering::Relaxed);
            // A writer that is awake looks again by itself.
            if std::mem::take(&mut handed_over.writer_sleeps) {
                self.arrived.notify_one();
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, HandedOver> {
        self.handed_over.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failure(&self) -> Option<AuditError> {
        let source = self.lock().failure?.into();
        Some(AuditError::Unwritable { dir: self.dir.clone(), source })
    }
}

impl From<&io::Error> for Failure {
    fn from(error: &io::Error) -> Self {
        Self { code: error.raw_os_error(), kind: error.kind() }
    }
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        failure.code.map_or_else(|| failure.kind.into(), Self::from_raw_os_error)
    }
}

thread_local! {
    // Records are written out here, outside of the lock.
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

const OPEN: u8 = 0;
const FAILING: u8 = 1;
const CLOSED: u8 = 2;

const SLOT_DROPPED: &str = "slot-dropped";

/// How much may wait for the disk before requests are refused: some ten thousand records, or a second of a busy proxy.
const MAX_WAITING_BYTES: usize = 8 * 1024 * 1024;

#[cfg(test)]
mod tests;
