//! Reads the segments that can hold what is looked for, each on one processor.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::pending::{self, Pending};
use super::{Facts, Filter, Found};
use crate::{Archive, Segment, Summary, mark};

/// Takes what is found. Its methods are called from several threads.
pub trait Collect: Sync {
    /// What is collected from one segment.
    type Part: Send;

    /// Returns whether a segment is still of interest.
    fn wants(&self, _summary: &Summary) -> bool {
        true
    }

    /// Begins the segment with this place in the order of reading.
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

/// Looks for records in all segments of a directory, the newest segments first or the oldest.
///
/// A request and its outcome are one record, also where the outcome is in a later segment: it is looked for until
/// 64 MiB of lines beyond the segment of the request, and while no more than 16384 requests wait.
///
/// # Errors
/// The directory cannot be read.
pub fn scan<C: Collect>(dir: &Path, filter: &Filter, newest_first: bool, collect: &C) -> io::Result<Scanned> {
    let archive = Archive::open(dir)?;
    let mut order: Vec<_> = (0..archive.segments().len()).collect();
    // Chains lie side by side in time; segments from before there were chains are older than all.
    order.sort_by_key(|index| archive.segments().get(*index).map(|segment| segment.name().begun.clone()));
    if newest_first {
        order.reverse();
    }
    let scan = Scan {
        archive: &archive,
        filter,
        collect,
        next: AtomicUsize::new(0),
        enough: AtomicBool::new(false),
        scanned: Mutex::new(Scanned { segments: order.len(), ..Scanned::default() }),
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(order.len());
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| scan.work(&order));
        }
    });
    Ok(scan.scanned.into_inner().unwrap_or_else(PoisonError::into_inner))
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
    fn work(&self, order: &[usize]) {
        let needle = self.filter.needle();
        while !self.enough.load(Ordering::Relaxed) {
            let place = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(index) = order.get(place) else { return };
            let Some(segment) = self.archive.segments().get(*index) else { return };
            let mut reading = Reading {
                scan: self,
                part: self.collect.begin(place),
                pending: Pending::default(),
                counts: Scanned::default(),
            };
            let summary = segment.summary();
            let is_out = summary.is_some_and(|of| !self.filter.may_be_in(&of) || !self.collect.wants(&of));
            if !is_out {
                reading.counts.read = 1;
                match reading.segment(*index, segment, needle.as_ref()) {
                    // It was deleted since the directory was looked at.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => reading.counts.errors.push((segment.path().into(), error)),
                    Ok(ControlFlow::Break(())) => self.enough.store(true, Ordering::Relaxed),
                    Ok(ControlFlow::Continue(())) => {}
                }
            }
            let Reading { part, counts, .. } = reading;
            self.collect.end(part);
            self.scanned.lock().unwrap_or_else(PoisonError::into_inner).add(counts);
        }
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

/// One segment that is being read.
struct Reading<'a, 'b, C: Collect> {
    scan: &'a Scan<'b, C>,
    part: C::Part,
    pending: Pending,
    counts: Scanned,
}

impl<C: Collect> Reading<'_, '_, C> {
    fn segment(
        &mut self,
        index: usize,
        segment: &Segment,
        needle: Option<&memchr::memmem::Finder<'_>>,
    ) -> io::Result<ControlFlow<()>> {
        let mut lines = segment.lines()?;
        loop {
            // Outcomes have nothing of what is looked for: while one is awaited, each line is looked at.
            let line = match needle {
                Some(needle) if self.pending.is_empty() => lines.next_with(needle)?,
                Some(_) | None => lines.next_line()?,
            };
            let Some(line) = line else { break };
            let flow = if pending::is_outcome(line) {
                self.outcome(line)
            } else if needle.is_none_or(|needle| needle.find(line).is_some()) {
                self.record(line)
            } else {
                continue;
            };
            if flow.is_break() {
                return Ok(flow);
            }
        }
        self.look_beyond(index, segment)
    }

    fn record(&mut self, line: &[u8]) -> ControlFlow<()> {
        let Some(facts) = Facts::read(line) else {
            self.counts.unreadable += 1;
            return ControlFlow::Continue(());
        };
        let is_mark = matches!(&*facts.kind, mark::HEAD | mark::END);
        if is_mark || !self.scan.filter.allows(&facts) {
            return ControlFlow::Continue(());
        }
        if facts.is_ahead() {
            return match self.pending.add(&facts.id, line) {
                Some(given_up) => self.joined(&given_up, None),
                None => ControlFlow::Continue(()),
            };
        }
        self.found(&Found { facts: &facts, line, outcome: None })
    }

    fn outcome(&mut self, outcome: &[u8]) -> ControlFlow<()> {
        match self.pending.take(outcome) {
            Some(line) => self.joined(&line, Some(outcome)),
            None => ControlFlow::Continue(()),
        }
    }

    fn joined(&mut self, line: &[u8], outcome: Option<&[u8]>) -> ControlFlow<()> {
        let Some(mut facts) = Facts::read(line) else { return ControlFlow::Continue(()) };
        if let Some(outcome) = outcome {
            facts.end(outcome);
        }
        self.found(&Found { facts: &facts, line, outcome })
    }

    fn found(&mut self, found: &Found<'_>) -> ControlFlow<()> {
        if !self.scan.filter.allows_end(found.facts) {
            return ControlFlow::Continue(());
        }
        self.counts.without_outcome += u64::from(found.outcome.is_none() && found.facts.is_ahead());
        self.scan.collect.take(&mut self.part, found)
    }

    /// Looks for the outcomes that are still awaited in the segments after this one.
    fn look_beyond(&mut self, index: usize, segment: &Segment) -> io::Result<ControlFlow<()>> {
        let mut left = OUTCOME_WINDOW;
        let following = self.scan.archive.segments().get(index + 1..).unwrap_or_default();
        for following in following.iter().take_while(|of| of.name().instance == segment.name().instance) {
            if self.pending.is_empty() || left == 0 {
                break;
            }
            let mut lines = following.lines()?;
            while !self.pending.is_empty() && lines.bytes() < left {
                let Some(line) = lines.next_line()? else { break };
                if self.outcome(line).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            left = left.saturating_sub(lines.bytes());
        }
        while let Some(line) = self.pending.pop() {
            if self.joined(&line, None).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// How far beyond the segment of a request its outcome is looked for, in bytes of lines.
const OUTCOME_WINDOW: u64 = 64 * 1024 * 1024;
