//! Follows a log while it is written: what it holds, then what comes, through all segments and chains that begin.
//!
//! The files are asked, not the system: what tells of changes does not tell of those on a network's disk.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::join::{Join, Take};
use super::scan::scan_these;
use super::{Collect, Filter, Found, Order, Scanned};
use crate::{Archive, Form, Lines, Segment, SegmentName};

/// Follows a log.
#[derive(Debug)]
pub struct Follow<'a> {
    dir: PathBuf,
    filter: &'a Filter,
    join: Join<'a>,
    // As it was at the start.
    archive: Archive,
    chains: HashMap<Box<str>, Cursor>,
    // Requests with lower numbers were passed on without their outcome...
    shown: u64,
    // ...and those will be next.
    seen: u64,
}

/// How far a chain was read.
#[derive(Debug)]
struct Cursor {
    name: SegmentName,
    // None where it had been closed when it was read.
    file: Option<File>,
    // Behind the last whole line.
    offset: u64,
}

impl<'a> Follow<'a> {
    /// Begins with the newest segment of each chain. A directory that is not there is one without segments.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn start(dir: &Path, filter: &'a Filter) -> io::Result<Self> {
        let archive = open(dir)?;
        let closed = |(instance, segments): (Option<&str>, &[Segment])| match segments {
            [.., last_but_one, _] => Some((instance?.into(), Cursor::behind(last_but_one))),
            _ => None,
        };
        let chains = archive.chains().filter_map(closed).collect();
        Ok(Self { dir: dir.to_owned(), filter, join: Join::new(filter), archive, chains, shown: 0, seen: 0 })
    }

    /// Looks for records in the segments before those that it begins with, the newest first.
    pub fn before<C: Collect>(&self, collect: &C) -> Scanned {
        let newest: Vec<_> = self.archive.chains().filter_map(|(of, segments)| of.and(segments.last())).collect();
        let is_before = |segment: &Segment| newest.iter().all(|newest| newest.name() != segment.name());
        scan_these(&self.archive, is_before, self.filter, Order::Newest, collect)
    }

    /// Passes on the records that came since, each when its outcome has come. Stops when `take` says so.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn poll(&mut self, mut take: impl FnMut(&Found<'_>) -> ControlFlow<()>) -> io::Result<ControlFlow<()>> {
        // A chain that goes on in a segment of this list was done with those before when the list was made.
        let archive = open(&self.dir)?;
        for (instance, segments) in archive.chains() {
            // Nobody writes to segments of the time before there were chains.
            let Some(instance) = instance else { continue };
            if let Some(cursor) = self.chains.get_mut(instance)
                && cursor.read(&mut self.join, &mut take)?.is_break()
            {
                return Ok(ControlFlow::Break(()));
            }
            for segment in following(self.chains.get(instance), segments) {
                let mut cursor = Cursor::begin(segment)?;
                let flow = match cursor.file {
                    Some(_) => cursor.read(&mut self.join, &mut take)?,
                    None => whole(segment, &mut self.join, &mut take)?,
                };
                self.chains.insert(instance.into(), cursor);
                if flow.is_break() {
                    return Ok(flow);
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Passes on the requests whose outcome has not come, without it; each once. They come again with their outcome.
    pub fn awaited(&mut self, mut take: impl FnMut(&Found<'_>) -> ControlFlow<()>) -> ControlFlow<()> {
        self.seen = self.join.next();
        self.overdue(&mut take)
    }

    /// Passes on the requests whose outcome has not come since this was called before; as [`Follow::awaited`].
    pub fn overdue(&mut self, mut take: impl FnMut(&Found<'_>) -> ControlFlow<()>) -> ControlFlow<()> {
        let numbers = self.shown..self.seen;
        (self.shown, self.seen) = (self.seen, self.join.next());
        self.join.show(numbers, &mut take)
    }

    /// Returns how many lines were no records.
    #[must_use]
    pub const fn unreadable(&self) -> u64 {
        self.join.unreadable
    }
}

impl Cursor {
    const fn new(name: SegmentName, file: Option<File>) -> Self {
        Self { name, file, offset: 0 }
    }

    fn behind(segment: &Segment) -> Self {
        Self::new(segment.name().clone(), None)
    }

    fn begin(segment: &Segment) -> io::Result<Self> {
        let file = match segment.form() {
            Form::Plain => match File::open(segment.path()) {
                // It was compressed since the directory was looked at.
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                file => Some(file?),
            },
            Form::Compressed => None,
        };
        Ok(Self::new(segment.name().clone(), file))
    }

    /// Reads the whole lines that came since.
    fn read(&mut self, join: &mut Join<'_>, take: &mut impl Take) -> io::Result<ControlFlow<()>> {
        let Some(file) = &mut self.file else { return Ok(ControlFlow::Continue(())) };
        let len = file.metadata()?.len();
        // What a failed write left is cut off: what was read of it is no line, or is told once more.
        self.offset = self.offset.min(len);
        if self.offset == len {
            return Ok(ControlFlow::Continue(()));
        }
        file.seek(SeekFrom::Start(self.offset))?;
        let mut lines = Lines::new(Box::new(file.try_clone()?));
        let flow = join.lines(&mut lines, take)?;
        self.offset += lines.bytes();
        Ok(flow)
    }
}

fn open(dir: &Path) -> io::Result<Archive> {
    Archive::open(dir).or_else(|error| {
        let is_missing = error.kind() == io::ErrorKind::NotFound;
        if is_missing { Ok(Archive::default()) } else { Err(error) }
    })
}

/// Returns the segments of a chain behind that which was read last.
fn following<'s>(cursor: Option<&Cursor>, segments: &'s [Segment]) -> impl Iterator<Item = &'s Segment> + use<'s> {
    let name = cursor.map(|cursor| cursor.name.clone());
    let at = segments.iter().position(|segment| Some(segment.name()) == name.as_ref());
    segments.iter().enumerate().filter_map(move |(index, segment)| {
        let is_behind = match (&name, at) {
            (None, _) => true,
            (Some(_), Some(at)) => index > at,
            // It was removed: because it had no record when its process ended, or by somebody who began anew.
            (Some(name), None) => segment.name().number >= name.number || segment.name().begun > name.begun,
        };
        is_behind.then_some(segment)
    })
}

/// Reads a segment that is closed.
fn whole(segment: &Segment, join: &mut Join<'_>, take: &mut impl Take) -> io::Result<ControlFlow<()>> {
    match segment.lines() {
        Ok(mut lines) => join.lines(&mut lines, take),
        // It was deleted since.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(ControlFlow::Continue(())),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
