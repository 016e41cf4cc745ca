//! Keeps the beginning of a request's body for as long as the request may have to be sent again.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::incoming::{Incoming, IncomingError};

/// A body that can be read again from its start, until it has grown too large for that.
#[derive(Debug)]
pub(crate) struct Kept {
    whole: SizeHint,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    inner: Incoming,
    /// What came so far; nothing once it was too much. A copy: parts of a few bytes would hold all that was read with them.
    bytes: Vec<u8>,
    /// How much of that was read.
    position: usize,
    is_whole: bool,
    /// No more is kept, and what was is given back once it was read.
    is_lost: bool,
    /// Who reads: the body of an earlier try may still be asked for more.
    reader: u32,
}

/// Reads a kept body from its start.
#[derive(Debug)]
pub(super) struct Reader {
    kept: Arc<Kept>,
    number: u32,
}

/// A part of a kept body.
pub(super) enum Part {
    /// It has just come.
    New(Frame<Bytes>),
    /// It was sent before.
    Again(Frame<Bytes>),
}

impl Kept {
    pub(crate) fn new(inner: Incoming) -> Arc<Self> {
        let state = State { bytes: Vec::new(), position: 0, is_whole: false, is_lost: false, reader: 0, inner };
        Arc::new(Self { whole: state.inner.size_hint(), state: Mutex::new(state) })
    }

    /// Returns whether the body can be read from its start.
    pub(crate) fn is_replayable(&self) -> bool {
        !self.lock().is_lost
    }

    /// Begins to read from the start. Whoever read before gets no more.
    pub(super) fn read(self: &Arc<Self>) -> Reader {
        let mut state = self.lock();
        state.reader += 1;
        state.position = 0;
        Reader { kept: Arc::clone(self), number: state.reader }
    }

    /// Keeps nothing any more but what somebody is still to read.
    pub(crate) fn forget(&self) {
        self.lock().lose();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    /// Returns the next part; an error of nothing where another reads by now.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Part, Option<IncomingError>>>> {
        let mut state = self.kept.lock();
        if state.reader != self.number {
            return Poll::Ready(Some(Err(None)));
        }
        if let Some(rest) = state.rest() {
            return Poll::Ready(Some(Ok(Part::Again(Frame::data(rest)))));
        }
        if state.is_whole {
            return Poll::Ready(None);
        }
        let polled = ready!(Pin::new(&mut state.inner).poll_frame(cx));
        match &polled {
            Some(Ok(frame)) => state.keep(frame),
            Some(Err(_)) => state.lose(),
            None => state.is_whole = true,
        }
        Poll::Ready(polled.map(|frame| frame.map(Part::New).map_err(Some)))
    }

    /// Returns whether nobody else has begun to read since.
    pub(super) fn is_current(&self) -> bool {
        self.kept.lock().reader == self.number
    }

    pub(super) fn is_end_stream(&self) -> bool {
        let state = self.kept.lock();
        state.is_read() && (state.is_whole || state.inner.is_end_stream())
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        if self.kept.lock().position == 0 { self.kept.whole } else { SizeHint::default() }
    }
}

impl State {
    fn keep(&mut self, frame: &Frame<Bytes>) {
        let part = frame.data_ref();
        self.position += part.map_or(0, Bytes::len);
        match part {
            _ if self.is_lost => {}
            Some(part) if self.bytes.len() + part.len() <= MOST => self.bytes.extend_from_slice(part),
            // Trailers are seldom enough not to be kept.
            Some(_) | None => self.lose(),
        }
    }

    /// Takes what was kept and is to be read again.
    fn rest(&mut self) -> Option<Bytes> {
        let rest = self.bytes.get(self.position..).filter(|rest| !rest.is_empty()).map(Bytes::copy_from_slice)?;
        self.position = self.bytes.len();
        self.give_back();
        Some(rest)
    }

    const fn is_read(&self) -> bool {
        self.position >= self.bytes.len()
    }

    fn lose(&mut self) {
        self.is_lost = true;
        self.give_back();
    }

    fn give_back(&mut self) {
        if self.is_lost && self.is_read() {
            self.bytes = Vec::new();
        }
    }
}

/// Bytes of a body that are kept. A larger one is sent once.
const MOST: usize = 64 * 1024;

#[cfg(test)]
mod tests;
