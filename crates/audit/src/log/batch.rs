//! Lines on their way to a segment, in one piece of memory: they are written as they lie there.

use crate::chain::{self, Position};

/// Lines with room for their hashes.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    // Where each line ends.
    ends: Vec<usize>,
}

impl Batch {
    pub(super) const fn new() -> Self {
        Self { bytes: Vec::new(), ends: Vec::new() }
    }

    pub(super) fn push(&mut self, line: &[u8]) {
        self.bytes.extend_from_slice(line);
        self.ends.push(self.bytes.len());
    }

    /// Takes the lines of another batch, which is empty afterwards. Memory changes hands rather than bytes.
    pub(super) fn take(&mut self, other: &mut Self) {
        if self.is_empty() {
            std::mem::swap(self, other);
            return;
        }
        let start = self.bytes.len();
        self.bytes.append(&mut other.bytes);
        self.ends.extend(other.ends.drain(..).map(|end| start + end));
    }

    /// Fills in the hashes of all lines, which follow on a position, and returns the position after them.
    pub(super) fn seal(&mut self, mut position: Position) -> Position {
        let mut rest = self.bytes.as_mut_slice();
        let mut start = 0;
        for end in &self.ends {
            let Some((line, after)) = rest.split_at_mut_checked(end - start) else { break };
            position = chain::seal(line, &position).unwrap_or(position);
            (rest, start) = (after, *end);
        }
        position
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) const fn lines(&self) -> usize {
        self.ends.len()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Empties it, and keeps the memory of an ordinary batch.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.ends.shrink_to(KEPT_LINES);
    }
}

/// How much memory is kept for the next batch after a burst.
const KEPT_BYTES: usize = 256 * 1024;
const KEPT_LINES: usize = 1024;
