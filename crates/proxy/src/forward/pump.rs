//! Moves what one side says to the other. While nothing moves, nothing is kept for what may: most WebSockets and tunnels rest
//! most of the time.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop;

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Pump {
    /// What was read and is not taken yet.
    held: Bytes,
    has_written: bool,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Moving,
    /// One side has ended; the other is told.
    Ending,
    Over,
}

impl Pump {
    /// Goes on as far as possible; ready when `from` has ended, and `to` was told so.
    pub(super) fn poll<F, T>(&mut self, cx: &mut Context<'_>, from: &mut F, to: &mut T) -> Poll<io::Result<()>>
    where
        F: AsyncRead + Unpin,
        T: AsyncWrite + Unpin,
    {
        loop {
            match self.stage {
                Stage::Moving => ready!(self.poll_move(cx, from, to))?,
                Stage::Ending => {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                    self.stage = Stage::Over;
                }
                Stage::Over => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Moves what is there; ready when something was moved, or there is nothing more to come.
    fn poll_move<F, T>(&mut self, cx: &mut Context<'_>, from: &mut F, to: &mut T) -> Poll<io::Result<()>>
    where
        F: AsyncRead + Unpin,
        T: AsyncWrite + Unpin,
    {
        // Whoever always has more must not use up the turns of others.
        let turn = ready!(coop::poll_proceed(cx));
        while !self.held.is_empty() {
            let written = ready!(poll_some(cx, &self.held, to))?;
            self.held.advance(written);
            self.has_written = true;
            turn.made_progress();
        }
        self.held = Bytes::new();
        let mut room = [MaybeUninit::uninit(); ROOM];
        let mut room = ReadBuf::uninit(&mut room);
        if Pin::new(from).poll_read(cx, &mut room)?.is_pending() {
            if self.has_written {
                ready!(Pin::new(to).poll_flush(cx))?;
                self.has_written = false;
            }
            return Poll::Pending;
        }
        turn.made_progress();
        let mut read = room.filled();
        if read.is_empty() {
            self.stage = Stage::Ending;
        }
        while !read.is_empty() {
            match poll_some(cx, read, to)? {
                Poll::Ready(written) => read = read.get(written..).unwrap_or_default(),
                Poll::Pending => {
                    self.held = Bytes::copy_from_slice(read);
                    return Poll::Pending;
                }
            }
            self.has_written = true;
        }
        Poll::Ready(Ok(()))
    }
}

fn poll_some<T: AsyncWrite + Unpin>(cx: &mut Context<'_>, bytes: &[u8], to: &mut T) -> Poll<io::Result<usize>> {
    match ready!(Pin::new(to).poll_write(cx, bytes))? {
        0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        written => Poll::Ready(Ok(written)),
    }
}

/// How much is read at once: as much as one record of TLS has.
const ROOM: usize = 16 * 1024;

#[cfg(test)]
mod tests;
