//! How far a follower has come, and the file that remembers it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// A place in a chain, between two lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    segment: u64,
    // Of whole lines of that segment.
    bytes: u64,
    // How many lines the chain has before it, once that was read.
    lines: Option<u64>,
}

/// Where a place is written down.
#[derive(Debug)]
pub(super) struct PlaceFile {
    path: PathBuf,
    place: Place,
    written: Option<Place>,
    since: Instant,
    is_failing: bool,
}

impl Place {
    pub(super) const fn beginning(segment: u64) -> Self {
        Self { segment, bytes: 0, lines: None }
    }

    pub(super) const fn segment(&self) -> u64 {
        self.segment
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Goes to a segment, where it is not there.
    pub(super) const fn enter(&mut self, segment: u64) {
        if self.segment != segment {
            (self.segment, self.bytes) = (segment, 0);
        }
    }

    /// Takes over from the first line of a segment how many lines came before; returns how many of them were missed.
    pub(super) fn begin(&mut self, after: u64) -> u64 {
        self.lines.replace(after).map_or(0, |lines| after.saturating_sub(lines))
    }

    /// Passes a line that ends there.
    pub(super) fn pass(&mut self, bytes: u64) {
        self.bytes = bytes;
        self.lines = self.lines.map(|lines| lines + 1);
    }

    pub(super) const fn next_segment(&mut self) {
        (self.segment, self.bytes) = (self.segment + 1, 0);
    }
}

impl PlaceFile {
    /// Reads where a follower was. The first time that is a beginning, which is written down at once: a receiver that is
    /// away from then on gets what it missed in the next process, too.
    pub(super) fn open(
        dir: &Path,
        instance: &str,
        name: &str,
        beginning: impl FnOnce() -> io::Result<Place>,
    ) -> io::Result<Self> {
        let path = dir.join(format!(".audit-{instance}.{name}.json"));
        let written = match fs::read(&path) {
            Ok(bytes) => Some(serde_json::from_slice(&bytes)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let place = written.map_or_else(beginning, Ok)?;
        let mut file = Self { path, place, written, since: Instant::now(), is_failing: false };
        file.write();
        Ok(file)
    }

    pub(super) const fn place(&self) -> Place {
        self.place
    }

    /// Remembers a place, and writes it down where that was not done for a while.
    pub(super) fn keep(&mut self, place: Place) {
        self.place = place;
        if self.since.elapsed() >= INTERVAL {
            self.since = Instant::now();
            self.write();
        }
    }

    pub(super) fn write(&mut self) {
        if self.written == Some(self.place) {
            return;
        }
        match self.replace() {
            Ok(()) => (self.written, self.is_failing) = (Some(self.place), false),
            Err(error) => {
                let path = self.path.display();
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::warn!(%path, %error, "how far audit records were sent cannot be written down: a restart sends some again");
                }
            }
        }
    }

    /// Whole or not at all.
    fn replace(&self) -> io::Result<()> {
        let aside = self.path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
        file.write_all(&serde_json::to_vec(&self.place)?)?;
        fs::rename(aside, &self.path)
    }
}

/// A process that is killed sends again what it sent in this time.
const INTERVAL: Duration = Duration::from_secs(1);
