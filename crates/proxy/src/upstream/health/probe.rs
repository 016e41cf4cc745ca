//! Asks one endpoint whether it works, on a connection of its own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, TE, USER_AGENT};
use http::{HeaderValue, Method, Request, Response, Version};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::config::HealthProbe;
use crate::upstream::body::{Arriving, RequestBody};
use crate::upstream::connect::Spoken;
use crate::upstream::endpoint::Endpoint;
use crate::upstream::failure::UpstreamFailure;
use crate::upstream::http1::Unanswered;
use crate::upstream::http3;
use crate::upstream::stream::Stream;

/// Asks, and says what is wrong where the endpoint does not work.
pub(super) async fn ask(endpoint: &Endpoint, probe: &HealthProbe) -> Result<(), String> {
    let over = Line::open(endpoint).await.map_err(|failure| failure.detail.into_owned())?;
    match probe {
        HealthProbe::Tcp => Ok(()),
        HealthProbe::Http { path, host } => {
            let host = host.as_deref().unwrap_or(endpoint.authority());
            let request = request(endpoint, Method::GET, path.as_str(), host, Bytes::new())?;
            let response = over.send(request).await?;
            let status = response.status();
            let good = status.is_success() || status.is_redirection();
            if good { Ok(()) } else { Err(format!("health check: answered {}", status.as_u16())) }
        }
        HealthProbe::Grpc { service } => {
            let mut request = request(endpoint, Method::POST, CHECK, endpoint.authority(), question(service).into())?;
            let headers = request.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            headers.insert(TE, HeaderValue::from_static("trailers"));
            answer(over.for_grpc().send(request).await?).await
        }
    }
}

fn request(
    endpoint: &Endpoint,
    method: Method,
    path: &str,
    host: &str,
    body: Bytes,
) -> Result<Request<Full<Bytes>>, String> {
    Request::builder()
        .method(method)
        .uri(format!("{}://{host}{path}", endpoint.scheme()))
        .header(USER_AGENT, "portcullis-health-check")
        .body(Full::new(body))
        .map_err(|error| format!("health check: {error}"))
}

/// A connection of the check's own.
enum Line {
    Tcp(Stream, Spoken),
    Quic(quinn::Connection),
}

impl Line {
    async fn open(endpoint: &Endpoint) -> Result<Self, UpstreamFailure> {
        if endpoint.speaks_http3() {
            return Ok(Self::Quic(endpoint.connect_over_quic().await?));
        }
        let (stream, spoken) = endpoint.connect().await?;
        Ok(Self::Tcp(stream, spoken))
    }

    /// HTTP/1.1 carries no gRPC.
    fn for_grpc(self) -> Self {
        match self {
            Self::Tcp(stream, _) => Self::Tcp(stream, Spoken::Http2),
            Self::Quic(connection) => Self::Quic(connection),
        }
    }

    async fn send(self, mut request: Request<Full<Bytes>>) -> Result<Response<Arriving>, String> {
        let broken = |error: hyper::Error| UpstreamFailure::broken(&error).detail.into_owned();
        let response = match self {
            Self::Quic(connection) => return send_over_quic(connection, request).await,
            Self::Tcp(stream, Spoken::Http1) => {
                let host = request.uri().authority().map(|host| host.as_str().to_owned()).unwrap_or_default();
                request.headers_mut().insert(HOST, HeaderValue::try_from(host).map_err(|error| error.to_string())?);
                *request.uri_mut() = request.uri().path_and_query().cloned().map(Into::into).unwrap_or_default();
                let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
                tokio::spawn(connection);
                sender.send_request(request).await
            }
            Self::Tcp(stream, Spoken::Http2 | Spoken::Http3) => {
                *request.version_mut() = Version::HTTP_2;
                let io = TokioIo::new(stream);
                let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.map_err(broken)?;
                tokio::spawn(connection);
                sender.send_request(request).await
            }
        };
        Ok(response.map_err(broken)?.map(Arriving::Hyper))
    }
}

async fn send_over_quic(
    connection: quinn::Connection,
    request: Request<Full<Bytes>>,
) -> Result<Response<Arriving>, String> {
    let pool = Arc::new(http3::Pool::default());
    http3::open(&pool, None, connection).map_err(|failure| failure.detail.into_owned())?;
    let (slot, stream) = pool.take().ok_or_else(|| "health check: the connection was closed".to_owned())?;
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await;
    let request = Request::from_parts(parts, RequestBody::whole(body.to_bytes()));
    match http3::send(slot, stream, request, NEVER).await {
        Ok(response) => Ok(response.map(|body| Arriving::Http3(Box::new(body)))),
        Err(Unanswered::Lost { error, .. }) => Err(UpstreamFailure::broken(&error).detail.into_owned()),
        Err(Unanswered::NotSent(_)) => Err("health check: the connection was closed".to_owned()),
        Err(Unanswered::Silent(failure)) => Err(failure.detail.into_owned()),
    }
}

/// Makes `HealthCheckRequest { service }`, as one message of gRPC.
fn question(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(FIRST_FIELD_TEXT);
        let mut length = service.len();
        while length >= 0x80 {
            message.push(u8::try_from(length & 0x7f).unwrap_or_default() | 0x80);
            length >>= 7;
        }
        message.push(u8::try_from(length).unwrap_or_default());
        message.extend_from_slice(service.as_bytes());
    }
    let length = u32::try_from(message.len()).unwrap_or_default();
    [&[0][..], &length.to_be_bytes(), &message].concat()
}

/// Reads `HealthCheckResponse { status }`.
async fn answer(response: Response<Arriving>) -> Result<(), String> {
    let of_call = |headers: &http::HeaderMap| headers.get("grpc-status").map(|status| status.as_bytes().to_vec());
    let mut status = of_call(response.headers());
    if !response.status().is_success() {
        return Err(format!("health check: answered {}", response.status().as_u16()));
    }
    let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
    let body = body.map_err(|error| format!("health check: {error}"))?;
    status = body.trailers().and_then(of_call).or(status);
    match status.as_deref() {
        Some(b"0") => {}
        Some(other) => return Err(format!("health check: gRPC status {}", String::from_utf8_lossy(other))),
        None => return Err("health check: no gRPC status".to_owned()),
    }
    match body.to_bytes().get(PREFIX..) {
        Some([FIRST_FIELD_NUMBER, SERVING]) => Ok(()),
        Some([FIRST_FIELD_NUMBER, NOT_SERVING]) => Err("health check: NOT_SERVING".to_owned()),
        _ => Err("health check: not SERVING".to_owned()),
    }
}

/// The method that is called (`grpc/health/v1/health.proto`).
const CHECK: &str = "/grpc.health.v1.Health/Check";

/// Tags of protobuf: field 1 as a text, and as a number.
const FIRST_FIELD_TEXT: u8 = 0x0a;
const FIRST_FIELD_NUMBER: u8 = 0x08;
const SERVING: u8 = 1;
const NOT_SERVING: u8 = 2;

/// Bytes before a message of gRPC: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// A check has a time limit of its own.
const NEVER: Duration = Duration::from_secs(60 * 60);

/// An answer has seven bytes.
const MAX_ANSWER: usize = 4096;
