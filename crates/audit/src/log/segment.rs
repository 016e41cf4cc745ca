//! The segment that is written: a file of whole lines in one chain, closed by size and age.

mod resume;

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::time::Duration;

use jiff::Timestamp;
#[cfg(target_os = "linux")]
use rustix::fs::{AtFlags, StatxFlags, statx};
use tokio::time::Instant;

use super::batch::Batch;
use crate::archive::SegmentName;
use crate::chain::Position;
use crate::checkpoint::Reached;
use crate::mark::{self, Alarm, Closed, End, Head};
use crate::{Config, Durability, SigningKey};

/// The segments of one chain, of which at most one is open.
#[derive(Debug)]
pub(super) struct Segments {
    dir: PathBuf,
    instance: Box<str>,
    max_bytes: u64,
    max_age: Duration,
    durability: Durability,
    key: Option<SigningKey>,
    // The number of the last segment, how many lines it has, and where the chain is. Invariant: all tell what is in files,
    // not what is tried.
    number: u64,
    lines: u64,
    position: Position,
    // What the next segment begins with, where the end of the log was not what had been signed.
    alarm: Option<Alarm>,
    open: Option<Open>,
    // Told when a segment was closed and the next one is there.
    closed: Option<Sender<()>>,
    // Keeps other processes from writing to the same chain.
    lock: File,
}

#[derive(Debug)]
struct Open {
    file: File,
    path: PathBuf,
    number: u64,
    since: Instant,
    // Invariant: the length of the whole lines in the file; what lies beyond is torn.
    len: u64,
    lines: u64,
    // When the path was looked at last.
    looked: Option<Instant>,
}

impl Segments {
    /// Makes the directory, finds the end of the chain, and opens a segment.
    pub(super) fn start(config: &Config) -> io::Result<Self> {
        make_dir(&config.dir)?;
        let lock = lock(&config.dir, &config.instance)?;
        let key = config.signing_key.clone();
        let last = resume::resume(&config.dir, &config.instance, key.as_ref())?;
        let mut segments = Self {
            dir: config.dir.clone(),
            instance: config.instance.as_str().into(),
            max_bytes: config.segment_bytes,
            max_age: config.segment_age,
            durability: config.durability,
            key,
            number: last.number,
            lines: last.lines,
            position: last.position,
            alarm: last.alarm,
            open: None,
            closed: None,
            lock,
        };
        segments.open()?;
        Ok(segments)
    }

    /// Returns the number of the last segment with a line.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Returns how far the chain has come; `None` while an alarm is not in it: until then, what had been signed stays.
    pub(super) fn reached(&self) -> Option<Reached> {
        let reached = Reached { segment: self.number, lines: self.lines, hash: self.position.hash };
        self.alarm.is_none().then_some(reached)
    }

    /// Tells `closed` from now on when a segment was closed and the next one is there.
    pub(super) fn tell(&mut self, closed: Sender<()>) {
        self.closed = Some(closed);
    }

    /// Appends whole lines, all or none, to a file that is still in the directory when they are in it.
    pub(super) fn append(&mut self, batch: &mut Batch, now: Instant) -> io::Result<()> {
        if let Some(why) = self.open.as_ref().and_then(|open| open.is_done(self.max_bytes, self.max_age, now)) {
            self.finish(why)?;
        }
        // Twice: an administrator may have moved the segment, or the whole directory, away.
        for _ in 0..2 {
            if self.open.is_none() {
                self.open()?;
            }
            self.write_head()?;
            let Some(open) = &mut self.open else { break };
            let position = batch.seal(self.position);
            if let Err(error) = open.append(batch.bytes(), self.durability) {
                self.cut();
                return Err(error);
            }
            if open.is_in_place(now) {
                open.lines += batch.lines() as u64;
                (self.lines, self.position) = (open.lines, position);
                return Ok(());
            }
            // The lines go to the next segment, and to no other beside it.
            open.len = open.len.saturating_sub(batch.bytes().len() as u64);
            let _ = open.cut();
            self.open = None;
        }
        Err(io::Error::from(io::ErrorKind::NotFound))
    }

