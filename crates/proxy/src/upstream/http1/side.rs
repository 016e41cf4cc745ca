//! A connection, or one of its halves.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, ReadHalf, WriteHalf};

use crate::upstream::stream::Stream;

/// A connection, or one of its halves.
#[derive(Debug)]
pub(super) enum Side {
    Whole(Stream),
    /// The half that reads.
    Reading(ReadHalf<Stream>),
    /// The half that writes.
    Writing(WriteHalf<Stream>),
    /// Nothing: what was here went elsewhere.
    Gone,
}

impl Side {
    /// Returns the half that reads and the half that writes.
    pub(super) fn split(self) -> Option<(Self, Self)> {
        let Self::Whole(stream) = self else { return None };
        let (reading, writing) = tokio::io::split(stream);
        Some((Self::Reading(reading), Self::Writing(writing)))
    }

    /// Makes one of two halves.
    pub(super) fn join(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Reading(reading), Self::Writing(writing)) if reading.is_pair_of(&writing) => {
                Some(Self::Whole(reading.unsplit(writing)))
            }
            _ => None,
        }
    }

    /// Returns whether the peer neither closed nor sent anything that nobody has read.
    pub(super) fn is_quiet(&self) -> bool {
        matches!(self, Self::Whole(stream) if stream.is_quiet())
    }
}

impl AsyncRead for Side {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Whole(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Reading(half) => Pin::new(half).poll_read(cx, buf),
            Self::Writing(_) | Self::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl AsyncWrite for Side {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Whole(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Writing(half) => Pin::new(half).poll_write(cx, buf),
            Self::Reading(_) | Self::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Whole(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Writing(half) => Pin::new(half).poll_write_vectored(cx, bufs),
            Self::Reading(_) | Self::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Whole(stream) => stream.is_write_vectored(),
            Self::Writing(half) => half.is_write_vectored(),
            Self::Reading(_) | Self::Gone => false,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Whole(stream) => Pin::new(stream).poll_flush(cx),
            Self::Writing(half) => Pin::new(half).poll_flush(cx),
            Self::Reading(_) | Self::Gone => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Whole(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Writing(half) => Pin::new(half).poll_shutdown(cx),
            Self::Reading(_) | Self::Gone => Poll::Ready(Ok(())),
        }
    }
}
