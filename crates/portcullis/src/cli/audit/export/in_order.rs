//! Records in the order of their segments, though several are read at the same time: what is ahead of its turn waits in a
//! bounded batch.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use ::audit::{Collect, Found};

use super::Format;
use super::batch::{Batch, Writer};

/// Writes records in the order of their segments.
pub(super) struct InOrder {
    format: Format,
    turn: Mutex<Turn>,
    passed: Condvar,
}

struct Turn {
    // Of the segment whose records are written now.
    place: usize,
    count: u64,
    writer: Writer,
    failed: io::Result<()>,
}

/// What was found in one segment, and is not written.
pub(super) struct Part {
    place: usize,
    count: u64,
    batch: Batch,
}

impl InOrder {
    pub(super) fn new(format: Format, out: Box<dyn Write + Send>) -> io::Result<Self> {
        let turn = Turn { place: 0, count: 0, writer: Writer::start(format, out)?, failed: Ok(()) };
        Ok(Self { format, turn: Mutex::new(turn), passed: Condvar::new() })
    }

    /// Writes what is left; returns how many records there are.
    pub(super) fn finish(self) -> io::Result<u64> {
        let Turn { count, writer, failed, .. } = self.turn.into_inner().unwrap_or_else(PoisonError::into_inner);
        failed?;
        writer.finish()?;
        Ok(count)
    }

    /// Writes a batch when it is the turn of its segment. Afterwards it is the turn of that with the place `then`.
    fn write(&self, part: &mut Part, then: usize) -> ControlFlow<()> {
        let mut turn = self.turn_of(part.place);
        if turn.failed.is_err() {
            return ControlFlow::Break(());
        }
        turn.failed = turn.writer.write(&mut part.batch);
        turn.count += std::mem::take(&mut part.count);
        turn.place = then;
        self.passed.notify_all();
        if turn.failed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn turn_of(&self, place: usize) -> MutexGuard<'_, Turn> {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let is_later = |turn: &mut Turn| turn.place != place && turn.failed.is_ok();
        self.passed.wait_while(turn, is_later).unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collect for InOrder {
    type Part = Part;

    fn begin(&self, place: usize) -> Part {
        Part { place, count: 0, batch: Batch::new(self.format) }
    }

    fn take(&self, part: &mut Part, found: &Found<'_>) -> ControlFlow<()> {
        part.count += u64::from(part.batch.add(found));
        if part.batch.is_full() { self.write(part, part.place) } else { ControlFlow::Continue(()) }
    }

    fn end(&self, mut part: Part) {
        let then = part.place + 1;
        let _ = self.write(&mut part, then);
    }
}
