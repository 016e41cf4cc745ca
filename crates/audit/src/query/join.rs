//! The lines of a log made into records: those that are looked for, a request and its outcome as one.

use std::io;
use std::ops::{ControlFlow, Range};

use memchr::memmem::Finder;

use super::glance::{self, Glance};
use super::pending::Pending;
use super::{Facts, Filter, Found};
use crate::{Lines, mark};

/// Joins lines that come in their order.
#[derive(Debug)]
pub(super) struct Join<'a> {
    filter: &'a Filter,
    needle: Option<Finder<'static>>,
    glance: Glance,
    pending: Pending,
    /// Requests that were passed on without their outcome.
    pub(super) without_outcome: u64,
    /// Lines that are no records.
    pub(super) unreadable: u64,
}

impl<'a> Join<'a> {
    pub(super) fn new(filter: &'a Filter) -> Self {
        let (needle, glance, pending) = (filter.needle(), Glance::default(), Pending::default());
        Self { filter, needle, glance, pending, without_outcome: 0, unreadable: 0 }
    }

    /// Returns whether an outcome is awaited.
    pub(super) fn awaits(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Takes all lines of a segment, or what is new of it.
    pub(super) fn lines(&mut self, lines: &mut Lines, take: &mut impl Take) -> io::Result<ControlFlow<()>> {
        // What others have written anew is read, too: it may have spaces, and members in another order.
        let is_ours = lines.begin_with(glance::BEGINNING)?;
        let needle = self.needle.clone().filter(|_| is_ours);
        loop {
            // Outcomes have nothing of what is looked for: while one is awaited, each line is looked at.
            let line = match &needle {
                Some(needle) if !self.awaits() => lines.next_with(needle)?,
                Some(_) | None => lines.next_line()?,
            };
            let Some(line) = line else { return Ok(ControlFlow::Continue(())) };
            let flow = match glance::id_of_outcome(line) {
                Some(id) => self.ended(id, line, take),
                None if needle.as_ref().is_none_or(|needle| needle.find(line).is_some()) => self.record(line, take),
                None => continue,
            };
            if flow.is_break() {
                return Ok(flow);
            }
        }
    }

    /// Takes a line that may be an outcome that is awaited.
    pub(super) fn outcome(&mut self, line: &[u8], take: &mut impl Take) -> ControlFlow<()> {
        if let Some(id) = glance::id_of_outcome(line) {
            return self.ended(id, line, take);
        }
        // What we wrote was told apart by its bytes.
        let others = (!line.starts_with(glance::BEGINNING)).then_some(line);
        match others.and_then(Facts::read) {
            Some(facts) if facts.kind == "outcome" => self.ended(&facts.id, line, take),
            Some(_) | None => ControlFlow::Continue(()),
        }
    }

    /// Passes on requests with these numbers that still wait, without their outcome, and goes on waiting for it.
    pub(super) fn show(&self, numbers: Range<u64>, take: &mut impl Take) -> ControlFlow<()> {
        for line in self.pending.lines(numbers) {
            if let Some(facts) = Facts::read(line).filter(|facts| self.filter.allows(facts)) {
                take(&Found { facts: &facts, line, outcome: None })?;
            }
        }
        ControlFlow::Continue(())
    }

    /// Returns the number of the next request that will wait.
    pub(super) fn next(&self) -> u64 {
        self.pending.next()
    }

    /// Passes on what still waits, the oldest first: no outcome will come.
    pub(super) fn give_up(&mut self, take: &mut impl Take) -> ControlFlow<()> {
        while let Some(line) = self.pending.pop() {
            self.joined(&line, None, take)?;
        }
        ControlFlow::Continue(())
    }

    fn ended(&mut self, id: &str, outcome: &[u8], take: &mut impl Take) -> ControlFlow<()> {
        let Some(line) = self.pending.take(id) else { return ControlFlow::Continue(()) };
        let may_end = self.glance.may_end(self.filter, outcome);
        let flow = if may_end { self.joined(&line, Some(outcome), take) } else { ControlFlow::Continue(()) };
        self.pending.give_back(line);
        flow
    }

    fn record(&mut self, line: &[u8], take: &mut impl Take) -> ControlFlow<()> {
        // Nothing is read of a request before its outcome has come, which may show that it is not meant.
        if let Some(id) = self.glance.id_of_ahead(line) {
            return self.wait(id, line, take);
        }
        if !self.glance.may_end(self.filter, line) && !self.glance.has_free_names(line) {
            return ControlFlow::Continue(());
        }
        let Some(facts) = Facts::read(line) else {
            self.unreadable += 1;
            return ControlFlow::Continue(());
        };
        match &*facts.kind {
            mark::HEAD | mark::END => return ControlFlow::Continue(()),
            // As others write it.
            "outcome" => return self.ended(&facts.id, line, take),
            _ => {}
        }
        if facts.is_ahead() {
            return self.wait(&facts.id, line, take);
        }
        self.found(&Found { facts: &facts, line, outcome: None }, take)
    }

    fn wait(&mut self, id: &str, line: &[u8], take: &mut impl Take) -> ControlFlow<()> {
        match self.pending.add(id, line) {
            Some(given_up) => self.joined(&given_up, None, take),
            None => ControlFlow::Continue(()),
        }
    }

    fn joined(&mut self, line: &[u8], outcome: Option<&[u8]>, take: &mut impl Take) -> ControlFlow<()> {
        let Some(mut facts) = Facts::read(line) else {
            self.unreadable += 1;
            return ControlFlow::Continue(());
        };
        if let Some(outcome) = outcome {
            facts.end(outcome);
        }
        self.found(&Found { facts: &facts, line, outcome }, take)
    }

    fn found(&mut self, found: &Found<'_>, take: &mut impl Take) -> ControlFlow<()> {
        if !self.filter.allows(found.facts) {
            return ControlFlow::Continue(());
        }
        self.without_outcome += u64::from(found.outcome.is_none() && found.facts.is_ahead());
        take(found)
    }
}

/// Takes a record; says whether to go on.
pub(super) trait Take: FnMut(&Found<'_>) -> ControlFlow<()> {}

impl<T: FnMut(&Found<'_>) -> ControlFlow<()>> Take for T {}
