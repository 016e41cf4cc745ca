//! One side of a WebSocket as the other is told of it, with a farewell between two frames when it has to end.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU16, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::{Frames, Peer, close_frame};

/// Why a WebSocket that might go on is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// The proxy goes away.
    GoingAway,
    /// It is no longer allowed.
    PolicyViolation,
}

impl Farewell {
    /// Returns the status code of RFC 6455 §7.4.1.
    pub(super) const fn code(self) -> u16 {
        match self {
            Self::GoingAway => 1001,
            Self::PolicyViolation => 1008,
        }
    }
}

/// Reads what one side says to the other. Once there is a farewell, the frame under way is the last, and a close frame
/// follows it.
#[derive(Debug)]
pub(super) struct Leg<'a, S> {
    stream: S,
    frames: Frames,
    to: Peer,
    /// The code of the farewell; 0 as long as there is none.
    farewell: &'a AtomicU16,
    state: State,
}

#[derive(Debug)]
enum State {
    Open,
    /// So much of the close frame was read.
    Parting(Vec<u8>, usize),
    /// The client answers a close frame with its own; until then its words are heard and forgotten, because a system that
    /// closes a connection with unread bytes may take the farewell back.
    Waiting,
    Over,
}

impl<'a, S> Leg<'a, S> {
    pub(super) const fn new(stream: S, to: Peer, farewell: &'a AtomicU16) -> Self {
        Self { stream, frames: Frames::new(), to, farewell, state: State::Open }
    }

    /// Returns what comes after the last frame.
    fn part(&self, code: u16) -> State {
        if self.frames.has_closed() { State::Over } else { State::Parting(close_frame(code, self.to), 0) }
    }
}

impl<S: AsyncRead + Unpin> Leg<'_, S> {
    /// Reads at most so many bytes, and follows their frames.
    fn poll_some(&mut self, cx: &mut Context<'_>, limit: usize, buf: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        let before = buf.filled().len();
        if limit >= buf.remaining() {
            ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        } else {
            let mut piece = [0; 1024];
            let mut piece = ReadBuf::new(piece.get_mut(..limit.min(1024)).unwrap_or_default());
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut piece))?;
            buf.put_slice(piece.filled());
        }
        let read = buf.filled().get(before..).unwrap_or_default();
        self.frames.feed(read);
        Poll::Ready(Ok(read.len()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Leg<'_, S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            match &mut this.state {
                State::Open => {
                    let code = this.farewell.load(Ordering::Relaxed);
                    if code != 0 && this.frames.is_between() {
                        this.state = this.part(code);
                        continue;
                    }
                    let limit = if code == 0 { usize::MAX } else { this.frames.needed() };
                    return this.poll_some(cx, limit, buf).map_ok(drop);
                }
                State::Parting(frame, said) => {
                    let rest = frame.get(*said..).unwrap_or_default();
                    if rest.is_empty() {
                        this.state = if this.to == Peer::Upstream { State::Waiting } else { State::Over };
                        continue;
                    }
                    let now = rest.get(..rest.len().min(buf.remaining())).unwrap_or_default();
                    buf.put_slice(now);
                    *said += now.len();
                    return Poll::Ready(Ok(()));
                }
                State::Waiting => {
                    let mut piece = [0; 1024];
                    let read = ready!(this.poll_some(cx, usize::MAX, &mut ReadBuf::new(&mut piece)))?;
                    if read == 0 || this.frames.has_closed() {
                        this.state = State::Over;
                    }
                }
                State::Over => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Leg<'_, S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
