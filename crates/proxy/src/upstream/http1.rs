//! HTTP/1.1 connections: one exchange at a time, kept for the next.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, sleep};

use super::body::RequestBody;
use super::failure::UpstreamFailure;
use super::socket::Probe;
use super::stream::Stream;

/// Connections of one endpoint that wait for a request.
#[derive(Debug, Default)]
pub(super) struct Pool {
    idle: Mutex<Waiting>,
    open: AtomicUsize,
}

#[derive(Debug, Default)]
struct Waiting {
    /// The one used last is at the back, and taken first, so that the rest can grow old and go.
    connections: VecDeque<(Arc<Connection>, Instant)>,
    is_swept: bool,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pool: Weak<Pool>,
    probe: Probe,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Without it the connection closes once its exchange is over.
    sender: Option<SendRequest<RequestBody>>,
    /// The head of the response has come. Before that, the sender's readiness may speak of the time before the request.
    is_answered: bool,
    /// It has carried a request.
    is_used: bool,
}

impl Pool {
    /// Takes the connection that was used last.
    pub(super) fn take(&self) -> Option<Arc<Connection>> {
        let mut waiting = self.lock();
        while let Some((connection, since)) = waiting.connections.pop_back() {
            if since.elapsed() > IDLE {
                // All others are older.
                waiting.close_all();
                connection.close();
                return None;
            }
            if connection.is_open() && connection.is_quiet() {
                return Some(connection);
            }
            connection.close();
        }
        None
    }

    /// Makes a connection of `stream`, which is not waiting for requests yet.
    pub(super) async fn open(self: &Arc<Self>, stream: Stream) -> Result<Arc<Connection>, UpstreamFailure> {
        let probe = stream.probe();
        let (sender, connection) =
            builder().handshake(TokioIo::new(stream)).await.map_err(|error| UpstreamFailure::broken(&error))?;
        let state = Mutex::new(State { sender: Some(sender), is_answered: false, is_used: false });
        let shared = Arc::new(Connection { pool: Arc::downgrade(self), probe, state });
        self.open.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(drive(connection, Arc::clone(&shared)));
        Ok(shared)
    }

    /// Returns how many connections are open, and how many of them wait for a request.
    pub(super) fn counts(&self) -> (usize, usize) {
        let idle = self.lock().connections.iter().filter(|(connection, _)| connection.is_open()).count();
        (self.open.load(Ordering::Relaxed).max(idle), idle)
    }

    /// Lets a connection wait for a request.
    pub(super) fn put(self: &Arc<Self>, connection: Arc<Connection>) {
        let mut waiting = self.lock();
        waiting.connections.push_back((connection, Instant::now()));
        if waiting.connections.len() > MOST_IDLE
            && let Some((oldest, _)) = waiting.connections.pop_front()
        {
            oldest.close();
        }
        if !waiting.is_swept {
            waiting.is_swept = true;
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// Closes what waited too long; returns whether any still waits.
    fn sweep(&self) -> bool {
        let mut waiting = self.lock();
        while waiting.connections.front().is_some_and(|(_, since)| since.elapsed() >= IDLE) {
            if let Some((oldest, _)) = waiting.connections.pop_front() {
                oldest.close();
            }
        }
        waiting.connections.retain(|(connection, _)| connection.is_open());
        waiting.is_swept = !waiting.connections.is_empty();
        waiting.is_swept
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.lock().close_all();
    }
}

impl Waiting {
    fn close_all(&mut self) {
        for (connection, _) in self.connections.drain(..) {
            connection.close();
        }
    }
}

impl Connection {
    /// Sends a request on a connection that is not waiting.
    pub(super) async fn send(
        self: &Arc<Self>,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, Unanswered> {
        let answer = {
            let mut state = self.lock();
            state.is_used = true;
            match &mut state.sender {
                Some(sender) => sender.try_send_request(request),
                None => return Err(Unanswered::NotSent(Box::new(request))),
            }
        };
        let response = answer.await.map_err(Unanswered::from)?;
        self.lock().is_answered = true;
        self.wait_if_done();
        Ok(response)
    }

    /// Lets the connection wait for the next request if its exchange is over. Called after each turn of the driver and
    /// once the response's head has come: whichever of the two is later sees what the other did.
    fn wait_if_done(self: &Arc<Self>) {
        let mut state = self.lock();
        if !state.is_answered || !state.sender.as_ref().is_some_and(SendRequest::is_ready) {
            return;
        }
        state.is_answered = false;
        match self.pool.upgrade() {
            Some(pool) => {
                drop(state);
                pool.put(Arc::clone(self));
            }
            None => state.sender = None,
        }
    }

    fn is_open(&self) -> bool {
        self.lock().sender.as_ref().is_some_and(|sender| !sender.is_closed())
    }

    /// Returns whether nothing has come since the last answer ended. What has, nobody asked for: an upstream that sends
    /// more than an answer would have it taken for the answer to the next request, which may be somebody else's. hyper
    /// looks too, but not between the arrival of the bytes and the next turn of its task.
    fn is_quiet(&self) -> bool {
        // Before the first request, tickets of TLS may wait to be read.
        !self.lock().is_used || self.probe.is_quiet()
    }

    fn close(&self) {
        self.lock().sender = None;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a request has no response.
#[derive(Debug)]
pub(crate) enum Unanswered {
    /// Nothing of it was written: the connection had closed. It can be sent again, whatever it is.
    NotSent(Box<Request<RequestBody>>),
    /// It may have been received.
    Lost(hyper::Error),
    /// The upstream was silent for too long.
    Silent(UpstreamFailure),
}

impl From<TrySendError<Request<RequestBody>>> for Unanswered {
    fn from(mut error: TrySendError<Request<RequestBody>>) -> Self {
        match error.take_message() {
            Some(request) => Self::NotSent(Box::new(request)),
            None => Self::Lost(error.into_error()),
        }
    }
}

/// Moves the connection's bytes until it closes.
async fn drive(mut connection: http1::Connection<TokioIo<Stream>, RequestBody>, shared: Arc<Connection>) {
    let ended = poll_fn(|cx| {
        let turn = Pin::new(&mut connection).poll(cx);
        if turn.is_pending() {
            shared.wait_if_done();
        }
        turn
    });
    if let Err(error) = ended.await {
        tracing::debug!(error = %error, "upstream connection ended");
    }
    if let Some(pool) = shared.pool.upgrade() {
        pool.open.fetch_sub(1, Ordering::Relaxed);
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

/// Returns the settings of every HTTP/1.1 connection, those for upgrades too.
pub(crate) fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.max_header_size(MAX_RESPONSE_HEAD).max_headers(MAX_RESPONSE_HEADERS);
    builder
}

/// How long a connection waits for a request. Shorter than the five seconds after which Node.js, Apache and uvicorn
/// close: a request that meets the closing is lost, and most must not be repeated.
const IDLE: Duration = Duration::from_secs(4);

/// Connections of one endpoint that wait at most.
const MOST_IDLE: usize = 256;

/// Bytes of a response's head, and of its trailers.
const MAX_RESPONSE_HEAD: usize = 128 * 1024;

/// Headers of a response.
const MAX_RESPONSE_HEADERS: usize = 200;

#[cfg(test)]
mod tests;
