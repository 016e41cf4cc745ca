//! What is to be written of a message: a head or the size of a chunk, data behind it, and the end of a chunk.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::iter::once;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::io::AsyncWrite;

/// What is to be written, in one go where the stream takes it so.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// A head, or the size of a chunk: the first bytes to be written.
    pub(crate) line: Vec<u8>,
    // How much of the line was written.
    written: usize,
    // Data of the body, behind the line.
    data: Bytes,
    // What lies behind it. Invariant: empty where there is no data.
    rest: VecDeque<Bytes>,
    /// The end of a chunk, behind the data.
    pub(crate) end: &'static [u8],
    // How many bytes the peer was sent in all.
    taken: u64,
    is_unflushed: bool,
}

impl Outbox {
    /// Begins with an empty line in a buffer.
    pub(crate) fn new(mut line: Vec<u8>) -> Self {
        line.clear();
        Self { line, ..Self::default() }
    }

    /// Returns whether nothing is to be written.
    pub(crate) fn is_empty(&self) -> bool {
        self.line.is_empty() && self.is_ready_for_data()
    }

    /// Returns whether there is room for data: the line may be there, and nothing behind it.
    pub(crate) fn is_ready_for_data(&self) -> bool {
        self.data.is_empty() && self.end.is_empty()
    }

    /// Returns whether more data may be put behind what is there.
    pub(crate) fn has_room(&self) -> bool {
        self.rest.len() < MOST_PARTS - 1
    }

    /// Puts data behind what is there.
    pub(crate) fn put(&mut self, data: Bytes) {
        if self.data.is_empty() {
            self.data = data;
        } else {
            self.rest.push_back(data);
        }
    }

    /// Returns how many bytes were written so far.
    pub(crate) const fn taken(&self) -> u64 {
        self.taken
    }

    /// Returns the buffer of the line.
    pub(crate) fn into_line(self) -> Vec<u8> {
        self.line
    }

    /// Writes all there is; ready once the stream has taken it.
    pub(crate) fn poll_write<S>(&mut self, cx: &mut Context<'_>, mut stream: Pin<&mut S>) -> Poll<io::Result<()>>
    where
        S: AsyncWrite,
    {
        loop {
            let line = self.line.get(self.written..).unwrap_or_default();
            if line.is_empty() && self.data.is_empty() && self.end.is_empty() {
                self.line.clear();
                self.written = 0;
                return Poll::Ready(Ok(()));
            }
            let written = if self.data.is_empty() && self.end.is_empty() {
                ready!(stream.as_mut().poll_write(cx, line))?
            } else {
                let data = once(&self.data).chain(&self.rest).map(|part| &**part);
                let parts = once(line).chain(data).chain(once(self.end));
                let mut slices = [IoSlice::new(&[]); MOST_PARTS + 2];
                slices.iter_mut().zip(parts).for_each(|(slice, part)| *slice = IoSlice::new(part));
                let slices = slices.get(..self.rest.len() + 3).unwrap_or_default();
                ready!(stream.as_mut().poll_write_vectored(cx, slices))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
    }

    /// Has the stream pass on what lies in a buffer of its own.
    pub(crate) fn poll_flush<S>(&mut self, cx: &mut Context<'_>, stream: Pin<&mut S>) -> Poll<io::Result<()>>
    where
        S: AsyncWrite,
    {
        if self.is_unflushed {
            ready!(stream.poll_flush(cx))?;
            self.is_unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, written: usize) {
        self.taken += written as u64;
        self.is_unflushed = true;
        let of_line = written.min(self.line.len() - self.written);
        self.written += of_line;
        let mut left = written - of_line;
        while !self.data.is_empty() && left > 0 {
            let of_data = left.min(self.data.len());
            self.data.advance(of_data);
            left -= of_data;
            if self.data.is_empty() {
                self.data = self.rest.pop_front().unwrap_or_default();
            }
        }
        self.end = self.end.get(left..).unwrap_or_default();
    }
}

/// Parts of a body that are written in one go.
const MOST_PARTS: usize = 16;

#[cfg(test)]
mod tests;
