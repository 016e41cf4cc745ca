//! The end of a log while it is written: what it holds, then what comes, through all segments and chains that begin.
//!
//! The files are asked, not the system: what tells of changes does not tell of those on a network's disk.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::join::{Join, Take};
use super::scan::scan_these;
use super::{Collect, Filter, Found, Order, Scanned};
use crate::{Archive, Form, Segment, SegmentName};

/// The end of a log.
#[derive(Debug)]
pub struct Tail<'a> {
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
    // Behind the last whole line; None where all of it was read.
    bytes: Option<u64>,
}

impl<'a> Tail<'a> {
    /// Begins with the newest segment of each chain. A directory that is not there is one without segments.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn open(dir: &Path, filter: &'a Filter) -> io::Result<Self> {
        let archive = open(dir)?;
        let closed = |(instance, segments): (Option<&str>, &[Segment])| match segments {
            [.., last_but_one, _] => {
                Some((instance?.into(), Cursor { name: last_but_one.name().clone(), bytes: None }))
            }
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
        let archive = open(&self.dir)?;
        for (instance, segments) in archive.chains() {
            // Nobody writes to segments of the time before there were chains.
            let Some(instance) = instance else { continue };
            let begin = self.chains.get(instance).map_or(0, |cursor| cursor.place_in(segments));
            for segment in segments.iter().skip(begin) {
                let cursor = self.chains.get(instance).filter(|cursor| cursor.name == *segment.name());
                let (bytes, flow) =
                    read(segment, cursor.map_or(Some(0), |cursor| cursor.bytes), &mut self.join, &mut take)?;
                self.chains.insert(instance.into(), Cursor { name: segment.name().clone(), bytes });
                if flow.is_break() {
                    return Ok(flow);
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Passes on the requests whose outcome has not come, without it; each once. They come again with their outcome.
    pub fn awaited(&mut self, take: impl FnMut(&Found<'_>) -> ControlFlow<()>) -> ControlFlow<()> {
        self.seen = self.join.next();
        self.overdue(take)
    }

    /// Passes on the requests whose outcome has not come since this was called before; as [`Tail::awaited`].
    pub fn overdue(&mut self, mut take: impl FnMut(&Found<'_>) -> ControlFlow<()>) -> ControlFlow<()> {
        let numbers = self.shown..self.seen;
        (self.shown, self.seen) = (self.seen, self.join.next());
        self.join.show(numbers, &mut take)
    }
}

impl Cursor {
    /// Returns which of the segments of its chain is the first that may have more.
    fn place_in(&self, segments: &[Segment]) -> usize {
        let place = segments.iter().position(|segment| *segment.name() == self.name);
        // It was removed: because it had no record when its process ended, or by somebody who began anew.
        place.unwrap_or_else(|| {
            let is_later = |name: &SegmentName| name.number >= self.name.number || name.begun > self.name.begun;
            segments.iter().position(|segment| is_later(segment.name())).unwrap_or(segments.len())
        })
    }
}

fn open(dir: &Path) -> io::Result<Archive> {
    Archive::open(dir).or_else(|error| {
        let is_missing = error.kind() == io::ErrorKind::NotFound;
        if is_missing { Ok(Archive::default()) } else { Err(error) }
    })
}

/// Reads what a segment has behind so many bytes; returns where that ends, unless no more can come.
fn read(
    segment: &Segment,
    from: Option<u64>,
    join: &mut Join<'_>,
    take: &mut impl Take,
) -> io::Result<(Option<u64>, ControlFlow<()>)> {
    let Some(mut from) = from else { return Ok((None, ControlFlow::Continue(()))) };
    if segment.form() == Form::Plain
        && let Ok(file) = fs::metadata(segment.path())
    {
        // What a failed write left is cut off: what was read of it is no line, or is told once more.
        from = from.min(file.len());
        if from == file.len() {
            return Ok((Some(from), ControlFlow::Continue(())));
        }
    }
    let mut lines = match segment.lines_from(from) {
        Ok(lines) => lines,
        // It was deleted since the directory was looked at.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((None, ControlFlow::Continue(()))),
        Err(error) => return Err(error),
    };
    let flow = join.lines(&mut lines, take)?;
    Ok(((segment.form() == Form::Plain).then(|| lines.bytes()), flow))
}

#[cfg(test)]
mod tests;
