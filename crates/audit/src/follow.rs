//! Follows a log from behind: hands out the lines of its segments in their order, from where it was left, also after a
//! restart. Whoever ships lines elsewhere reads them here, so that no receiver ever holds up a request, and what one
//! missed while it was away comes when it is back.

mod place;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use tokio::time::Instant;

pub use self::place::Place;

use self::place::PlaceFile;
use crate::archive::{Archive, Lines, Segment};
use crate::{Config, mark};

/// Reads the chain of one process behind its back, on behalf of one receiver.
#[derive(Debug)]
pub struct Follower {
    dir: PathBuf,
    instance: Box<str>,
    // Behind the last line that was read.
    place: Place,
    // How many lines were read and are neither sent nor refused.
    in_hand: u64,
    reading: Option<Reading>,
    file: PlaceFile,
    progress: Arc<Progress>,
}

/// What became of the lines for one receiver.
#[derive(Debug)]
pub struct Progress {
    name: &'static str,
    sent: AtomicU64,
    dropped: AtomicU64,
    // When the oldest line in hand was written, in milliseconds since 1970; 0 for none.
    oldest: AtomicI64,
}

/// A segment that is being read.
#[derive(Debug)]
struct Reading {
    lines: Lines,
    since: Instant,
    // Its last line was read, or nothing was added to it any more when it was opened.
    is_complete: bool,
}

/// What is looked at of a line.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Head {
    time: Option<Timestamp>,
    kind: String,
    after: u64,
}

impl Follower {
    /// Goes on where the last follower of this name was; the first time with the segment that is written now, so to be
    /// called when the log is open.
    ///
    /// # Errors
    /// The folder or the file that tells where it was cannot be read.
    pub fn open(config: &Config, name: &'static str) -> io::Result<Self> {
        let file = PlaceFile::open(&config.dir, &config.instance, name, || {
            let archive = Archive::open(&config.dir)?;
            let last = own_segments(&archive, &config.instance).last();
            Ok(Place::beginning(last.map_or(1, |last| last.name().number)))
        })?;
        let progress =
            Progress { name, sent: AtomicU64::new(0), dropped: AtomicU64::new(0), oldest: AtomicI64::new(0) };
        Ok(Self {
            dir: config.dir.clone(),
            instance: config.instance.as_str().into(),
            place: file.place(),
            in_hand: 0,
            reading: None,
            file,
            progress: Arc::new(progress),
        })
    }

    /// Returns the name of the chain.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// Returns what became of the lines.
    #[must_use]
    pub const fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// Adds the next lines, each with its line feed, until there are about `limit` bytes or no more for now. Blocks on the
    /// disk.
    ///
    /// # Errors
    /// A segment cannot be read.
    pub fn read(&mut self, lines: &mut Vec<u8>, limit: usize) -> io::Result<()> {
        while lines.len() < limit {
            if self.reading.is_none() {
                self.reading = self.open_segment()?;
            }
            let Some(reading) = &mut self.reading else { return Ok(()) };
            if let Some(line) = reading.lines.next_line()? {
                lines.extend_from_slice(line);
                lines.push(b'\n');
                reading.is_complete |= is_last(line);
                if self.place.bytes() == 0 || self.in_hand == 0 {
                    let head: Head = serde_json::from_slice(line).unwrap_or_default();
                    if self.place.bytes() == 0 && head.kind == mark::HEAD {
                        self.progress.misses(self.place.begin(head.after));
                    }
                    if self.in_hand == 0 {
                        self.progress.holds(head.time);
                    }
                }
                self.in_hand += 1;
                self.place.pass(reading.lines.bytes());
            } else if reading.is_complete {
                self.place.next_segment();
                self.reading = None;
            } else {
                // Half a line may be cut off again and written anew. And another segment may have followed: nobody tells.
                if reading.lines.torn() > 0 || reading.since.elapsed() > LOOK {
                    self.reading = None;
                }
                return Ok(());
            }
        }
        Ok(())
    }

