//! The thread that looks after closed segments: it compresses them, and deletes those that need not be kept.

mod retention;

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use self::retention::{Kept, SteadyClock};
use super::{Hurry, Shared};
use crate::archive::compress::compress;
use crate::{Archive, Config, Event, EventKind, Form, Retention, Segment, line};

/// What the thread works with.
pub(super) struct Upkeep {
    shared: Arc<Shared>,
    instance: Box<str>,
    compress: bool,
    retention: Retention,
    stop: Arc<AtomicBool>,
}

impl Upkeep {
    pub(super) fn new(shared: Arc<Shared>, config: &Config, stop: Arc<AtomicBool>) -> Self {
        let Config { instance, compress, retention, .. } = config;
        Self { shared, instance: instance.as_str().into(), compress: *compress, retention: *retention, stop }
    }

    /// Works until the log is closed. Woken when there is a segment behind one that was closed.
    pub(super) fn run(self, woken: &Receiver<()>) {
        let mut clock = SteadyClock::new(Timestamp::now(), Instant::now());
        loop {
            let now = clock.observe(Timestamp::now(), Instant::now());
            if let Err(error) = self.tidy(now) {
                tracing::warn!(dir = %self.shared.dir.display(), %error, "closed audit segments cannot be looked after");
            }
            match woken.recv_timeout(INTERVAL) {
                Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn tidy(&self, now: Option<Timestamp>) -> io::Result<()> {
        let archive = Archive::open(&self.shared.dir)?;
        for (instance, segments) in archive.chains() {
            let Some((_, closed)) = segments.split_last().filter(|_| instance == Some(&*self.instance)) else {
                continue;
            };
            for segment in closed.iter().filter(|segment| self.compress && segment.form() == Form::Plain) {
                if self.stops() {
                    return Ok(());
                }
                self.compress(segment)?;
            }
        }
        if self.retention == Retention::default() { Ok(()) } else { self.delete(now) }
    }

    /// Compresses on a thread of its own, which gives way to those that serve requests. It holds nothing that they wait for.
    fn compress(&self, segment: &Segment) -> io::Result<()> {
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("compress".into()).spawn_scoped(scope, || {
                // On Linux this is of the thread, elsewhere of the whole process.
                #[cfg(target_os = "linux")]
                let _ = rustix::process::nice(LEAST_PRIORITY);
                compress(segment, &|| self.stops())
            })?;
            thread.join().unwrap_or_else(|_| Err(io::Error::other("compressing ended before its time")))
        })
    }

    /// Deletes what has outlived its time. That it did is in the log before.
    fn delete(&self, now: Option<Timestamp>) -> io::Result<()> {
        let dir = &self.shared.dir;
        let archive = Archive::open(dir)?;
        let chains = archive.chains().map(|(instance, segments)| {
            let may_still_grow =
                instance.is_some_and(|instance| instance == &*self.instance || is_written(dir, instance));
            Kept::closed(segments, may_still_grow)
        });
        for (segments, reason) in retention::expired(chains.collect(), &self.retention, now) {
            let Some(last) = segments.last() else { continue };
            self.note(last, segments.len(), reason)?;
            for segment in &segments {
                segment.delete()?;
            }
        }
        Ok(())
    }

    fn note(&self, last: &Segment, count: usize, reason: &str) -> io::Result<()> {
        let (through, count) = (last.name().number.to_string(), count.to_string());
        let chain = last.name().instance.as_deref().unwrap_or_default();
        let details = [("chain", chain), ("through", &*through), ("segments", &*count)];
        let event =
            Event { details: &details, ..Event::new(Timestamp::now(), EventKind::Retention, "portcullis", reason) };
        let batch = self.shared.hand_over(Hurry::None, |line| line::append(line, &event));
        batch.map_or(Err(io::ErrorKind::NotConnected.into()), |batch| {
            self.shared.commit(batch);
            self.shared.failure().map_or(Ok(()), |error| Err(io::Error::other(error)))
        })
    }

    fn stops(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Returns whether a process writes to a chain now.
fn is_written(dir: &Path, instance: &str) -> bool {
    File::open(super::segment::lock_path(dir, instance)).is_ok_and(|file| file.try_lock().is_err())
}

#[cfg(target_os = "linux")]
const LEAST_PRIORITY: i32 = 19;

/// How often segments are looked at that nobody closed: for their age.
const INTERVAL: Duration = Duration::from_secs(60);
