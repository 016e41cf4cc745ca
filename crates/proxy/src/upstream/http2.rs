//! HTTP/2 connections: many exchanges at a time, as many connections as the peer's stream limits make necessary.

use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::body::RequestBody;
use super::failure::{FailureKind, UpstreamFailure};
use super::http1::Unanswered;
use super::stream::Stream;
use crate::config::UpstreamHttp2;

/// The connections to one endpoint.
#[derive(Debug, Default)]
pub(super) struct Pool {
    settings: UpstreamHttp2,
    state: Mutex<State>,
    /// A connection came, went, or has room again.
    pub(super) changed: Notify,
    waiting: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    connections: Vec<Arc<Connection>>,
    turn: usize,
    attempts: u64,
    /// The attempt under way: one at a time, whose outcome all requests share that wait for it.
    attempt: Option<u64>,
    failed: Option<(u64, UpstreamFailure)>,
}

#[derive(Debug)]
struct Connection {
    sender: SendRequest<RequestBody>,
    active: AtomicUsize,
    /// Streams that the peer allows; 0 until it has said so.
    limit: AtomicUsize,
    /// Streams that we want at most.
    wanted: usize,
    is_retired: AtomicBool,
}

/// What a request is to do.
#[derive(Debug)]
pub(super) enum Turn {
    /// Go.
    Go(Slot),
    /// Start this attempt to connect.
    Connect(u64),
    /// Wait for a change; the attempt under way, if that is what is waited for.
    Wait(Option<u64>),
    /// Fail as the attempt did that was waited for.
    Fail(UpstreamFailure),
}

/// The right to one stream, until dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    connection: Arc<Connection>,
    pool: Arc<Pool>,
}

/// Counts a request that waits, while it lives.
#[derive(Debug)]
pub(super) struct Waiter<'a>(&'a Pool);

impl Pool {
    pub(super) fn new(settings: UpstreamHttp2) -> Self {
        Self { settings, ..Self::default() }
    }

    /// Takes a stream of a connection with room.
    pub(super) fn take(self: &Arc<Self>) -> Option<Slot> {
        let connection = self.lock().next()?;
        Some(Slot { connection, pool: Arc::clone(self) })
    }

    /// Says what a request is to do that may have to wait. `awaited` is the attempt that the caller has waited for.
    pub(super) fn turn(self: &Arc<Self>, awaited: Option<u64>) -> Turn {
        let mut state = self.lock();
        if let Some(connection) = state.next() {
            return Turn::Go(Slot { connection, pool: Arc::clone(self) });
        }
        if let Some(attempt) = state.attempt {
            return Turn::Wait(Some(attempt));
        }
        if state.connections.iter().any(|connection| !connection.is_settled()) {
            return Turn::Wait(None);
        }
        if let Some((attempt, failure)) = &state.failed
            && awaited == Some(*attempt)
        {
            return Turn::Fail(failure.clone());
        }
        state.attempts += 1;
        state.attempt = Some(state.attempts);
        Turn::Connect(state.attempts)
    }

    /// Ends an attempt.
    pub(super) fn settle(&self, attempt: u64, outcome: Result<(), UpstreamFailure>) {
        let mut state = self.lock();
        state.attempt = None;
        state.failed = outcome.err().map(|failure| (attempt, failure));
        drop(state);
        self.changed.notify_waiters();
    }