    /// Returns the place behind the last line that was read.
    #[must_use]
    pub const fn place(&self) -> Place {
        self.place
    }

    /// Counts all that was read as sent.
    pub fn sent(&mut self) {
        self.progress.sent.fetch_add(std::mem::take(&mut self.in_hand), Ordering::Relaxed);
        self.progress.holds(None);
    }

    /// Counts all that was read as sent, but for so many lines that the receiver does not take.
    pub fn sent_but(&mut self, refused: u64) {
        let refused = refused.min(self.in_hand);
        self.progress.misses(refused);
        self.in_hand -= refused;
        self.sent();
    }

    /// Counts all that was read as dropped: the receiver does not take it, and never will.
    pub fn refused(&mut self) {
        self.progress.misses(std::mem::take(&mut self.in_hand));
        self.progress.holds(None);
    }

    /// Notes that all before this place has arrived: a restart goes on there. Writes it down now and then.
    pub fn arrived(&mut self, place: Place) {
        self.file.keep(place);
    }

    /// Reads on from an earlier place.
    pub fn go_back(&mut self, place: Place) {
        self.place = place;
        self.in_hand = 0;
        self.reading = None;
    }

    /// Reads on from where all has arrived: another receiver gets the rest.
    pub fn go_back_to_arrived(&mut self) {
        self.go_back(self.file.place());
    }

    /// Writes down how far it has come.
    pub fn close(mut self) {
        self.file.write();
    }

    /// Opens the segment of the place, or the first behind it where that was deleted.
    fn open_segment(&mut self) -> io::Result<Option<Reading>> {
        let archive = Archive::open(&self.dir)?;
        let own: Vec<_> = own_segments(&archive, &self.instance).collect();
        let Some(last) = own.last().map(|last| last.name().number) else { return Ok(None) };
        // Behind the last there will be the next, unless all were taken away and the numbers begin anew.
        let from = if last + 1 < self.place.segment() { 0 } else { self.place.segment() };
        let Some(segment) = own.iter().find(|segment| segment.name().number >= from) else { return Ok(None) };
        self.place.enter(segment.name().number);
        let is_complete = last > segment.name().number;
        let lines = segment.lines_from(self.place.bytes())?;
        Ok(Some(Reading { lines, since: Instant::now(), is_complete }))
    }
}

impl Progress {
    /// Returns the name of the receiver.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns how many lines were sent; those that were sent again count again.
    #[must_use]
    pub fn lines_sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Returns how many lines the receiver never gets: it refused them, or they were deleted before it was their turn.
    #[must_use]
    pub fn lines_dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Returns when the oldest line that waits for the receiver was written; `None` when none does.
    #[must_use]
    pub fn oldest_waiting(&self) -> Option<Timestamp> {
        let milliseconds = self.oldest.load(Ordering::Relaxed);
        if milliseconds == 0 { None } else { Timestamp::from_millisecond(milliseconds).ok() }
    }

    fn misses(&self, lines: u64) {
        self.dropped.fetch_add(lines, Ordering::Relaxed);
    }

    fn holds(&self, oldest: Option<Timestamp>) {
        self.oldest.store(oldest.map_or(0, Timestamp::as_millisecond), Ordering::Relaxed);
    }
}

fn own_segments<'a>(archive: &'a Archive, instance: &str) -> impl Iterator<Item = &'a Segment> {
    archive.segments().iter().filter(move |segment| segment.name().instance.as_deref() == Some(instance))
}

/// Lines begin with time and kind; nothing that a caller chose comes before them.
fn is_last(line: &[u8]) -> bool {
    memchr::memmem::find(line.get(..MARK).unwrap_or(line), LAST).is_some()
}

const MARK: usize = 80;
const LAST: &[u8] = b"\"kind\":\"segment_end\"";

/// How often it is looked whether the file that is read is still the one that is written.
const LOOK: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
