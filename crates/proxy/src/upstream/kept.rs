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
    /// What came so far; nothing once it was too much.
    parts: Vec<Bytes>,
    bytes: usize,
    is_whole: bool,
    is_lost: bool,
    /// Who reads: the body of an earlier try may still be asked for more.
    reader: u32,
}

/// Reads a kept body from its start.
#[derive(Debug)]
pub(super) struct Reader {
    kept: Arc<Kept>,
    number: u32,
    position: usize,
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
        let state = State { parts: Vec::new(), bytes: 0, is_whole: false, is_lost: false, reader: 0, inner };
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
        Reader { kept: Arc::clone(self), number: state.reader, position: 0 }
    }

    /// Keeps nothing that comes from here on. What was kept goes with the next part: until then somebody may be reading it.
    pub(crate) fn forget(&self) {
        self.lock().bytes = MOST;
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
        if let Some(part) = state.parts.get(self.position) {
            self.position += 1;
            return Poll::Ready(Some(Ok(Part::Again(Frame::data(part.clone())))));
        }
        if state.is_whole {
            return Poll::Ready(None);
        }
        let polled = ready!(Pin::new(&mut state.inner).poll_frame(cx));
        match &polled {
            Some(Ok(frame)) => {
                self.position += 1;
                state.keep(frame);
            }
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
        self.position >= state.parts.len() && (state.is_whole || state.inner.is_end_stream())
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        if self.position == 0 { self.kept.whole } else { SizeHint::default() }
    }
}

impl State {
    fn keep(&mut self, frame: &Frame<Bytes>) {
        match frame.data_ref() {
            _ if self.is_lost => {}
            Some(part) if self.bytes + part.len() <= MOST => {
                self.bytes += part.len();
                self.parts.push(part.clone());
            }
            // Trailers are seldom enough not to be kept.
            Some(_) | None => self.lose(),
        }
    }

    fn lose(&mut self) {
        self.is_lost = true;
        self.parts = Vec::new();
    }
}

/// Bytes of a body that are kept. A larger one is sent once.
const MOST: usize = 64 * 1024;
