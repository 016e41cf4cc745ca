//! Refuses HTTP/1.1 heads that hyper takes and does not report as they came.
//!
//! A fragment, a repeated `Content-Length`, `Transfer-Encoding` beside it and line ends without a carriage return are
//! gone before a request reaches the pipeline, and another program may have read them otherwise. They are looked for
//! in the bytes on their way to hyper; one byte that can stand in no head then makes hyper answer 400 and close.

mod chunks;
mod scan;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::scan::{Scanned, Scanner};
use crate::activity::{Activity, Answered};

/// A stream of HTTP/1.1 requests whose heads are looked at as they pass.
#[derive(Debug)]
pub(crate) struct Heads<S> {
    stream: S,
    scanner: Scanner,
    state: State,
    activity: Arc<Activity>,
    // What came behind a request that asks for an upgrade, before its answer told what it is.
    held: Vec<u8>,
    reader: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Heads and bodies, in turn.
    Requests,
    /// What comes next is a request or, once the last one is answered with 101, no HTTP at all.
    Undecided,
    /// A tunnel.
    Tunnel,
    /// A head was faulty; its end is due.
    Refused,
    /// Nothing more is read.
    Over,
}

impl<S> Heads<S> {
    pub(crate) fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self { stream, scanner: Scanner::default(), state: State::Requests, activity, held: Vec::new(), reader: None }
    }

    /// Leaves `Undecided` when the request that asked for an upgrade is answered.
    fn settle(&mut self) {
        if self.state == State::Undecided {
            self.state = match self.activity.answered(self.scanner.heads()) {
                Answered::NotYet => State::Undecided,
                Answered::Request => State::Requests,
                Answered::Tunnel => State::Tunnel,
            };
        }
    }

    /// Looks at what was read into `buf` behind `before`, and takes back what hyper must not have.
    fn look(&mut self, buf: &mut ReadBuf<'_>, before: usize) {
        let Some(new) = buf.filled_mut().get_mut(before..) else { return };
        let end = match self.scanner.scan(new) {
            Scanned::Whole => return,
            Scanned::Fault(at) => {
                self.state = State::Refused;
                if let Some(byte) = new.get_mut(at) {
                    *byte = NOWHERE;
                }
                at + 1
            }
            Scanned::UpgradeAsked(end) => {
                self.state = State::Undecided;
                self.held.extend_from_slice(new.get(end..).unwrap_or_default());
                end
            }
        };
        buf.set_filled(before + end);
    }
}

impl<S: AsyncRead + Unpin> Heads<S> {
    fn poll_undecided(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.held.is_empty() {
            let before = buf.filled().len();
            let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
            let read = buf.filled().get(before..).unwrap_or_default();
            if read.is_empty() {
                return polled;
            }
            self.held.extend_from_slice(read);
            buf.set_filled(before);
        }
        self.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Gives what was held, looked at if it is HTTP.
    fn give_held(&mut self, buf: &mut ReadBuf<'_>) {
        let before = buf.filled().len();
        let mut held = std::mem::take(&mut self.held);
        let later = held.split_off(held.len().min(buf.remaining()));
        buf.put_slice(&held);
        self.held = later;
        if self.state == State::Requests {
            // What it takes back came before what is still held.
            let later = std::mem::take(&mut self.held);
            self.look(buf, before);
            self.held.extend_from_slice(&later);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Heads<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.settle();
        match this.state {
            State::Requests | State::Tunnel if !this.held.is_empty() => {
                this.give_held(buf);
                Poll::Ready(Ok(()))
            }
            State::Requests => {
                let before = buf.filled().len();
                let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
                this.look(buf, before);
                polled
            }
            State::Undecided => this.poll_undecided(cx, buf),
            State::Tunnel => Pin::new(&mut this.stream).poll_read(cx, buf),
            State::Refused => {
                // hyper looks at a head that came in parts only when it sees its end.
                buf.put_slice(END.get(..buf.remaining()).unwrap_or(END));
                this.state = State::Over;
                Poll::Ready(Ok(()))
            }
            State::Over => Poll::Ready(Ok(())),
        }
    }
}

impl<S: AsyncWrite + Unpin> Heads<S> {
    /// An answer is on its way: it may be the one that a reader waits for.
    fn stream(mut self: Pin<&mut Self>) -> &mut S {
        let this = &mut *self;
        if this.reader.is_some() {
            this.settle();
            if this.state != State::Undecided {
                this.reader.take().into_iter().for_each(Waker::wake);
            }
        }
        &mut self.get_mut().stream
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heads<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(self.stream()).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream()).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.stream()).poll_write_vectored(cx, bufs)
    }
}

/// Stands in no method, target, version, header name or value (RFC 9110 §5.5), so hyper refuses the head it is in.
const NOWHERE: u8 = 0;
/// Ends a head.
const END: &[u8] = b"\r\n\r\n";

#[cfg(test)]
mod tests;