    /// Makes a connection of `stream`.
    pub(super) async fn open(self: &Arc<Self>, stream: Stream) -> Result<(), UpstreamFailure> {
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(self.settings.initial_stream_window_size)
            .initial_connection_window_size(self.settings.initial_connection_window_size)
            // No stream before the peer's SETTINGS: it may allow few, and may not speak HTTP/2 at all.
            .initial_max_send_streams(0)
            .max_header_list_size(MAX_RESPONSE_HEADERS)
            .keep_alive_interval(self.settings.keepalive_interval)
            .keep_alive_timeout(PONG)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| UpstreamFailure::broken(&error))?;
        let shared = Arc::new(Connection {
            sender,
            active: AtomicUsize::new(0),
            limit: AtomicUsize::new(0),
            wanted: self.settings.max_concurrent_streams.unwrap_or(usize::MAX),
            is_retired: AtomicBool::new(false),
        });
        tokio::spawn(drive(connection, Arc::downgrade(&shared), Arc::downgrade(self)));
        self.lock().connections.push(shared);
        Ok(())
    }

    /// Uses no connection for further requests; those that are open end in their time.
    pub(super) fn retire_all(&self) {
        self.lock().connections.iter().for_each(|connection| connection.is_retired.store(true, Ordering::Relaxed));
        self.changed.notify_waiters();
    }

    /// Returns how many connections there are, and streams on them.
    pub(super) fn counts(&self) -> (usize, usize) {
        let state = self.lock();
        let usable = || state.connections.iter().filter(|connection| connection.is_usable());
        (usable().count(), usable().map(|connection| connection.active.load(Ordering::Relaxed)).sum())
    }

    pub(super) fn waiter(&self) -> Waiter<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waiter(self)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Counts one more stream on the next connection with room.
    fn next(&mut self) -> Option<Arc<Connection>> {
        self.connections.retain(|connection| connection.is_usable());
        self.turn = self.turn.wrapping_add(1);
        let first = self.turn.checked_rem(self.connections.len())?;
        let (earlier, later) = self.connections.split_at_checked(first)?;
        let connection = later.iter().chain(earlier).find(|connection| connection.has_room())?;
        connection.active.fetch_add(1, Ordering::Relaxed);
        Some(Arc::clone(connection))
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connection {
    fn is_usable(&self) -> bool {
        !self.is_retired.load(Ordering::Relaxed) && !self.sender.is_closed()
    }

    fn is_settled(&self) -> bool {
        self.limit.load(Ordering::Acquire) != 0
    }

    /// The first request goes out to learn the peer's limit.
    fn has_room(&self) -> bool {
        self.active.load(Ordering::Relaxed) < self.limit.load(Ordering::Acquire).min(self.wanted).max(1)
    }
}

impl Slot {
    /// Sends a request, on a new connection only once the peer has shown within `limit` that it speaks HTTP/2.
    pub(super) async fn send(
        &self,
        request: Request<RequestBody>,
        limit: Duration,
    ) -> Result<Response<Incoming>, Unanswered> {
        let mut sender = self.connection.sender.clone();
        let answer = sender.try_send_request(request);
        let answered = if self.connection.is_settled() {
            answer.await
        } else {
            tokio::select! {
                biased;
                answered = answer => answered,
                () = self.silence(limit) => {
                    self.retire();
                    let detail = format!("upstream sent no HTTP/2 settings within {limit:?}");
                    return Err(Unanswered::Silent(UpstreamFailure::new(FailureKind::Timeout, detail)));
                }
            }
        };
        answered.map_err(|error| {
            if self.connection.sender.is_closed() || error.message().is_some() || !self.connection.is_settled() {
                self.retire();
            }
            error.into()
        })
    }

    /// Returns whether the peer has shown that it speaks HTTP/2.
    pub(super) fn is_settled(&self) -> bool {
        self.connection.is_settled()
    }

    async fn silence(&self, limit: Duration) {
        let settled = async {
            loop {
                let changed = self.pool.changed.notified();
                if self.connection.is_settled() {
                    return;
                }
                changed.await;
            }
        };
        if timeout(limit, settled).await.is_ok() {
            pending::<()>().await;
        }
    }

    fn retire(&self) {
        self.connection.is_retired.store(true, Ordering::Relaxed);
        self.pool.changed.notify_waiters();
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.connection.active.fetch_sub(1, Ordering::Relaxed);
        if self.pool.waiting.load(Ordering::Relaxed) > 0 {
            self.pool.changed.notify_one();
        }
    }
}

/// Moves the connection's requests until it closes, and keeps the peer's stream limit at hand.
async fn drive(
    mut connection: http2::Connection<TokioIo<Stream>, RequestBody, TokioExecutor>,
    shared: Weak<Connection>,
    pool: Weak<Pool>,
) {
    let ended = poll_fn(|cx| {
        let turn = Pin::new(&mut connection).poll(cx);
        if let Some(shared) = shared.upgrade() {
            let before = shared.limit.swap(connection.current_max_send_streams(), Ordering::AcqRel);
            if before == 0
                && shared.is_settled()
                && let Some(pool) = pool.upgrade()
            {
                pool.changed.notify_waiters();
            }
        }
        turn
    });
    if let Err(error) = ended.await {
        tracing::debug!(error = %error, "upstream connection ended");
    }
    if let Some(pool) = pool.upgrade() {
        pool.changed.notify_waiters();
    }
}

/// Bytes of a response's header list, decompressed.
const MAX_RESPONSE_HEADERS: u32 = 128 * 1024;

/// How long an answer to that may take.
const PONG: Duration = Duration::from_secs(20);
