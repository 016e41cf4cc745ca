//! The log itself: records become lines in memory, and lines go to segments in batches.
//!
//! Where requests wait for their record (`Mode::Strict`), one of them writes for all that wait with it: `group.rs`.
//! Everything else is written by a thread: `flusher.rs`.

mod batch;
mod checkpoints;
mod commit;
mod counters;
mod failure;
mod flusher;
mod group;
mod queue;
mod segment;
mod slot;
mod tee;
mod upkeep;

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

pub use self::counters::{LATENCY_BOUNDS, Statistics};
pub use self::slot::Slot;
pub use self::tee::SinkCounts;

use self::checkpoints::Checkpoints;
use self::commit::Writer;
use self::counters::Counters;
use self::group::Group;
use self::queue::{Hurry, Queue};
use self::segment::Segments;
use self::tee::{Sink, Stdout, Tee};
use self::upkeep::Upkeep;
use crate::record::write_caller;
use crate::redact::Redactor;
use crate::{AuditError, Config, Durability, Event, InputKey, Mode, User, line};

/// The log. Cheap to clone; all clones write to the same segments.
#[derive(Clone, Debug)]
pub struct Log {
    inner: Arc<Inner>,
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
    checkpoints: Option<Checkpoints>,
    counters: Counters,
    sinks: Vec<Arc<tee::Counts>>,
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
    fn open_with(config: &Config, mut sinks: Vec<Box<dyn Sink>>) -> Result<Self, AuditError> {
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
            checkpoints: Checkpoints::new(config),
            counters: Counters::default(),
        });
        let stop = Arc::new(AtomicBool::new(false));
        let of_flusher = Arc::clone(&shared);
        let upkeep = Upkeep::new(Arc::clone(&shared), config, Arc::clone(&stop));
        let mut threads = vec![
            std::thread::Builder::new().name("audit".into()).spawn(move || flusher::run(&of_flusher))?,
            std::thread::Builder::new().name("upkeep".into()).spawn(move || upkeep.run(&woken))?,
        ];
        if let Some(checkpoints) = &shared.checkpoints {
            // From the first line on there is one, so that it can be missed.
            checkpoints.sign(shared.writer().segments.reached());
            let (shared, stop) = (Arc::clone(&shared), Arc::clone(&stop));
            let thread = std::thread::Builder::new().name("checkpoints".into());
            threads.push(thread.spawn(move || checkpoints::run(&shared, &stop))?);
        }
        Ok(Self { inner: Arc::new(Inner { shared, threads: Mutex::new(threads), stop }) })
    }

    /// Takes a place for the record of one request, before it is forwarded: when the log cannot take a record, the
    /// request must be refused. Works again by itself when the disk does.
    ///
    /// # Errors
    /// The disk does not take records, or not as fast as they come.
    pub fn reserve(&self) -> Result<Slot, AuditError> {
        #[cfg(feature = "test-util")]
        if self.inner.shared.mode == Mode::Unrecorded {
            return Ok(Slot::new(None));
        }
        self.check().map(|()| Slot::new(Some(Arc::clone(&self.inner))))
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

    /// Writes out who asks in a session, for all records of its requests, and without what they may not tell.
    #[must_use]
    pub fn write_caller(&self, user: &User<'_>, session: &str) -> Box<str> {
        match &self.inner.shared.redactor {
            None => write_caller(user, Some(session)),
            Some(redactor) => write_caller(&redactor.user(user), redactor.session(session).as_deref()),
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

impl Inner {
    fn close(&self) {
        let shared = &self.shared;
        shared.queue().closed = true;
        shared.state.store(CLOSED, Ordering::Release);
        shared.arrived.notify_one();
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // One of them waits for its time.
            thread.thread().unpark();
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

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failure(&self) -> Option<AuditError> {
        let source = self.queue().failure.clone()?.into();
        Some(AuditError::Unwritable { dir: self.dir.clone(), source })
    }
}

const OPEN: u8 = 0;
const FAILING: u8 = 1;
const CLOSED: u8 = 2;

/// How much may wait for the disk before requests are refused: some ten thousand records, or a second of a busy proxy.
const MAX_WAITING_BYTES: usize = 8 * 1024 * 1024;

#[cfg(test)]
mod tests;
