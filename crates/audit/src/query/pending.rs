//! Requests whose outcome has not come yet: a bounded number, of which the oldest are given up first.
//!
//! Lines are told apart by what they begin with: no text of a client is before it, and ids are never escaped.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;

use memchr::memmem;

/// Requests whose outcome has not come yet.
#[derive(Debug, Default)]
pub(super) struct Pending {
    numbers: HashMap<Box<str>, u64>,
    // By their numbers; the first has that of `first`. Invariant: the first is there.
    lines: VecDeque<Option<(Box<str>, Vec<u8>)>>,
    first: u64,
    // Buffers of lines that were handed out: another line goes in where one was.
    spare: Vec<Vec<u8>>,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Adds a request; returns the line of one that is given up.
    pub(super) fn add(&mut self, id: &str, line: &[u8]) -> Option<Vec<u8>> {
        let given_up = if self.numbers.len() >= MOST { self.pop() } else { None };
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.extend_from_slice(line);
        if let Some(before) = self.numbers.insert(id.into(), self.next()) {
            self.remove(before);
        }
        self.lines.push_back(Some((id.into(), buffer)));
        given_up
    }

    /// Returns the line of the request with this id.
    pub(super) fn take(&mut self, id: &str) -> Option<Vec<u8>> {
        let number = self.numbers.remove(id)?;
        self.remove(number).map(|(_, line)| line)
    }

    /// Returns the line of the oldest.
    pub(super) fn pop(&mut self) -> Option<Vec<u8>> {
        let (id, line) = self.remove(self.first)?;
        self.numbers.remove(&id);
        Some(line)
    }

    /// Takes back a line that is done with.
    pub(super) fn give_back(&mut self, mut line: Vec<u8>) {
        if self.spare.len() < SPARE {
            line.clear();
            self.spare.push(line);
        }
    }

    /// Returns the number of the next request that is added: later ones have higher numbers.
    pub(super) fn next(&self) -> u64 {
        self.first + self.lines.len() as u64
    }

    /// Returns the lines of requests with these numbers.
    pub(super) fn lines(&self, numbers: Range<u64>) -> impl Iterator<Item = &[u8]> {
        let lines = (self.first..).zip(&self.lines).filter(move |(number, _)| numbers.contains(number));
        lines.filter_map(|(_, line)| line.as_ref()).map(|(_, line)| &**line)
    }

    fn remove(&mut self, number: u64) -> Option<(Box<str>, Vec<u8>)> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        let removed = self.lines.get_mut(index)?.take();
        while let Some(None) = self.lines.front() {
            self.lines.pop_front();
            self.first += 1;
        }
        removed
    }
}

/// Returns the id of the request that an outcome belongs to; nothing where the line is no outcome.
pub(super) fn id_of_outcome(line: &[u8]) -> Option<&str> {
    id_before(line, br#"","kind":"outcome","#)
}

/// Returns the id of a request that was decided ahead of its outcome, where the line can be told to be one by its bytes.
pub(super) fn id_of_ahead(line: &[u8]) -> Option<&str> {
    let id = id_before(line, br#"","kind":"request","#)?;
    // Names stand in quotes, and quotes in texts are escaped: what is not found is no member.
    let is_ahead = memmem::rfind(line, br#""decision":"allow""#).is_some() && memmem::find(line, STATUS).is_none();
    is_ahead.then_some(id)
}

fn id_before<'l>(line: &'l [u8], kind: &[u8]) -> Option<&'l str> {
    let beginning = line.get(..BEGINNING).unwrap_or(line);
    let end = memmem::find(beginning, kind)?;
    let start = memmem::find(beginning, br#"","id":""#)? + br#"","id":""#.len();
    str::from_utf8(beginning.get(start..end)?).ok()
}

/// What a status stands behind.
pub(super) const STATUS: &[u8] = br#""status":"#;

/// Where the kind stands: behind time and id.
const BEGINNING: usize = 128;

/// How many requests wait for their outcome at the same time.
const MOST: usize = 16 * 1024;

/// How many buffers are kept.
const SPARE: usize = 64;
