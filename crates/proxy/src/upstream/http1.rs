//! HTTP/1.1 connections: one exchange at a time, kept for the next.
//!
//! No task drives a connection: whoever waits for a response reads it, and while a connection waits for a request nobody
//! looks at it. So it is looked at before it is used again.

mod body;
mod broken;
mod exchange;
mod head;
mod outgoing;
mod side;

use std::collections::VecDeque;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::BytesMut;
use http::{Request, Response};
use hyper::client::conn::http1;
use tokio::io::{AsyncRead as _, AsyncReadExt as _, ReadBuf};
use tokio::time::{Instant, sleep};

use super::body::RequestBody;
use super::failure::{ConnectionError, UpstreamFailure};
use super::stream::Stream;
use crate::client_address::Told;

pub(crate) use body::Body;
pub(crate) use broken::Broken;
pub(super) use head::digits;
use side::Side;

/// Connections of one endpoint that wait for a request.
#[derive(Debug, Default)]
pub(super) struct Pool {
    idle: Mutex<Waiting>,
    open: AtomicUsize,
}

#[derive(Debug, Default)]
struct Waiting {
    /// The one used last is at the back, and taken first, so that the rest can grow old and go.
    connections: VecDeque<(Box<Connection>, Instant)>,
    is_swept: bool,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Side,
    pool: Weak<Pool>,
    /// What was read and not used yet.
    read: BytesMut,
    /// Where heads of requests are written.
    line: Vec<u8>,
    /// It has carried a request.
    is_used: bool,
}

impl Pool {
    /// Takes the connection that was used last.
    pub(super) fn take(&self) -> Option<Box<Connection>> {
        let mut waiting = self.lock();
        while let Some((connection, since)) = waiting.connections.pop_back() {
            if since.elapsed() > IDLE {
                // All others are older.
                waiting.connections.clear();
                return None;
            }
            if connection.is_quiet() {
                return Some(connection);
            }
        }
        None
    }

    /// Makes a connection of `stream`, which is not waiting for requests yet.
    pub(super) fn open(self: &Arc<Self>, stream: Stream) -> Box<Connection> {
        self.open.fetch_add(1, Ordering::Relaxed);
        Box::new(Connection {
            stream: Side::Whole(stream),
            pool: Arc::downgrade(self),
            read: BytesMut::new(),
            line: Vec::new(),
            is_used: false,
        })
    }

    /// Returns how many connections are open, and how many of them wait for a request.
    pub(super) fn counts(&self) -> (usize, usize) {
        let idle = self.lock().connections.len();
        (self.open.load(Ordering::Relaxed).max(idle), idle)
    }

    /// Lets a connection wait for a request.
    pub(super) fn put(self: &Arc<Self>, connection: Box<Connection>) {
        let mut waiting = self.lock();
        waiting.connections.push_back((connection, Instant::now()));
        if waiting.connections.len() > MOST_IDLE {
            waiting.connections.pop_front();
        }
        if !waiting.is_swept {
            waiting.is_swept = true;
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// Closes what waited too long or was closed by its peer; returns whether any still waits.
    fn sweep(&self) -> bool {
        let mut waiting = self.lock();
        waiting.connections.retain(|(connection, since)| since.elapsed() < IDLE && connection.is_quiet());
        waiting.is_swept = !waiting.connections.is_empty();
        waiting.is_swept
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// Sends a request, with what it is told behind its headers, and waits for the head of its response.
    pub(super) async fn send(
        self: Box<Self>,
        request: Request<RequestBody>,
        told: &Told,
    ) -> Result<Response<Body>, Unanswered> {
        exchange::exchange(self, request, told).await
    }

    /// Reads more; ready with whether there was more.
    fn poll_fill(&mut self, cx: &mut Context<'_>, room: usize) -> Poll<io::Result<bool>> {
        self.read.reserve(room);
        let reading = pin!(self.stream.read_buf(&mut self.read));
        reading.poll(cx).map_ok(|read| read > 0)
    }

    /// Lets the connection wait for the next request. One on which more came than was asked for is closed.
    fn give_back(mut self: Box<Self>) {
        // TLS may hold what came behind the response, where no look at the socket finds it.
        let mut byte = [0];
        let mut rest = ReadBuf::new(&mut byte);
        let looked = Pin::new(&mut self.stream).poll_read(&mut Context::from_waker(Waker::noop()), &mut rest);
        if looked.is_pending()
            && self.read.is_empty()
            && let Some(pool) = self.pool.upgrade()
        {
            pool.put(self);
        }
    }

    /// Takes the half that writes; the other one stays.
    fn split(&mut self) -> Option<Side> {
        let (left, writing) = std::mem::replace(&mut self.stream, Side::Gone).split()?;
        self.stream = left;
        Some(writing)
    }

    /// Puts the halves together, and lets the connection wait for the next request.
    fn rejoin(mut self: Box<Self>, writing: Side) {
        if let Some(whole) = std::mem::replace(&mut self.stream, Side::Gone).join(writing) {
            self.stream = whole;
            self.give_back();
        }
    }

    /// Returns whether the peer is silent: it neither closed nor sent anything since the last answer ended. What it sent,
    /// nobody asked for: an upstream that sends more than an answer would have it taken for the answer to the next
    /// request, which may be somebody else's.
    fn is_quiet(&self) -> bool {
        // Before the first request, tickets of TLS may wait to be read.
        !self.is_used || self.stream.is_quiet()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Why a request has no response.
#[derive(Debug)]
pub(crate) enum Unanswered {
    /// Nothing of it was written: the connection had closed. It can be sent again, whatever it is.
    NotSent(Box<Request<RequestBody>>),
    /// It may have been received.
    Lost {
        error: ConnectionError,
        /// The request, where it had no body and could be sent again.
        request: Option<Box<Request<RequestBody>>>,
    },
    /// The upstream was silent for too long.
    Silent(UpstreamFailure),
}

impl Unanswered {
    /// Returns whether the peer of an HTTP/1.1 connection seems to speak another protocol.
    pub(super) const fn is_of_another_protocol(&self, reused: bool) -> bool {
        match self {
            Self::Lost { error: ConnectionError::Http1(broken), .. } => broken.is_nonsense(),
            Self::NotSent(_) => !reused,
            Self::Lost { .. } | Self::Silent(_) => false,
        }
    }
}

async fn sweep(pool: Weak<Pool>) {
    loop {
        sleep(IDLE).await;
        if !pool.upgrade().is_some_and(|pool| pool.sweep()) {
            return;
        }
    }
}

/// Returns the settings of connections that are upgraded, which are hyper's.
pub(crate) fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.max_header_size(head::MAX_HEAD).max_headers(head::MAX_HEADERS);
    builder
}

/// How long a connection waits for a request. Shorter than the five seconds after which Node.js, Apache and uvicorn
/// close: a request that meets the closing is lost, and most must not be repeated.
const IDLE: Duration = Duration::from_secs(4);

/// Connections of one endpoint that wait at most.
const MOST_IDLE: usize = 256;

#[cfg(test)]
mod tests;
