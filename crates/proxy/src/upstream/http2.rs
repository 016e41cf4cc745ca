//! HTTP/2 connections: many exchanges at a time, as many connections as the peer's stream limits make necessary.

mod call;

use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{self, Builder, SendRequest};
use http::{Request, Response};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::body::RequestBody;
use super::failure::{ConnectionError, FailureKind, UpstreamFailure};
use super::http1::Unanswered;
use super::stream::Stream;
use crate::config::UpstreamHttp2;
use crate::http2::Pings;

pub(crate) use call::Arrived;

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
    sender: SendRequest<Bytes>,
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
    sender: SendRequest<Bytes>,
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
        let (connection, sender) = self.lock().next()?;
        Some(Slot { sender, connection, pool: Arc::clone(self) })
    }

    /// Says what a request is to do that may have to wait. `awaited` is the attempt that the caller has waited for.
    pub(super) fn turn(self: &Arc<Self>, awaited: Option<u64>) -> Turn {
        let mut state = self.lock();
        if let Some((connection, sender)) = state.next() {
            return Turn::Go(Slot { sender, connection, pool: Arc::clone(self) });
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
        let (sender, mut connection) = Builder::new()
            .enable_push(false)
            .initial_window_size(self.settings.initial_stream_window_size)
            .initial_connection_window_size(self.settings.initial_connection_window_size)
            // No stream before the peer's SETTINGS: it may allow few, and may not speak HTTP/2 at all.
            .initial_max_send_streams(0)
            .max_header_list_size(MAX_RESPONSE_HEADERS)
            .handshake(stream)
            .await
            .map_err(|error| UpstreamFailure::broken(&ConnectionError::from(error)))?;
        let pings = Pings::new(connection.ping_pong(), self.settings.keepalive_interval);
        let shared = Arc::new(Connection {
            sender,
            active: AtomicUsize::new(0),
            limit: AtomicUsize::new(0),
            wanted: self.settings.max_concurrent_streams.unwrap_or(usize::MAX),
            is_retired: AtomicBool::new(false),
        });
        tokio::spawn(drive(connection, pings, Arc::downgrade(&shared), Arc::downgrade(self)));
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
    fn next(&mut self) -> Option<(Arc<Connection>, SendRequest<Bytes>)> {
        self.connections.retain(|connection| connection.is_usable());
        self.turn = self.turn.wrapping_add(1);
        let first = self.turn.checked_rem(self.connections.len())?;
        let (earlier, later) = self.connections.split_at_checked(first)?;
        let mut with_room = later.iter().chain(earlier).filter(|connection| connection.has_room());
        let (connection, sender) = with_room.find_map(|connection| Some((connection, connection.sender()?)))?;
        connection.active.fetch_add(1, Ordering::Relaxed);
        Some((Arc::clone(connection), sender))
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connection {
    fn is_usable(&self) -> bool {
        !self.is_retired.load(Ordering::Relaxed)
    }

    /// Returns what sends a request; nothing, for ever, once the peer takes none any more (GOAWAY).
    fn sender(&self) -> Option<SendRequest<Bytes>> {
        let mut sender = self.sender.clone();
        if matches!(sender.poll_ready(&mut Context::from_waker(Waker::noop())), Poll::Ready(Err(_))) {
            self.is_retired.store(true, Ordering::Relaxed);
            return None;
        }
        Some(sender)
    }

    fn is_settled(&self) -> bool {
        self.limit.load(Ordering::Acquire) != 0
    }

    async fn silence(&self, pool: &Pool, limit: Duration) {
        let settled = async {
            loop {
                let changed = pool.changed.notified();
                if self.is_settled() {
                    return;
                }
                changed.await;
            }
        };
        if timeout(limit, settled).await.is_ok() {
            pending::<()>().await;
        }
    }

    fn retire(&self, pool: &Pool) {
        self.is_retired.store(true, Ordering::Relaxed);
        pool.changed.notify_waiters();
    }

    /// The first request goes out to learn the peer's limit.
    fn has_room(&self) -> bool {
        self.active.load(Ordering::Relaxed) < self.limit.load(Ordering::Acquire).min(self.wanted).max(1)
    }
}

impl Slot {
    /// Sends a request, on a new connection only once the peer has shown within `limit` that it speaks HTTP/2.
    pub(super) async fn send(
        self,
        request: Request<RequestBody>,
        limit: Duration,
    ) -> Result<Response<Arrived>, Unanswered> {
        if self.connection.is_settled() {
            return call::call(self, request).await;
        }
        let (connection, pool) = (Arc::clone(&self.connection), Arc::clone(&self.pool));
        tokio::select! {
            biased;
            answered = call::call(self, request) => answered,
            () = connection.silence(&pool, limit) => {
                connection.retire(&pool);
                let detail = format!("upstream sent no HTTP/2 settings within {limit:?}");
                Err(Unanswered::Silent(UpstreamFailure::new(FailureKind::Timeout, detail)))
            }
        }
    }

    /// Returns what tells, also later, whether the peer has shown that it speaks HTTP/2.
    pub(super) fn shown(&self) -> impl Fn() -> bool + use<> {
        let connection = Arc::clone(&self.connection);
        move || connection.is_settled()
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
    mut connection: client::Connection<Stream, Bytes>,
    mut pings: Option<Pings>,
    shared: Weak<Connection>,
    pool: Weak<Pool>,
) {
    let ended = poll_fn(|cx| {
        let shared = shared.upgrade();
        let is_busy = shared.as_ref().is_some_and(|shared| shared.active.load(Ordering::Relaxed) > 0);
        if pings.as_mut().is_some_and(|pings| pings.poll(is_busy, cx).is_ready()) {
            return Poll::Ready(Err(UpstreamFailure::new(FailureKind::Timeout, "no answer to an HTTP/2 ping")));
        }
        let turn = Pin::new(&mut connection).poll(cx);
        if let Some(shared) = shared {
            let before = shared.limit.swap(connection.max_concurrent_send_streams(), Ordering::AcqRel);
            if before == 0
                && shared.is_settled()
                && let Some(pool) = pool.upgrade()
            {
                pool.changed.notify_waiters();
            }
        }
        turn.map_err(|error| UpstreamFailure::broken(&ConnectionError::from(error)))
    });
    if let Err(failure) = ended.await {
        tracing::debug!(error = %failure.detail, "upstream connection ended");
    }
    drop(connection);
    if let Some(shared) = shared.upgrade() {
        shared.is_retired.store(true, Ordering::Relaxed);
    }
    if let Some(pool) = pool.upgrade() {
        pool.changed.notify_waiters();
    }
}

/// Bytes of a response's header list, decompressed.
const MAX_RESPONSE_HEADERS: u32 = 128 * 1024;
