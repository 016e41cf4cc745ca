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
    place: Option<Place>,
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
    pub(super) fn new(dir: &Path, instance: &str, name: &str) -> Self {
        let path = dir.join(format!(".audit-{instance}.{name}.json"));
        Self { path, place: None, written: None, since: Instant::now(), is_failing: false }
    }

    pub(super) fn read(&self) -> io::Result<Option<Place>> {
        match fs::read(&self.path) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Remembers a place, and writes it down where that was not done for a while.
    pub(super) fn keep(&mut self, place: Place) {
        self.place = Some(place);
        if self.since.elapsed() >= INTERVAL {
            self.since = Instant::now();
            self.write();
        }
    }

    pub(super) fn write(&mut self) {
        let Some(place) = self.place.filter(|_| self.place != self.written) else { return };
        match self.replace(place) {
            Ok(()) => (self.written, self.is_failing) = (Some(place), false),
            Err(error) => {
                let path = self.path.display();
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::warn!(%path, %error, "how far audit records were sent cannot be written down: a restart sends some again");
                }
            }
        }
    }

    /// Whole or not at all.
    fn replace(&self, place: Place) -> io::Result<()> {
        let aside = self.path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
        file.write_all(&serde_json::to_vec(&place)?)?;
        fs::rename(aside, &self.path)
    }
}

/// A process that is killed sends again what it sent in this time.
const INTERVAL: Duration = Duration::from_secs(1);
