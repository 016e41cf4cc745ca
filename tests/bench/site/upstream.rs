//! The app behind every proxy: 1 KiB for a request, a gRPC answer, long bodies, or a WebSocket.
//! It runs as a program of its own: `bench upstream CERT KEY PLAIN H2C TLS`, the last three addresses to listen on.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use integration::Result;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A body of so many bytes, with gRPC's status behind it where it is asked for.
#[derive(Debug)]
struct Answer {
    left: usize,
    status: Option<HeaderMap>,
}

impl Answer {
    const fn of(bytes: usize) -> Self {
        Self { left: bytes, status: None }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Infallible>>> {
        let bytes =
            if self.status.is_some() { Bytes::from_static(&GRPC) } else { CHUNK.slice(..self.left.min(CHUNK.len())) };
        if self.left > 0 {
            self.left -= bytes.len();
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        Poll::Ready(self.status.take().map(|status| Ok(Frame::trailers(status))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0 && self.status.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.status.is_some() { SizeHint::default() } else { SizeHint::with_exact(self.left as u64) }
    }
}

/// Serves until it is killed.
pub(crate) async fn run(cert: &str, key: &str, [plain, h2c, tls]: [SocketAddr; 3]) -> Result<()> {
    let acceptor = TlsAcceptor::from(Arc::new(super::tls::server(cert, key)?));
    let asserted = Arc::<AtomicU64>::default();
    let (plain, h2c, tls) =
        (TcpListener::bind(plain).await?, TcpListener::bind(h2c).await?, TcpListener::bind(tls).await?);
    loop {
        let asserted = Arc::clone(&asserted);
        tokio::select! {
            accepted = plain.accept() => drop(tokio::spawn(http1(nodelay(accepted?.0), asserted))),
            accepted = h2c.accept() => drop(tokio::spawn(http2(nodelay(accepted?.0), asserted))),
            accepted = tls.accept() => {
                let (stream, acceptor) = (nodelay(accepted?.0), acceptor.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                        http2(stream, asserted).await;
                    } else {
                        http1(stream, asserted).await;
                    }
                });
            }
        }
    }
}

fn nodelay(stream: TcpStream) -> TcpStream {
    // Without it answers wait for acknowledgements. Should it fail, they only come later.
    let _ = stream.set_nodelay(true);
    stream
}

async fn http1(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, asserted: Arc<AtomicU64>) {
    let service = service_fn(move |request| answer(request, Arc::clone(&asserted)));
    // A proxy that goes away ends its connection; there is nobody to tell.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
}

async fn http2(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, asserted: Arc<AtomicU64>) {
    let service = service_fn(move |request| answer(request, Arc::clone(&asserted)));
    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(
    mut request: Request<Incoming>,
    asserted: Arc<AtomicU64>,
) -> std::result::Result<Response<Answer>, Infallible> {
    asserted.fetch_add(u64::from(request.headers().contains_key("x-portcullis-jwt-assertion")), Ordering::Relaxed);
    if request.headers().contains_key(UPGRADE) {
        return Ok(websocket(&mut request));
    }
    let grpc =
        request.headers().get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
    let body = match request.uri().path() {
        _ if grpc => Answer { left: GRPC.len(), status: Some(HeaderMap::from_iter([(GRPC_STATUS, ZERO)])) },
        LONG => Answer::of(LONG_BYTES),
        COUNT => {
            return Ok(Response::new(Answer::of(
                usize::try_from(asserted.load(Ordering::Relaxed)).unwrap_or_default(),
            )));
        }
        _ => Answer::of(ANSWER_BYTES),
    };
    // A request whose body is left unread would be reset.
    while let Some(Ok(_)) = request.body_mut().frame().await {}
    let mut response = Response::new(body);
    if grpc {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    }
    Ok(response)
}

/// Answers each thing that is sent with the same small frame.
fn websocket(request: &mut Request<Incoming>) -> Response<Answer> {
    let upgrade = hyper::upgrade::on(request);
    tokio::spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        let (mut stream, mut buffer) = (TokioIo::new(upgraded), [0; 64]);
        while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
            if stream.write_all(crate::client::websocket::PONG).await.is_err() {
                return;
            }
        }
    });
    let mut response = Response::new(Answer::of(0));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    // RFC 6455 §1.3: the answer to the key that `client::websocket` always sends.
    headers.insert("sec-websocket-accept", HeaderValue::from_static("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    response
}

/// The length of what a request gets.
pub(crate) const ANSWER_BYTES: usize = 1024;

/// The length of a long body, either way.
pub(crate) const LONG_BYTES: usize = 100 << 20;

/// The path of a long answer.
pub(crate) const LONG: &str = "/long";

/// The path whose answer is as long as requests came with an assertion.
pub(crate) const COUNT: &str = "/asserted";

/// A gRPC message of 1 KiB, with its prefix: not compressed, 1024 bytes ("gRPC over HTTP2", Length-Prefixed-Message).
pub(crate) static GRPC: [u8; 5 + ANSWER_BYTES] = {
    let mut message = [b'x'; 5 + ANSWER_BYTES];
    (message[0], message[1], message[2], message[3], message[4]) = (0, 0, 0, 4, 0);
    message
};

const CHUNK: Bytes = Bytes::from_static(&[b'x'; 64 << 10]);
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const ZERO: HeaderValue = HeaderValue::from_static("0");
const WINDOW: u32 = 16 << 20;
