//! The log itself: records become lines in memory, and lines go to segments in batches.
//!
//! Where requests wait for their record (`Mode::Strict`), one of them writes for all that wait with it: `group.rs`.
//! Everything else is written by a thread: `flusher.rs`.

mod batch;
mod commit;
mod counters;
mod flusher;
mod group;
mod segment;
mod tee;
mod upkeep;

use std::cell::RefCell;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use jiff::Timestamp;
use serde::Serialize;

pub use self::counters::{LATENCY_BOUNDS, Statistics};
pub use self::tee::{Sink, SinkCounts};

use self::batch::Batch;
use self::commit::{Committed, Writer};
use self::counters::Counters;
use self::group::Group;
use self::segment::Segments;
use self::tee::{Stdout, Tee};
use self::upkeep::Upkeep;
use crate::redact::Redactor;
use crate::{AuditError, Config, Durability, Ended, Event, InputKey, Mode, Record, chain, line};

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
    // The batch that has the decision, where that was written ahead.
    ahead: Option<u64>,
}

/// What all clones and places share. The last one to go closes the log.
#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    stop: Arc<AtomicBool>,
}

/// What all who write share.
#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    mode: Mode,
    durability: Durability,
    // Looked at by `reserve` without a lock.
    state: AtomicU8,
    // Bytes that were handed over and are in no segment yet.
    waiting: AtomicUsize,
    // How many batches were tried, and how many of them are in a segment. A batch that is in one is counted there first.
    attempted: AtomicU64,
    committed: AtomicU64,
    // Held for moments only; taken after `writer` where both are.
    queue: Mutex<Queue>,
    // Wakes the flusher.
    arrived: Condvar,
    writer: Mutex<Writer>,
    waiting_for_disk: Group,
    redactor: Option<Redactor>,
    counters: Counters,
    sinks: Vec<Arc<tee::Counts>>,
}

#[derive(Debug, Default)]
struct Queue {
    batch: Batch,
    // The number of this batch.
    number: u64,
    flusher_sleeps: bool,
    closed: bool,
    // Why the last batch that was tried is not in a segment.
    failure: Option<Failure>,
}

/// Why the disk takes nothing: an `io::Error` that can be handed to many.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Failure {
    code: Option<i32>,
    kind: io::ErrorKind,
    text: Arc<str>,
}

/// What stands in for a record that never came.
#[derive(Serialize)]
struct Unrecorded {
    time: Timestamp,
    kind: &'static str,
    reason: &'static str,
}

impl Log {
    /// Returns the key under which inputs are hashed; it lies beside the segments, and is made when it is first needed.
    ///
    /// # Errors
    /// It can be neither read nor made.
    pub fn input_key(&self) -> io::Result<InputKey> {
        InputKey::open(&self.inner.shared.dir)
    }

    /// Opens the log: makes the directory, finds the end of the chain and starts a segment, so that a log that cannot be
    /// written stops the start.
    ///
    /// # Errors
    /// The directory cannot be made or written, or another process writes the same chain.
    pub fn open(config: &Config) -> Result<Self, AuditError> {
        Self::open_with(config, Vec::new())
    }

    /// Opens the log, and copies what is in it to further places.
    ///
    /// # Errors
    /// As for [`Log::open`].
    pub fn open_with(config: &Config, mut sinks: Vec<Box<dyn Sink>>) -> Result<Self, AuditError> {
        if config.stdout {
            sinks.push(Box::new(Stdout));
        }
        let started = Segments::start(config).and_then(|segments| Self::start(config, segments, sinks));
        started.map_err(|source| AuditError::Unwritable { dir: config.dir.clone(), source })
    }

    fn start(config: &Config, mut segments: Segments, sinks: Vec<Box<dyn Sink>>) -> io::Result<Self> {
        let tee = Tee::start(sinks)?;
        let (closed, woken) = channel();
        segments.tell(closed);
        let shared = Arc::new(Shared {
            dir: config.dir.clone(),
            mode: config.mode,
            durability: config.durability,
            state: AtomicU8::new(OPEN),
            waiting: AtomicUsize::new(0),
            attempted: AtomicU64::new(0),
            committed: AtomicU64::new(0),
            queue: Mutex::default(),
            arrived: Condvar::new(),
            sinks: tee.counts(),
            writer: Mutex::new(Writer::new(segments, tee)),
            waiting_for_disk: Group::default(),
            redactor: Redactor::open(&config.dir, config.redaction)?,
            counters: Counters::default(),
        });
        let stop = Arc::new(AtomicBool::new(false));
        let of_flusher = Arc::clone(&shared);
        let upkeep = Upkeep::new(Arc::clone(&shared), config, Arc::clone(&stop));
        let threads = vec![
            std::thread::Builder::new().name("audit".into()).spawn(move || flusher::run(&of_flusher))?,
            std::thread::Builder::new().name("upkeep".into()).spawn(move || upkeep.run(&woken))?,
        ];
        Ok(Self { inner: Arc::new(Inner { shared, threads: Mutex::new(threads), stop }) })
    }

