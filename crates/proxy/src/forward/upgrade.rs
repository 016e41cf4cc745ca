//! WebSockets: opens one upstream over HTTP/1.1, and carries its bytes once both sides have agreed to it.
//!
//! No byte of the client passes before the upstream's `101` was verified, or a refusal that is taken for an agreement
//! would open a tunnel past every policy.

use std::pin::pin;
use std::sync::atomic::{AtomicU16, Ordering};
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
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::address::origin_form;
use super::carry::{Carried, Counter, Tunnel, both_ways, no_tunnel};
use super::frames::Peer;
use super::leg::{Farewell, Leg};
use super::reach::{Reached, reach};
use super::response::downstream;
use super::{Forward, Forwarded, Tries, Upgrade};
use crate::client_address::Told;
use crate::http1;
use crate::upstream::{
    Active, Arriving, Cluster, FailureKind, RequestBody, Spoken, Target, UpstreamBody, UpstreamFailure, UpstreamStream,
    http1_builder,
};

/// Opens a WebSocket upstream; answers what the upstream answers where it refuses.
pub(super) async fn open<'a>(
    cluster: &'a Cluster,
    mut request: Request<crate::incoming::Incoming>,
    forward: Forward<'_>,
    tries: &mut Tries<'a>,
) -> Result<Forwarded, UpstreamFailure> {
    let client = http1::tunnel(request.extensions_mut()).ok_or_else(no_tunnel)?;
    let key = match forward.upgrade {
        Upgrade::WebSocket | Upgrade::Connect | Upgrade::None => request.headers().get(SEC_WEBSOCKET_KEY).cloned(),
        Upgrade::ExtendedConnect => Some(new_key()?),
    };
    let key = key.ok_or_else(|| UpstreamFailure::new(FailureKind::ClientBody, "no `Sec-WebSocket-Key`"))?;
    let Reached { target, stream, span, active } = reach(cluster, &forward, &Method::GET, tries).await?;
    tries.connected("http/1.1", target.endpoint.protocol_reason(Spoken::Http1));
    let mut request = opening(request, target, &key, forward.told);
    if let Some(span) = &span {
        span.tell(request.headers_mut());
    }
    let sent = send(stream, request, cluster.timeouts().response_headers).await;
    let mut response = sent.inspect_err(|_| cluster.failed(target))?;
    cluster.succeeded(target);
    if let Some(span) = span {
        span.answered(response.status());
    }
    let tunnel = accepts(&response, &key)?.then(|| {
        let upstream = hyper::upgrade::on(&mut response);
        let (part, parting) = oneshot::channel();
        let ends = Ends { parting, stop: forward.stop.clone(), close: forward.close.clone(), _active: active };
        Tunnel { carried: forward.tunnels.spawn(carry(client, upstream, ends)), part }
    });
    Ok(Forwarded { response: answer(response, forward.upgrade), tunnel })
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
        (true, Upgrade::WebSocket | Upgrade::Connect | Upgrade::None) => {
            parts.headers.insert(CONNECTION, UPGRADES);
            parts.headers.insert(UPGRADE, WEBSOCKET);
        }
        (false, _) => {}
    }
    Response::from_parts(parts, UpstreamBody::new(Arriving::Hyper(body), None, None))
}

/// What ends a WebSocket, and what ends with it.
struct Ends {
    /// It is no longer allowed.
    parting: oneshot::Receiver<Farewell>,
    /// The proxy goes away.
    stop: CancellationToken,
    /// It has gone away.
    close: CancellationToken,
    _active: Option<Active>,
}

/// Carries bytes both ways until both sides have ended, one breaks off, or there is a reason to end: then both are told
/// between two frames. `close` cuts them off.
async fn carry(client: oneshot::Receiver<http1::Tunnel>, upstream: OnUpgrade, ends: Ends) -> Carried {
    let counter = Counter::default();
    let code = AtomicU16::new(0);
    let mut tunnel = pin!(async {
        let (client, upstream) = (client.await?, upstream.await?);
        let client = Leg::new(client, Peer::Upstream, &code);
        both_ways(client, Leg::new(TokioIo::new(upstream), Peer::Client, &code), &counter, None).await?;
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
    });
    let farewell = tokio::select! {
        ended = tunnel.as_mut() => Err(Some(ended)),
        () = ends.close.cancelled() => Err(None),
        () = ends.stop.cancelled() => Ok(Farewell::GoingAway),
        Ok(farewell) = ends.parting => Ok(farewell),
    };
    let ended = match farewell {
        Err(ended) => ended,
        Ok(farewell) => {
            code.store(farewell.code(), Ordering::Relaxed);
            ends.close.run_until_cancelled(timeout(LINGER, tunnel)).await.and_then(Result::ok)
        }
    };
    match ended {
        Some(Ok(())) => {}
        Some(Err(error)) => tracing::debug!(error = %error, "tunnel broken off"),
        None => tracing::debug!("tunnel closed"),
    }
    Carried { traffic: counter.traffic(), broke_off: None }
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
