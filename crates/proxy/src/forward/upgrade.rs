//! WebSockets: opens one upstream over HTTP/1.1, and carries its bytes once both sides have agreed to it.
//!
//! No byte of the client passes before the upstream's `101` was verified, or a refusal that is taken for an agreement
//! would open a tunnel past every policy.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::address::origin_form;
use super::frames::Peer;
use super::leg::{Farewell, Leg};
use super::response::downstream;
use super::{Forward, Forwarded, Upgrade};
use crate::client_address::Told;
use crate::http1;
use crate::upstream::{
    Arriving, Cluster, FailureKind, Failures, RequestBody, Spoken, Target, UpstreamBody, UpstreamFailure,
    UpstreamStream, http1_builder,
};

/// Opens a WebSocket upstream; answers what the upstream answers where it refuses.
pub(super) async fn open(
    cluster: &Cluster,
    mut request: Request<crate::incoming::Incoming>,
    forward: Forward<'_>,
) -> Result<Forwarded, UpstreamFailure> {
    let client = http1::tunnel(request.extensions_mut())
        .ok_or_else(|| UpstreamFailure::new(FailureKind::ClientBody, "no connection to make a tunnel of"))?;
    let key = match forward.upgrade {
        Upgrade::WebSocket | Upgrade::None => request.headers().get(SEC_WEBSOCKET_KEY).cloned(),
        Upgrade::ExtendedConnect => Some(new_key()?),
    };
    let key = key.ok_or_else(|| UpstreamFailure::new(FailureKind::ClientBody, "no `Sec-WebSocket-Key`"))?;
    let mut attempts = 0;
    let mut failures = Failures::default();
    for target in cluster.select(forward.hash) {
        attempts += 1;
        let stream = match target.endpoint.connect_for_upgrade().await {
            Ok(stream) => stream,
            Err(failure) => {
                cluster.failed(target);
                failures.add(target, failure);
                continue;
            }
        };
        let failed =
            |failure| UpstreamFailure { endpoint: Some(Arc::clone(target.endpoint.name())), attempts, ..failure };
        let mut request = opening(request, target, &key, forward.told);
        let span = forward.begin_attempt(attempts, request.method(), target);
        if let Some(span) = &span {
            span.tell(request.headers_mut());
        }
        let mut response = send(stream, request, cluster.timeouts().response_headers).await.map_err(failed)?;
        if let Some(span) = span {
            span.answered(response.status());
        }
        let tunnel = accepts(&response, &key).map_err(failed)?.then(|| {
            let upstream = hyper::upgrade::on(&mut response);
            let (part, parting) = oneshot::channel();
            let (stop, close) = (forward.stop.clone(), forward.close.clone());
            Tunnel { carried: forward.tunnels.spawn(carry(client, upstream, parting, stop, close)), part }
        });
        return Ok(Forwarded {
            response: answer(response, forward.upgrade),
            endpoint: Arc::clone(target.endpoint.name()),
            protocol: "http/1.1",
            protocol_reason: target.endpoint.protocol_reason(Spoken::Http1),
            attempts,
            tunnel,
        });
    }
    Err(failures.exhausted(attempts))
}

/// Makes the opening handshake of RFC 6455 §4.1.
fn opening(
    request: Request<crate::incoming::Incoming>,
    target: &Target,
    key: &HeaderValue,
    told: &Told,
) -> Request<RequestBody> {
    let (mut parts, _) = request.into_parts();
    parts.extensions.clear();
    parts.method = Method::GET;
    parts.uri = origin_form(&parts.uri);
    parts.version = Version::HTTP_11;
    let headers = &mut parts.headers;
    for name in [CONTENT_LENGTH, TRANSFER_ENCODING, EXPECT, TE] {
        headers.remove(name);
    }
    headers.insert(HOST, target.host.as_ref().map_or_else(|| told.host().clone(), |fixed| fixed.header.clone()));
    told.add_to(headers);
    headers.insert(CONNECTION, UPGRADES);
    headers.insert(UPGRADE, WEBSOCKET);
    headers.insert(SEC_WEBSOCKET_KEY, key.clone());
    headers.entry(SEC_WEBSOCKET_VERSION).or_insert(VERSION);
    Request::from_parts(parts, RequestBody::empty())
}

async fn send(
    stream: UpstreamStream,
    request: Request<RequestBody>,
    limit: Option<Duration>,
) -> Result<Response<Incoming>, UpstreamFailure> {
    let exchange = async {
        let (mut sender, connection) = http1_builder().handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection.with_upgrades());
        sender.send_request(request).await
    };
    let answer = match limit {
        Some(limit) => tokio::time::timeout(limit, exchange)
            .await
            .map_err(|_| UpstreamFailure::new(FailureKind::Timeout, format!("no response headers within {limit:?}")))?,
        None => exchange.await,
    };
    answer.map_err(|error| UpstreamFailure::broken(&error))
}

