//! A connection of a client, from its first head to its end.

use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use http::{Extensions, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep};

use super::head::{self, Head, Refused};
use super::leaving::Client;
use super::turn::{Next, Turn};
use crate::activity::Resumed;
use crate::connection::{Connection, watch_over};
use crate::metrics::Limit;

/// A connection of a client. Ready when it has ended, or has become a tunnel.
pub(crate) struct Server<S> {
    connection: Arc<Connection>,
    wire: Wire<S>,
    stage: Stage,
}

/// The stream of a connection, and what was read from it and not used yet.
#[derive(Debug)]
pub(super) struct Wire<S> {
    pub(super) stream: S,
    pub(super) read: BytesMut,
    /// No request comes after the one under way.
    pub(super) is_last: bool,
}

enum Stage {
    /// Between two requests; so much of the next head was looked at.
    Heads(usize),
    Turn(Box<Turn>),
    Closing(Ending),
    /// The client has the time to read the answer; what it sends is not looked at.
    Lingering(Pin<Box<Sleep>>),
    Tunnel(oneshot::Sender<Tunnel>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    AtOnce,
    Lingering,
}

/// A connection that carries something else than HTTP/1.1 from here on.
pub(crate) type Tunnel = Box<dyn Duplex>;

/// Reads and writes.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + fmt::Debug + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + fmt::Debug + Send + Unpin> Duplex for S {}

/// Travels with a request that may open a tunnel.
#[derive(Clone, Debug)]
pub(crate) struct Tunnelling(Arc<Promised>);

#[derive(Debug)]
struct Promised {
    tunnel: Mutex<Option<oneshot::Receiver<Tunnel>>>,
    is_ahead: AtomicBool,
}

/// Takes the tunnel that a request is going to open, where it may.
pub(crate) fn tunnel(request: &mut Extensions) -> Option<oneshot::Receiver<Tunnel>> {
    let tunnelling = request.remove::<Tunnelling>()?;
    tunnelling.0.tunnel.lock().ok()?.take()
}

/// Returns whether the client has sent something behind a request that may open a tunnel, before it was told that it is
/// open.
pub(crate) fn is_ahead(request: &Extensions) -> bool {
    request.get().is_some_and(Tunnelling::is_ahead)
}

impl Tunnelling {
    pub(crate) fn new(tunnel: oneshot::Receiver<Tunnel>) -> Self {
        Self(Arc::new(Promised { tunnel: Mutex::new(Some(tunnel)), is_ahead: AtomicBool::new(false) }))
    }

    /// Returns whether something came behind the request.
    pub(crate) fn is_ahead(&self) -> bool {
        self.0.is_ahead.load(Ordering::Relaxed)
    }

    /// Notes that something came behind the request.
    pub(crate) fn note_ahead(&self) {
        self.0.is_ahead.store(true, Ordering::Relaxed);
    }
}

impl<S: Client> Server<S> {
    /// Begins with what was read while the protocol was found out.
    pub(crate) fn new(connection: Arc<Connection>, stream: S, read: BytesMut) -> Self {
        Self { connection, wire: Wire { stream, read, is_last: false }, stage: Stage::Heads(0) }
    }

    /// Ends the connection after the request under way.
    pub(crate) const fn finish(&mut self) {
        self.wire.is_last = true;
    }

    /// Hands the stream over, where a request has made a tunnel of it.
    pub(crate) fn hand_over(self) {
        if let Stage::Tunnel(tunnel) = self.stage {
            let Wire { stream, read, .. } = self.wire;
            watch_over(stream.socket());
            // Whoever was to carry it may have been stopped.
            let _ = tunnel.send(Box::new(Resumed::new(stream, &read)));
        }
    }

