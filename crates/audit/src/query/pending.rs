//! Requests whose outcome has not come yet: a bounded number, of which the oldest are given up first.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

/// Requests whose outcome has not come yet.
#[derive(Debug, Default)]
pub(super) struct Pending {
    lines: HashMap<Box<str>, (u64, Box<[u8]>)>,
    ids: BTreeMap<u64, Box<str>>,
    next: u64,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Adds a request; returns the line of one that is given up.
    pub(super) fn add(&mut self, id: &str, line: &[u8]) -> Option<Box<[u8]>> {
        let given_up = if self.lines.len() >= MOST { self.pop() } else { None };
        if let Some((before, _)) = self.lines.insert(id.into(), (self.next, line.into())) {
            self.ids.remove(&before);
        }
        self.ids.insert(self.next, id.into());
        self.next += 1;
        given_up
    }

    /// Returns the line of the request that an outcome belongs to.
    pub(super) fn take(&mut self, outcome: &[u8]) -> Option<Box<[u8]>> {
        let (number, line) = self.lines.remove(id_of_outcome(outcome)?)?;
        self.ids.remove(&number);
        Some(line)
    }

    /// Returns the number of the next request that is added: later ones have higher numbers.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// Returns the lines of requests with these numbers.
    pub(super) fn lines(&self, numbers: Range<u64>) -> impl Iterator<Item = &[u8]> {
        self.ids.range(numbers).filter_map(|(_, id)| self.lines.get(id)).map(|(_, line)| &**line)
    }

    /// Returns the line of the oldest.
    pub(super) fn pop(&mut self) -> Option<Box<[u8]>> {
        let (_, id) = self.ids.pop_first()?;
        self.lines.remove(&id).map(|(_, line)| line)
    }
}

/// Returns the id, where a line is an outcome. Ids are never escaped, and stand where no text of a client is before them.
fn id_of_outcome(line: &[u8]) -> Option<&str> {
    let beginning = line.get(..BEGINNING).unwrap_or(line);
    let end = memchr::memmem::find(beginning, br#"","kind":"outcome","#)?;
    let start = memchr::memmem::find(beginning, br#"","id":""#)? + br#"","id":""#.len();
    str::from_utf8(beginning.get(start..end)?).ok()
}

/// Returns whether a line is an outcome.
pub(super) fn is_outcome(line: &[u8]) -> bool {
    id_of_outcome(line).is_some()
}

/// Where the kind of an outcome stands: behind its time and id.
const BEGINNING: usize = 128;

/// How many requests wait for their outcome at the same time.
const MOST: usize = 16 * 1024;
