//! Carries bytes both ways, with back-pressure, and each end by itself: WebSockets, tunnels, and TLS that passes undecrypted.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::Farewell;
use super::pump::Pump;
use crate::idle::Idle;
use crate::upstream::{FailureKind, UpstreamFailure};

/// A WebSocket or tunnel that was opened.
#[derive(Debug)]
pub(crate) struct Tunnel {
    /// Ends with what it carried.
    pub(crate) carried: JoinHandle<Carried>,
    /// Ends it.
    pub(crate) part: oneshot::Sender<Farewell>,
}

/// What was carried.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    pub(crate) traffic: Traffic,
    /// Why it broke off, where that is to be remembered.
    pub(crate) broke_off: Option<String>,
}

/// How much was carried.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traffic {
    /// Bytes from the client.
    pub(crate) sent: u64,
    /// Bytes to the client.
    pub(crate) received: u64,
}

/// Counts as it goes, so that what breaks off is counted as well.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    sent: AtomicU64,
    received: AtomicU64,
}

impl Counter {
    /// Counts bytes from the client that were passed on before.
    pub(crate) fn sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Returns how much there was so far.
    pub(crate) fn traffic(&self) -> Traffic {
        Traffic { sent: self.sent.load(Ordering::Relaxed), received: self.received.load(Ordering::Relaxed) }
    }

    fn total(&self) -> u64 {
        let Traffic { sent, received } = self.traffic();
        sent.wrapping_add(received)
    }
}

/// Carries bytes until both sides have ended, the client has left, one breaks off, or nothing moves for `idle`.
///
/// # Errors
/// It broke off, other than by the client's leaving.
pub(crate) async fn both_ways<C, U>(
    client: C,
    mut upstream: U,
    counter: &Counter,
    idle: Option<Duration>,
) -> io::Result<()>
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let mut client = Counted { stream: client, counter };
    let (mut there, mut back) = (Pump::default(), Pump::default());
    let mut carry = |cx: &mut Context<'_>| {
        let there = there.poll(cx, &mut client, &mut upstream)?;
        let back = back.poll(cx, &mut upstream, &mut client)?;
        ready!(there);
        back.map(Ok)
    };
    let Some(limit) = idle else { return ended(poll_fn(carry).await) };
    let mut silence = Idle::new(limit);
    let mut before = counter.total();
    poll_fn(|cx| {
        if let Poll::Ready(carried) = carry(cx) {
            return Poll::Ready(ended(carried));
        }
        let now = counter.total();
        if std::mem::replace(&mut before, now) != now {
            silence.moved();
        }
        silence.poll(None, cx).map(|()| Err(io::Error::other(format!("no byte in either direction for {limit:?}"))))
    })
    .await
}

/// Whoever closes a socket without a word of TLS has left, as programs do that are killed. The upstream sees it broken off
/// and not ended, or an attacker could cut what the client says and have it taken for the whole.
fn ended(carried: io::Result<()>) -> io::Result<()> {
    carried.or_else(|error| if error.get_ref().is_some_and(|inner| inner.is::<Left>()) { Ok(()) } else { Err(error) })
}

/// The client closed its connection without ending its direction.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the client left")]
struct Left;

impl Left {
    fn or(error: io::Error) -> io::Error {
        use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
        if matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof) {
            return io::Error::new(error.kind(), Self);
        }
        error
    }
}

/// The client's side, counted.
#[derive(Debug)]
struct Counted<'a, S> {
    stream: S,
    counter: &'a Counter,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<'_, S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.counter.sent(buf.filled().len() - before);
        polled.map_err(Left::or)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<'_, S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(written)) = polled {
            self.counter.received.fetch_add(written as u64, Ordering::Relaxed);
        }
        polled.map_err(Left::or)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx).map_err(Left::or)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx).map_err(Left::or)
    }
}

/// Why nothing is opened on a connection that carries requests alone.
pub(super) fn no_tunnel() -> UpstreamFailure {
    UpstreamFailure::new(FailureKind::ClientBody, "no connection to make a tunnel of")
}

/// What is remembered of what is still open when the time to drain has passed.
pub(crate) const DRAINED: &str = "closed when the drain timeout had passed";