    /// Takes the next head; ready with nothing where none comes.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Result<Head, Refused>>>> {
        let Self { connection, wire, stage } = self;
        let Stage::Heads(looked_at) = stage else { return Poll::Ready(Ok(None)) };
        let most = connection.entrance.config.limits.max_header_bytes;
        loop {
            // RFC 9112 §2.2: an empty line may come before a request.
            while wire.read.starts_with(b"\r\n") {
                wire.read.advance(2);
            }
            if wire.read.is_empty() {
                // While nothing is asked, nothing is kept.
                wire.read = BytesMut::new();
            } else if let Some(taken) = head::take(&wire.read, looked_at, most).transpose() {
                wire.read.advance(taken.as_ref().map_or(0, |head| head.length));
                return Poll::Ready(Ok(Some(taken)));
            }
            let mut room = [MaybeUninit::uninit(); HEAD_ROOM];
            let mut room = ReadBuf::uninit(&mut room);
            match Pin::new(&mut wire.stream).poll_read(cx, &mut room)? {
                Poll::Ready(()) => {}
                // What was sent before the end of the connection was in sight is answered.
                Poll::Pending if wire.is_last => return Poll::Ready(Ok(None)),
                Poll::Pending => return Poll::Pending,
            }
            let came = room.filled();
            if came.is_empty() {
                return Poll::Ready(Ok(None));
            }
            connection.activity.received();
            if wire.read.is_empty()
                && !came.starts_with(b"\r")
                && let Some(taken) = head::take(came, looked_at, most).transpose()
            {
                let length = taken.as_ref().map_or(0, |head| head.length);
                wire.read.extend_from_slice(came.get(length..).unwrap_or_default());
                return Poll::Ready(Ok(Some(taken)));
            }
            wire.read.extend_from_slice(came);
        }
    }

    fn begin(&mut self, head: Result<Head, Refused>) -> Stage {
        Stage::Turn(match head {
            Ok(head) => Turn::new(&self.connection, head, &mut self.wire),
            Err(refused) => {
                if refused.refusal.status == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE {
                    self.connection.entrance.metrics.limit_reached(Limit::MaxHeaderBytes);
                }
                self.wire.is_last = true;
                Turn::refused(&self.connection, refused)
            }
        })
    }

    /// Goes on with one stage; ready with the next one, or with nothing at the end.
    fn poll_stage(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Stage>>> {
        let next = match &mut self.stage {
            Stage::Heads(_) => match ready!(self.poll_head(cx))? {
                Some(head) => self.begin(head),
                None => Stage::Closing(Ending::AtOnce),
            },
            Stage::Turn(turn) => match ready!(turn.poll(&mut self.wire, cx))? {
                Next::Head => {
                    if !self.wire.read.is_empty() {
                        self.connection.activity.received();
                    }
                    Stage::Heads(0)
                }
                Next::Close => Stage::Closing(Ending::AtOnce),
                Next::Linger => Stage::Closing(Ending::Lingering),
                Next::Tunnel(tunnel) => Stage::Tunnel(tunnel),
            },
            Stage::Closing(ending) => {
                ready!(Pin::new(&mut self.wire.stream).poll_shutdown(cx))?;
                match ending {
                    Ending::AtOnce => return Poll::Ready(Ok(None)),
                    Ending::Lingering => Stage::Lingering(Box::pin(sleep(LINGER))),
                }
            }
            Stage::Lingering(timer) => {
                // A system that closes a connection with unread bytes may take the answer back.
                let ended = self.wire.poll_ignore(cx);
                if ended.is_pending() {
                    ready!(timer.as_mut().poll(cx));
                }
                return Poll::Ready(Ok(None));
            }
            Stage::Tunnel(_) => return Poll::Ready(Ok(None)),
        };
        Poll::Ready(Ok(Some(next)))
    }
}

impl<S: Client> Future for Server<S> {
    type Output = io::Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while let Some(next) = ready!(this.poll_stage(cx))? {
            this.stage = next;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S> fmt::Debug for Server<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("connection", &self.connection).finish_non_exhaustive()
    }
}

impl<S> Wire<S> {
    /// Takes a body of so many bytes, where all of it is here.
    pub(super) fn take_whole(&mut self, length: u64) -> Option<Bytes> {
        let length = usize::try_from(length).ok()?;
        let whole = self.read.get(..length).map(Bytes::copy_from_slice)?;
        self.read.advance(length);
        Some(whole)
    }
}

impl<S: AsyncRead + Unpin> Wire<S> {
    /// Reads more; ready with whether there was more.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>, room: usize) -> io::Result<Poll<bool>> {
        self.read.reserve(room);
        let reading = pin!(self.stream.read_buf(&mut self.read));
        Ok(match reading.poll(cx)? {
            Poll::Ready(read) => Poll::Ready(read > 0),
            Poll::Pending => Poll::Pending,
        })
    }

    /// Reads until there is no more, and forgets it.
    fn poll_ignore(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let mut room = [MaybeUninit::uninit(); HEAD_ROOM];
            let mut room = ReadBuf::uninit(&mut room);
            let polled = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut room));
            if polled.is_err() || room.filled().is_empty() {
                return Poll::Ready(());
            }
        }
    }
}

/// Most heads are shorter, and most bodies that come with them.
const HEAD_ROOM: usize = 8 * 1024;

/// How long a client has to read an answer that came before it had said all.
const LINGER: Duration = Duration::from_secs(2);