    /// Takes a place for the record of one request, before it is forwarded: when the log cannot take a record, the
    /// request must be refused. Works again by itself when the disk does.
    ///
    /// # Errors
    /// The disk does not take records, or not as fast as they come.
    pub fn reserve(&self) -> Result<Slot, AuditError> {
        self.check().map(|()| Slot { log: Some(Arc::clone(&self.inner)), ahead: None })
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

    /// Writes an event that is no request. It is in a segment within milliseconds; [`Log::flush`] waits for that.
    ///
    /// # Errors
    /// The log takes no records now; the event is not written.
    pub fn note(&self, event: &Event<'_>) -> Result<(), AuditError> {
        self.check()?;
        let shared = &self.inner.shared;
        match &shared.redactor {
            None => shared.hand_over(Hurry::None, |line| line::append(line, event)),
            Some(redactor) => shared.hand_over(Hurry::None, |line| line::append(line, &redactor.event(event))),
        };
        Ok(())
    }

    /// Waits until all records that were written so far are in a segment. Blocks.
    ///
    /// # Errors
    /// The disk took none of them when they were tried; they stay in memory and are tried again.
    pub fn flush(&self) -> Result<(), AuditError> {
        let shared = &self.inner.shared;
        let through = shared.queue().number;
        shared.commit(through);
        shared.failure().map_or(Ok(()), Err)
    }

    /// Tells what the log has done so far.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let shared = &self.inner.shared;
        let sinks = shared.sinks.iter().map(|counts| counts.read()).collect();
        shared.counters.read(shared.waiting.load(Ordering::Relaxed), sinks)
    }

    /// Writes what is still in memory and closes the segment. Blocks until it is on its way to the disk.
    pub fn close(&self) {
        self.inner.close();
    }
}

impl Slot {
    /// Writes the decision ahead of what it allows, where that is asked for: [`Slot::committed`] tells when it is in the
    /// log, and [`Slot::end`] writes what became of it.
    pub fn write_ahead<'a>(&mut self, record: impl FnOnce() -> Record<'a>) {
        if let Some(log) = self.log.as_ref().filter(|log| log.shared.mode == Mode::Strict) {
            self.ahead = log.shared.hand_over_record(Hurry::Waited, &record());
        }
    }

    /// Waits until what was written ahead is in the log, so that it stays there whatever happens to this process.
    ///
    /// # Errors
    /// The disk does not take it: what was allowed must not happen.
    pub async fn committed(&self) -> Result<(), AuditError> {
        match (&self.log, self.ahead) {
            (Some(log), Some(batch)) => Committed::new(&log.shared, batch).await,
            (Some(_) | None, _) => Ok(()),
        }
    }

    /// Returns whether the decision was written ahead.
    #[must_use]
    pub const fn is_ahead(&self) -> bool {
        self.ahead.is_some()
    }

    /// Writes what became of a decision that was written ahead. Never blocks on the disk.
    pub fn end(mut self, ended: &Ended<'_>) {
        if let Some(log) = self.log.take() {
            log.shared.hand_over(Hurry::None, |line| line::append_record(line, ended));
        }
    }

    /// Writes the record. Never blocks on the disk.
    pub fn write(mut self, record: &Record<'_>) {
        if let Some(log) = self.log.take() {
            log.shared.hand_over_record(Hurry::None, record);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(log) = self.log.take() {
            tracing::error!(reason = SLOT_DROPPED, "a request ended without its audit record");
            let unrecorded = Unrecorded { time: Timestamp::now(), kind: "unrecorded", reason: SLOT_DROPPED };
            log.shared.hand_over(Hurry::None, |line| line::append(line, &unrecorded));
        }
    }
}

impl Inner {
    fn close(&self) {
        let shared = &self.shared;
        shared.queue().closed = true;
        shared.state.store(CLOSED, Ordering::Release);
        shared.arrived.notify_one();
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the audit log ended before its time");
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

/// Whether somebody waits for a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hurry {
    /// It is written with others, soon.
    None,
    /// Whoever handed it over sees to it.
    Waited,
}

impl Shared {
    /// Takes a record, without what it may not tell.
    fn hand_over_record(&self, hurry: Hurry, record: &Record<'_>) -> Option<u64> {
        match &self.redactor {
            None => self.hand_over(hurry, |line| line::append_record(line, record)),
            Some(redactor) => self.hand_over(hurry, |line| line::append_record(line, &redactor.record(record))),
        }
    }

    /// Takes a line, and returns the batch that has it. Whoever has a place is never turned away: what waits is bounded
    /// by [`MAX_WAITING_BYTES`] and two lines for each request in flight.
    fn hand_over(&self, hurry: Hurry, append: impl FnOnce(&mut Vec<u8>) -> serde_json::Result<()>) -> Option<u64> {
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

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failure(&self) -> Option<AuditError> {
        let source = self.queue().failure.clone()?.into();
        Some(AuditError::Unwritable { dir: self.dir.clone(), source })
    }
}

impl From<&io::Error> for Failure {
    fn from(error: &io::Error) -> Self {
        Self { code: error.raw_os_error(), kind: error.kind(), text: error.to_string().into() }
    }
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        match failure.code {
            Some(code) => Self::from_raw_os_error(code),
            None => Self::new(failure.kind, &*failure.text),
        }
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
