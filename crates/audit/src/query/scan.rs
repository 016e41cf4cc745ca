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

/// Reads the segments of a directory that may hold what is looked for, each on one processor, and merges what was read of
/// each. Lines are not joined: `read` sees them as they are.
///
/// # Errors
/// The directory cannot be read.
pub fn scan_segments<T>(
    dir: &Path,
    filter: &Filter,
    read: impl Fn(&Segment) -> io::Result<T> + Sync,
    merge: impl FnMut(T) + Send,
) -> io::Result<Scanned> {
    let archive = Archive::open(dir)?;
    let segments = archive.segments();
    let merged = Mutex::new((merge, Scanned { segments: segments.len(), ..Scanned::default() }));
    in_parallel(segments.len(), |place| {
        let Some(segment) = segments.get(place).filter(|of| of.summary().is_none_or(|of| filter.may_be_in(&of))) else {
            return ControlFlow::Continue(());
        };
        let part = read(segment);
        let (merge, scanned) = &mut *merged.lock().unwrap_or_else(PoisonError::into_inner);
        scanned.read += 1;
        match part {
            Ok(part) => merge(part),
            Err(error) => scanned.fails(segment, error),
        }
        ControlFlow::Continue(())
    });
    Ok(merged.into_inner().unwrap_or_else(PoisonError::into_inner).1)
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
    let mut places: Vec<_> = segments.map(|(index, segment)| (&segment.name().begun, index, segment)).collect();
    // Chains lie side by side in time; segments from before there were chains are older than all.
    places.sort_by_key(|(begun, index, _)| (*begun, *index));
    if order == Order::Newest {
        places.reverse();
    }
    let scan = Scan { archive, filter, collect };
    let scanned = Mutex::new(Scanned { segments: places.len(), ..Scanned::default() });
    in_parallel(places.len(), |place| {
        let Some((_, index, segment)) = places.get(place) else { return ControlFlow::Break(()) };
        let (of, flow) = scan.place(place, *index, segment);
        scanned.lock().unwrap_or_else(PoisonError::into_inner).add(of);
        flow
    });
    scanned.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Does something for each place, in their order and on all processors, until it says that it is enough.
fn in_parallel(places: usize, each: impl Fn(usize) -> ControlFlow<()> + Sync) {
    let (next, enough) = (AtomicUsize::new(0), AtomicBool::new(false));
    let work = || {
        while !enough.load(Ordering::Relaxed) {
            let place = next.fetch_add(1, Ordering::Relaxed);
            if place >= places {
                return;
            }
            if each(place).is_break() {
                enough.store(true, Ordering::Relaxed);
            }
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(places);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(work);
        }
    });
}

struct Scan<'a, C> {
    archive: &'a Archive,
    filter: &'a Filter,
    collect: &'a C,
}

impl<C: Collect> Scan<'_, C> {
    fn place(&self, place: usize, index: usize, segment: &Segment) -> (Scanned, ControlFlow<()>) {
        let mut scanned = Scanned::default();
        let mut flow = ControlFlow::Continue(());
        let mut part = self.collect.begin(place);
        let summary = segment.summary();
        if summary.is_none_or(|of| self.filter.may_be_in(&of) && self.collect.wants(&of)) {
            let mut join = Join::new(self.filter);
            scanned.read = 1;
            match self.segment(index, segment, &mut join, &mut part) {
                Ok(went) => flow = went,
                Err(error) => scanned.fails(segment, error),
            }
            (scanned.without_outcome, scanned.unreadable) = (join.without_outcome, join.unreadable);
        }
        self.collect.end(part);
        (scanned, flow)
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
    fn fails(&mut self, segment: &Segment, error: io::Error) {
        // It was deleted since the directory was looked at.
        if error.kind() != io::ErrorKind::NotFound {
            self.errors.push((segment.path().into(), error));
        }
    }

    fn add(&mut self, of: Self) {
        self.read += of.read;
        self.without_outcome += of.without_outcome;
        self.unreadable += of.unreadable;
        self.errors.extend(of.errors);
    }
}

/// How far beyond the segment of a request its outcome is looked for, in bytes of lines.
const OUTCOME_WINDOW: u64 = 64 * 1024 * 1024;
