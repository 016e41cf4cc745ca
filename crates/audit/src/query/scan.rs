//! Reads the segments that can hold what is looked for, each on one processor.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::join::{Join, Take};
use super::{Filter, Found};
use crate::{Archive, Segment, Summary};

/// Takes what is found. Its methods are called from several threads.
pub trait Collect: Sync {
    /// What is collected from one segment.
    type Part: Send;

    /// Returns whether a segment is still of interest.
    fn wants(&self, _summary: &Summary) -> bool {
        true
    }

    /// Begins the segment with this place in the order of reading; each place comes once, also where the segment is not of
    /// interest, unless enough was taken before.
    fn begin(&self, place: usize) -> Self::Part;

    /// Takes a record; says whether to go on.
    fn take(&self, part: &mut Self::Part, found: &Found<'_>) -> ControlFlow<()>;

    /// Ends a segment.
    fn end(&self, part: Self::Part);
}

/// What a scan went through.
#[derive(Debug, Default)]
pub struct Scanned {
    /// Segments that there are.
    pub segments: usize,
    /// Segments that were read.
    pub read: usize,
    /// Requests whose outcome was not found.
    pub without_outcome: u64,
    /// Lines that are no records.
    pub unreadable: u64,
    /// Segments that could not be read to their end, and why.
    pub errors: Vec<(PathBuf, io::Error)>,
}

/// In which order segments are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Those that were begun last come first.
    Newest,
    /// Those that were begun first come first.
    Oldest,
}

/// Looks for records in all segments of a directory.
///
/// A request and its outcome are one record, also where the outcome is in a later segment: it is looked for until
/// 64 MiB of lines beyond the segment of the request, and while no more than 16384 requests wait.
///
/// # Errors
/// The directory cannot be read.
pub fn scan<C: Collect>(dir: &Path, filter: &Filter, order: Order, collect: &C) -> io::Result<Scanned> {
    let archive = Archive::open(dir)?;
    Ok(scan_these(&archive, |_| true, filter, order, collect))
}

/// Looks for records in some segments of an archive, as [`scan`] does.
pub(super) fn scan_these<C: Collect>(
    archive: &Archive,
    these: impl Fn(&Segment) -> bool,
    filter: &Filter,
    order: Order,
    collect: &C,
) -> Scanned {
    let segments = archive.segments().iter().enumerate().filter(|(_, segment)| these(segment));
    let mut places: Vec<_> = segments.map(|(index, segment)| (&segment.name().begun, index)).collect();
    // Chains lie side by side in time; segments from before there were chains are older than all.
    places.sort();
    if order == Order::Newest {
        places.reverse();
    }
    let scan = Scan {
        archive,
        filter,
        collect,
        next: AtomicUsize::new(0),
        enough: AtomicBool::new(false),
        scanned: Mutex::new(Scanned { segments: places.len(), ..Scanned::default() }),
    };
    let places: Vec<_> = places.into_iter().map(|(_, index)| index).collect();
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(places.len());
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| scan.work(&places));
        }
    });
    scan.scanned.into_inner().unwrap_or_else(PoisonError::into_inner)
}

struct Scan<'a, C> {
    archive: &'a Archive,
    filter: &'a Filter,
    collect: &'a C,
    next: AtomicUsize,
    enough: AtomicBool,
    scanned: Mutex<Scanned>,
}

impl<C: Collect> Scan<'_, C> {
    fn work(&self, places: &[usize]) {
        while !self.enough.load(Ordering::Relaxed) {
            let place = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(index) = places.get(place) else { return };
            let Some(segment) = self.archive.segments().get(*index) else { return };
            let mut part = self.collect.begin(place);
            let summary = segment.summary();
            if summary.is_none_or(|of| self.filter.may_be_in(&of) && self.collect.wants(&of)) {
                self.read(*index, segment, &mut part);
            }
            self.collect.end(part);
        }
    }

    fn read(&self, index: usize, segment: &Segment, part: &mut C::Part) {
        let mut join = Join::new(self.filter);
        let mut scanned = Scanned { read: 1, ..Scanned::default() };
        match self.segment(index, segment, &mut join, part) {
            // It was deleted since the directory was looked at.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => scanned.errors.push((segment.path().into(), error)),
            Ok(ControlFlow::Break(())) => self.enough.store(true, Ordering::Relaxed),
            Ok(ControlFlow::Continue(())) => {}
        }
        (scanned.without_outcome, scanned.unreadable) = (join.without_outcome, join.unreadable);
        self.scanned.lock().unwrap_or_else(PoisonError::into_inner).add(scanned);
    }

    fn segment(
        &self,
        index: usize,
        segment: &Segment,
        join: &mut Join<'_>,
        part: &mut C::Part,
    ) -> io::Result<ControlFlow<()>> {
        let take = &mut |found: &Found<'_>| self.collect.take(part, found);
        if join.lines(&mut segment.lines()?, take)?.is_break()
            || self.look_beyond(index, segment, join, take)?.is_break()
        {
            return Ok(ControlFlow::Break(()));
        }
        Ok(join.give_up(take))
    }

    /// Looks for the outcomes that are still awaited in the segments after this one.
    fn look_beyond(
        &self,
        index: usize,
        segment: &Segment,
        join: &mut Join<'_>,
        take: &mut impl Take,
    ) -> io::Result<ControlFlow<()>> {
        let mut left = OUTCOME_WINDOW;
        let following = self.archive.segments().get(index + 1..).unwrap_or_default();
        for following in following.iter().take_while(|of| of.name().instance == segment.name().instance) {
            if !join.awaits() || left == 0 {
                break;
            }
            let mut lines = following.lines()?;
            while join.awaits() && lines.bytes() < left {
                let Some(line) = lines.next_line()? else { break };
                if join.outcome(line, take).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            left = left.saturating_sub(lines.bytes());
        }
        Ok(ControlFlow::Continue(()))
    }
}

impl Scanned {
    fn add(&mut self, of: Self) {
        self.read += of.read;
        self.without_outcome += of.without_outcome;
        self.unreadable += of.unreadable;
        self.errors.extend(of.errors);
    }
}

/// How far beyond the segment of a request its outcome is looked for, in bytes of lines.
const OUTCOME_WINDOW: u64 = 64 * 1024 * 1024;