/// Returns whether the upstream agrees. A refusal is an answer; an agreement to something else is none (RFC 6455 §4.1).
fn accepts(response: &Response<Incoming>, key: &HeaderValue) -> Result<bool, UpstreamFailure> {
    let wrong = |what| Err(UpstreamFailure::new(FailureKind::Protocol, what));
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return if response.status().is_success() {
            wrong("upstream answered the opening of a WebSocket with success instead of 101")
        } else {
            Ok(false)
        };
    }
    let headers = response.headers();
    if !has_token(headers, &UPGRADE, "websocket") {
        return wrong("upstream switched to another protocol than WebSocket");
    }
    if !has_token(headers, &CONNECTION, "upgrade") {
        return wrong("upstream answered 101 without `Connection: Upgrade`");
    }
    match headers.get(SEC_WEBSOCKET_ACCEPT) {
        Some(accept) if accept.as_bytes() == accept_of(key).as_bytes() => Ok(true),
        Some(_) => wrong("upstream answered 101 with a `Sec-WebSocket-Accept` of another key"),
        None => wrong("upstream answered 101 without `Sec-WebSocket-Accept`"),
    }
}

/// Returns the upstream's answer in the words of the client's protocol.
fn answer(response: Response<Incoming>, upgrade: Upgrade) -> Response<UpstreamBody> {
    let (mut parts, body) = response.into_parts();
    let agreed = parts.status == StatusCode::SWITCHING_PROTOCOLS;
    downstream(&mut parts.headers);
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
    match (agreed, upgrade) {
        (true, Upgrade::ExtendedConnect) => {
            // RFC 8441 §5: 200 stands for 101, and the key is not used.
            parts.status = StatusCode::OK;
            parts.headers.remove(SEC_WEBSOCKET_ACCEPT);
        }
        (true, Upgrade::WebSocket | Upgrade::None) => {
            parts.headers.insert(CONNECTION, UPGRADES);
            parts.headers.insert(UPGRADE, WEBSOCKET);
        }
        (false, _) => {}
    }
    Response::from_parts(parts, UpstreamBody::new(Arriving::Hyper(body), None, None))
}

/// What a tunnel carried.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traffic {
    /// Bytes from the client.
    pub(crate) sent: u64,
    /// Bytes to the client.
    pub(crate) received: u64,
}

/// A WebSocket that was opened.
#[derive(Debug)]
pub(crate) struct Tunnel {
    /// Ends with what it carried.
    pub(crate) carried: JoinHandle<Traffic>,
    /// Ends it.
    pub(crate) part: oneshot::Sender<Farewell>,
}

/// Carries bytes both ways until both sides have ended, one breaks off, or there is a reason to end: then both are told
/// between two frames. `close` cuts them off.
async fn carry(
    client: oneshot::Receiver<http1::Tunnel>,
    upstream: OnUpgrade,
    parting: oneshot::Receiver<Farewell>,
    stop: CancellationToken,
    close: CancellationToken,
) -> Traffic {
    let mut traffic = Traffic::default();
    {
        let code = AtomicU16::new(0);
        let mut tunnel = pin!(async {
            let (client, upstream) = (client.await?, upstream.await?);
            let client = Leg::new(client, Peer::Upstream, &code);
            let mut client = Counted { stream: client, traffic: &mut traffic };
            copy_bidirectional(&mut client, &mut Leg::new(TokioIo::new(upstream), Peer::Client, &code)).await?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
        });
        let farewell = tokio::select! {
            ended = tunnel.as_mut() => Err(Some(ended)),
            () = close.cancelled() => Err(None),
            () = stop.cancelled() => Ok(Farewell::GoingAway),
            Ok(farewell) = parting => Ok(farewell),
        };
        let ended = match farewell {
            Err(ended) => ended,
            Ok(farewell) => {
                code.store(farewell.code(), Ordering::Relaxed);
                close.run_until_cancelled(timeout(LINGER, tunnel)).await.and_then(Result::ok)
            }
        };
        match ended {
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::debug!(error = %error, "tunnel broken off"),
            None => tracing::debug!("tunnel closed"),
        }
    }
    traffic
}

/// Counts as it goes, so that a tunnel that breaks off is counted as well.
#[derive(Debug)]
pub(crate) struct Counted<'a, S> {
    /// The client's side.
    pub(crate) stream: S,
    /// What has passed so far.
    pub(crate) traffic: &'a mut Traffic,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<'_, S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.traffic.sent += (buf.filled().len() - before) as u64;
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<'_, S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(written)) = polled {
            self.traffic.received += written as u64;
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

fn has_token(headers: &HeaderMap, name: &http::HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|value| value.trim().eq_ignore_ascii_case(token))
}

/// Computes `Sec-WebSocket-Accept` (RFC 6455 §4.2.2). SHA-1 protects nothing here; it shows that the peer read the key.
pub(crate) fn accept_of(key: &HeaderValue) -> String {
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key.as_bytes(), GUID].concat());
    STANDARD.encode(hash)
}

fn new_key() -> Result<HeaderValue, UpstreamFailure> {
    let no_key = || UpstreamFailure::new(FailureKind::Protocol, "no random key for the WebSocket");
    let mut key = [0; 16];
    aws_lc_rs::rand::fill(&mut key).map_err(|_| no_key())?;
    HeaderValue::from_str(&STANDARD.encode(key)).map_err(|_| no_key())
}

/// How long two sides that were told may take to end.
const LINGER: Duration = Duration::from_secs(1);
const UPGRADES: HeaderValue = HeaderValue::from_static("Upgrade");
const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
const VERSION: HeaderValue = HeaderValue::from_static("13");
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
