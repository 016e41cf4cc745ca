//! HTTP/2 connections, whose peers limit how many exchanges they carry at a time.

mod call;

use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{self, Builder, SendRequest};
use http::{Request, Response};
use tokio::time::timeout;

use super::body::RequestBody;
use super::failure::{ConnectionError, FailureKind, UpstreamFailure};
use super::http1::Unanswered;
use super::shared::{self, Begun, Carrier as _};
use super::stream::Stream;
use crate::config::UpstreamHttp2;
use crate::http2::Pings;

pub(crate) use call::Arrived;

/// The connections to one endpoint.
pub(super) type Pool = shared::Pool<Carrier>;

/// The right to one stream, until dropped.
pub(crate) type Slot = shared::Slot<Carrier>;

/// What sends one request.
pub(crate) type Sender = SendRequest<Bytes>;

type Connection = shared::Connection<Carrier>;

/// One connection.
#[derive(Debug)]
pub(crate) struct Carrier {
    sender: Sender,
    /// Streams that the peer allows; 0 until it has said so.
    limit: AtomicUsize,
    /// Streams that we want at most.
    wanted: usize,
}

impl shared::Carrier for Carrier {
    type Stream = Sender;

    fn is_settled(&self) -> bool {
        self.limit.load(Ordering::Acquire) != 0
    }

    fn begin(&self, active: usize) -> Begun<Sender> {
        // The first request goes out to learn the peer's limit.
        if active >= self.limit.load(Ordering::Acquire).min(self.wanted).max(1) {
            return Begun::Full;
        }
        let mut sender = self.sender.clone();
        // An error, for ever, once the peer takes none any more (GOAWAY).
        match sender.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Err(_)) => Begun::Gone,
            Poll::Ready(Ok(())) | Poll::Pending => Begun::Stream(sender),
        }
    }
}

/// Makes a connection of `stream`, for requests that go over `pool`.
pub(super) async fn open(pool: &Arc<Pool>, settings: &UpstreamHttp2, stream: Stream) -> Result<(), UpstreamFailure> {
    let (sender, mut connection) = Builder::new()
        .enable_push(false)
        .initial_window_size(settings.initial_stream_window_size)
        .initial_connection_window_size(settings.initial_connection_window_size)
        // No stream before the peer's SETTINGS: it may allow few, and may not speak HTTP/2 at all.
        .initial_max_send_streams(0)
        .max_header_list_size(MAX_RESPONSE_HEADERS)
        .handshake(stream)
        .await
        .map_err(|error| UpstreamFailure::broken(&ConnectionError::from(error)))?;
    let pings = Pings::new(connection.ping_pong(), settings.keepalive_interval);
    let wanted = settings.max_concurrent_streams.unwrap_or(usize::MAX);
    let shared = pool.add(Carrier { sender, limit: AtomicUsize::new(0), wanted });
    tokio::spawn(drive(connection, pings, shared, Arc::downgrade(pool)));
    Ok(())
}

/// Sends a request, on a new connection only once the peer has shown within `limit` that it speaks HTTP/2.
pub(super) async fn send(
    slot: Slot,
    sender: Sender,
    request: Request<RequestBody>,
    limit: Duration,
) -> Result<Response<Arrived>, Unanswered> {
    if slot.connection().carrier().is_settled() {
        return call::call(slot, sender, request).await;
    }
    let (connection, pool) = (Arc::clone(slot.connection()), Arc::clone(slot.pool()));
    tokio::select! {
        biased;
        answered = call::call(slot, sender, request) => answered,
        () = silence(&connection, &pool, limit) => {
            connection.retire(&pool);
            let detail = format!("upstream sent no HTTP/2 settings within {limit:?}");
            Err(Unanswered::Silent(UpstreamFailure::new(FailureKind::Timeout, detail)))
        }
    }
}

async fn silence(connection: &Connection, pool: &Pool, limit: Duration) {
    let settled = async {
        loop {
            let changed = pool.changed.notified();
            if connection.carrier().is_settled() {
                return;
            }
            changed.await;
        }
    };
    if timeout(limit, settled).await.is_ok() {
        pending::<()>().await;
    }
}

/// Returns what tells, also later, whether the peer has shown that it speaks HTTP/2.
pub(super) fn shown(slot: &Slot) -> impl Fn() -> bool + use<> {
    let connection = Arc::clone(slot.connection());
    move || connection.carrier().is_settled()
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
        let is_busy = shared.as_ref().is_some_and(|shared| shared.is_busy());
        if pings.as_mut().is_some_and(|pings| pings.poll(is_busy, cx).is_ready()) {
            return Poll::Ready(Err(UpstreamFailure::new(FailureKind::Timeout, "no answer to an HTTP/2 ping")));
        }
        let turn = Pin::new(&mut connection).poll(cx);
        if let Some(shared) = shared {
            let limit = connection.max_concurrent_send_streams();
            let before = shared.carrier().limit.swap(limit, Ordering::AcqRel);
            if before == 0
                && limit != 0
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
    if let (Some(shared), Some(pool)) = (shared.upgrade(), pool.upgrade()) {
        shared.retire(&pool);
    }
}

/// Bytes of a response's header list, decompressed.
const MAX_RESPONSE_HEADERS: u32 = 128 * 1024;
