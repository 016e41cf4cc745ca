//! Tells an idle connection from one that is busy and from one whose client is slow to send a head.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::metrics::Limit;

/// What one connection is doing. Written by its requests, read by its supervisor.
#[derive(Debug)]
pub(crate) struct Activity {
    opened: Instant,
    head_limit: Duration,
    idle_limit: Duration,
    exchanges: AtomicU32,
    // In milliseconds since `opened`; `NONE` when no head is being read.
    head_since: AtomicU64,
    idle_since: AtomicU64,
}

/// What a supervisor does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Look again then.
    Until(Instant),
    /// This limit has passed.
    Over(Limit),
}

impl Activity {
    /// Starts with the first head due: the handshake has ended, or its first byte is here.
    pub(crate) fn new(head_limit: Duration, idle_limit: Duration) -> Self {
        Self {
            opened: Instant::now(),
            head_limit,
            idle_limit,
            exchanges: AtomicU32::new(0),
            head_since: AtomicU64::new(0),
            idle_since: AtomicU64::new(0),
        }
    }

    /// A request was read.
    pub(crate) fn begin(&self) {
        self.exchanges.fetch_add(1, Ordering::Relaxed);
        self.head_since.store(NONE, Ordering::Relaxed);
    }

    /// Its response was sent, or will never be.
    pub(crate) fn end(&self, now: Instant) {
        self.idle_since.store(self.until(now), Ordering::Relaxed);
        self.exchanges.fetch_sub(1, Ordering::Release);
    }

    /// Returns when to look for the first time.
    pub(crate) fn next_look(&self) -> Instant {
        self.opened + self.head_limit.min(self.idle_limit)
    }

    /// Compares what the connection is doing with its limits.
    pub(crate) fn look(&self) -> Rest {
        let now = Instant::now();
        let exchanges = self.exchanges.load(Ordering::Acquire);
        let since = |mark: &AtomicU64| self.opened + Duration::from_millis(mark.load(Ordering::Relaxed));
        let (deadline, limit) = if exchanges > 0 {
            // A busy connection is looked at again; its streams have limits of their own.
            return Rest::Until(now + self.head_limit.min(self.idle_limit));
        } else if self.head_since.load(Ordering::Relaxed) == NONE {
            (since(&self.idle_since) + self.idle_limit, Limit::IdleTimeout)
        } else {
            (since(&self.head_since) + self.head_limit, Limit::HeaderTimeout)
        };
        // A head may begin while we wait for an idle connection, and its limit is the shorter one.
        if deadline <= now { Rest::Over(limit) } else { Rest::Until(deadline.min(now + self.head_limit)) }
    }

    /// A part of a head was read, where none was before it.
    pub(crate) fn received(&self) {
        // Bytes that come while a request is being answered are its body.
        if self.exchanges.load(Ordering::Relaxed) == 0 && self.head_since.load(Ordering::Relaxed) == NONE {
            self.head_since.store(self.until(Instant::now()), Ordering::Relaxed);
        }
    }

    /// More of a request's body came. One whose response has ended keeps its connection only for as long as it moves.
    pub(crate) fn moved(&self) {
        if self.exchanges.load(Ordering::Relaxed) == 0 {
            self.idle_since.store(self.until(Instant::now()), Ordering::Relaxed);
        }
    }

    fn until(&self, now: Instant) -> u64 {
        u64::try_from(now.duration_since(self.opened).as_millis()).unwrap_or(NONE - 1)
    }
}

/// A stream that gives back what was read before.
#[derive(Debug)]
pub(crate) struct Resumed<S> {
    stream: S,
    read: Vec<u8>,
    given: usize,
}

impl<S> Resumed<S> {
    /// Begins with what was `read`. Where that is nothing, the room for it is not kept either.
    pub(crate) fn new(stream: S, read: &[u8]) -> Self {
        Self { stream, read: read.to_vec(), given: 0 }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Resumed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(rest) = this.read.get(this.given..).filter(|rest| !rest.is_empty()) {
            let (now, later) = rest.split_at(rest.len().min(buf.remaining()));
            buf.put_slice(now);
            this.given += now.len();
            if later.is_empty() {
                this.read = Vec::new();
                this.given = 0;
            }
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Resumed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }
}

const NONE: u64 = u64::MAX;

#[cfg(test)]
mod tests;