    /// Closes the open segment. One without a record is removed.
    pub(super) fn finish(&mut self, why: Closed) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        if open.len == 0 {
            self.number = open.number.saturating_sub(1);
            let path = open.path.clone();
            self.open = None;
            return std::fs::remove_file(path);
        }
        let end = End::new(open.number, open.lines, why, 0);
        let (line, position) = mark::line(&end, &self.position, self.key.as_ref())?;
        if let Err(error) = open.append(&line, Durability::Os) {
            self.cut();
            return Err(error);
        }
        self.position = position;
        self.lines += 1;
        match self.open.take() {
            // While it goes on, the compressed file is what is sure to be on the disk.
            Some(open) if why == Closed::Stop => open.file.sync_data(),
            Some(_) | None => Ok(()),
        }
    }

    /// Writes the first line of a segment that has none: only together with a record.
    fn write_head(&mut self) -> io::Result<()> {
        let Some(open) = self.open.as_mut().filter(|open| open.len == 0) else { return Ok(()) };
        let head = Head::new(&self.instance, open.number, self.position.lines, self.key.as_ref(), self.alarm);
        let (line, position) = mark::line(&head, &self.position, self.key.as_ref())?;
        if let Err(error) = open.append(&line, Durability::Os) {
            self.cut();
            return Err(error);
        }
        open.lines += 1;
        (self.number, self.lines, self.alarm) = (open.number, open.lines, None);
        self.position = position;
        Ok(())
    }

    /// Lets other processes write to the chain.
    pub(super) fn release(&mut self) {
        self.closed = None;
        let _ = self.lock.unlock();
    }

    /// Cuts off what a failed write left, so that the file has whole lines only. A file that does not let itself be cut
    /// is left alone, and another takes its place.
    fn cut(&mut self) {
        let Some(open) = self.open.take_if(|open| open.cut().is_err()) else { return };
        if open.len == 0 {
            let _ = std::fs::remove_file(open.path);
        }
    }

    fn open(&mut self) -> io::Result<()> {
        make_dir(&self.dir)?;
        if !is_at(&self.lock, &lock_path(&self.dir, &self.instance)) {
            // Of a directory that is gone: nobody is kept from writing to the one that was made in its place.
            self.lock = lock(&self.dir, &self.instance)?;
        }
        let number = self.number + 1;
        let path = self.dir.join(format!("{}.jsonl", SegmentName::new(&self.instance, number, Timestamp::now())));
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path)?;
        if self.durability == Durability::Disk {
            // A file whose name is not on the disk is lost with the power.
            File::open(&self.dir)?.sync_all()?;
        }
        self.open = Some(Open { file, path, number, since: Instant::now(), len: 0, lines: 0, looked: None });
        if let Some(waiting) = &self.closed {
            // Not before: the last segment of a folder may still be written.
            let _ = waiting.send(());
        }
        Ok(())
    }
}

impl Open {
    fn append(&mut self, lines: &[u8], durability: Durability) -> io::Result<()> {
        self.file.write_all(lines)?;
        if durability == Durability::Disk {
            self.file.sync_data()?;
        }
        self.len = self.len.saturating_add(lines.len() as u64);
        Ok(())
    }

    fn cut(&self) -> io::Result<()> {
        self.file.set_len(self.len)
    }

    fn is_done(&self, max_bytes: u64, max_age: Duration, now: Instant) -> Option<Closed> {
        match () {
            () if self.len >= max_bytes => Some(Closed::Size),
            () if self.len > 0 && now.duration_since(self.since) >= max_age => Some(Closed::Age),
            () => None,
        }
    }

    /// Returns whether the file still has a name: writing to one that was removed succeeds, too. That the name is another
    /// one now is noticed a moment later: a file that was moved away keeps its lines.
    fn is_in_place(&mut self, now: Instant) -> bool {
        if !has_a_name(&self.file) {
            return false;
        }
        if self.looked.is_some_and(|looked| now.duration_since(looked) < LOOK_INTERVAL) {
            return true;
        }
        self.looked = Some(now);
        is_at(&self.file, &self.path)
    }
}

/// Returns whether a path is that of the file.
fn is_at(file: &File, path: &Path) -> bool {
    let both = file.metadata().and_then(|file| Ok((file, std::fs::symlink_metadata(path)?)));
    both.is_ok_and(|(file, path)| (file.dev(), file.ino()) == (path.dev(), path.ino()))
}

/// Asks for nothing but the links, where that can be asked: who was told the time of the last change is told another after
/// the next line, and the file system writes that down for each.
fn has_a_name(file: &File) -> bool {
    #[cfg(target_os = "linux")]
    if let Ok(told) = statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::NLINK) {
        return told.stx_nlink > 0;
    }
    file.metadata().is_ok_and(|told| told.nlink() > 0)
}

fn make_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Two processes that write to one chain would each break it for the other.
fn lock(dir: &Path, instance: &str) -> io::Result<File> {
    let path = lock_path(dir, instance);
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(io::Error::new(
            io::ErrorKind::ResourceBusy,
            format!("another process writes as `{instance}`; stop it, or set `audit.instance` to another name"),
        )),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

pub(super) fn lock_path(dir: &Path, instance: &str) -> PathBuf {
    dir.join(format!(".audit-{instance}.lock"))
}

/// How often the path of the open segment is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

#[cfg(test)]
impl Segments {
    /// Puts another file in the place of the open segment's.
    pub(super) fn replace_file(&mut self, file: File) {
        self.open.as_mut().unwrap().file = file;
    }

    /// Cuts the open segment, as after a failed write.
    pub(super) fn cut_now(&mut self) {
        self.cut();
    }
}
