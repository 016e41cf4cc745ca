//! Requests whose outcome has not come yet: a bounded number, of which the oldest are given up first.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

/// Requests whose outcome has not come yet.
#[derive(Debug, Default)]
pub(super) struct Pending {
    numbers: HashMap<Arc<str>, u64>,
    // By their numbers; the first has that of `first`. Invariant: the first is there.
    lines: VecDeque<Option<(Arc<str>, Vec<u8>)>>,
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
        let id = Arc::from(id);
        if let Some(before) = self.numbers.insert(Arc::clone(&id), self.next()) {
            self.remove(before);
        }
        self.lines.push_back(Some((id, buffer)));
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

    fn remove(&mut self, number: u64) -> Option<(Arc<str>, Vec<u8>)> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        let removed = self.lines.get_mut(index)?.take();
        while let Some(None) = self.lines.front() {
            self.lines.pop_front();
            self.first += 1;
        }
        removed
    }
}

/// How many requests wait for their outcome at the same time.
const MOST: usize = 16 * 1024;

/// How many buffers are kept.
const SPARE: usize = 64;
