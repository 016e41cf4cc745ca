//! Segments: files of whole lines, closed by size and age.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use crate::Config;

/// The segments of one directory, of which at most one is open.
#[derive(Debug)]
pub(super) struct Segments {
    dir: PathBuf,
    max_bytes: u64,
    max_age: Duration,
    opened: u64,
    open: Option<Segment>,
}

#[derive(Debug)]
struct Segment {
    file: File,
    path: PathBuf,
    since: Timestamp,
    // Invariant: the length of the whole lines in the file; what lies beyond is torn.
    len: u64,
}

impl Segments {
    /// Makes the directory and opens the first segment.
    pub(super) fn start(config: &Config) -> io::Result<Self> {
        let Config { dir, segment_bytes, segment_age, .. } = config;
        let mut segments =
            Self { dir: dir.clone(), max_bytes: *segment_bytes, max_age: *segment_age, opened: 0, open: None };
        segments.open()?;
        Ok(segments)
    }

    /// Appends whole lines, all or none, to a file that is still in the directory when they are in it.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.open.as_ref().is_some_and(|segment| segment.is_done(self.max_bytes, self.max_age)) {
            self.finish()?;
        }
        // Twice: a log rotator or an administrator may have moved the segment, or the whole directory, away.
        for _ in 0..2 {
            let segment = match self.open.take() {
                Some(segment) => self.open.insert(segment),
                None => self.open()?,
            };
            if let Err(error) = segment.append(lines) {
                if segment.cut().is_err() {
                    self.open = None;
                }
                return Err(error);
            }
            if segment.is_in_place() {
                return Ok(());
            }
            // The lines go to the next segment, and to no other beside it.
            segment.len = segment.len.saturating_sub(lines.len() as u64);
            let _ = segment.cut();
            self.open = None;
        }
        Err(io::Error::from(io::ErrorKind::NotFound))
    }

    /// Closes the open segment. One without a line is removed.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        match self.open.take() {
            Some(segment) if segment.len == 0 => std::fs::remove_file(segment.path),
            Some(segment) => segment.file.sync_data(),
            None => Ok(()),
        }
    }

    fn open(&mut self) -> io::Result<&mut Segment> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        // Names and ages only; no record takes its time from here.
        let since = Timestamp::now();
        loop {
            self.opened += 1;
            let path = self.dir.join(format!("audit-{}-{:06}.jsonl", since.strftime("%Y%m%dT%H%M%SZ"), self.opened));
            match create(&path) {
                Ok(file) => return Ok(self.open.insert(Segment { file, path, since, len: 0 })),
                // Another process, or a start within the same second, has that name.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && self.opened < MAX_OPENED => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Segment {
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.file.write_all(lines)?;
        self.len = self.len.saturating_add(lines.len() as u64);
        Ok(())
    }

    /// Cuts off what a failed write left, so that the file has whole lines only.
    fn cut(&self) -> io::Result<()> {
        self.file.set_len(self.len)
    }

    fn is_done(&self, max_bytes: u64, max_age: Duration) -> bool {
        let ends = self.since.checked_add(max_age).unwrap_or(Timestamp::MAX);
        self.len >= max_bytes || (self.len > 0 && Timestamp::now() >= ends)
    }

    /// Returns whether the path still names this file: writing to one that was removed succeeds, too.
    fn is_in_place(&self) -> bool {
        let (Ok(file), Ok(path)) = (self.file.metadata(), std::fs::symlink_metadata(&self.path)) else { return false };
        (file.dev(), file.ino()) == (path.dev(), path.ino())
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)
}

/// How many segments one process opens at most, so that looking for a free name ends.
const MAX_OPENED: u64 = 999_999;

#[cfg(test)]
impl Segments {
    /// Puts another file in the place of the open segment's.
    pub(super) fn replace_file(&mut self, file: File) {
        self.open.as_mut().unwrap().file = file;
    }

    /// Cuts the open segment.
    pub(super) fn cut(&self) -> io::Result<()> {
        self.open.as_ref().unwrap().cut()
    }
}
