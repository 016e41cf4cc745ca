//! Requests through real sockets: a client, our forwarding, and upstreams that behave or do not.

mod balancing;
mod grpc;
mod http3;
mod misbehaving;
mod names;
mod patience;
mod pooling;
mod probing;
mod retrying;
mod semantics;
mod tls;
mod transfers;
mod unix_socket;
mod websocket;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body::{Body, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use identity::Scheme;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Forward, Tries, Upgrade, dispatch};
use crate::http1::Tunnelling;
use crate::test_support::told;
use crate::upstream::{Cluster, Pools, Progress, TrailerRules};
use crate::{
    Authentication, CorsPreflight, EncodedSlashes, Endpoint, EndpointScheme, Host, HostHeader, Path, Rewrites, Route,
    Timeouts, UpstreamProtocol, UpstreamSettings, UpstreamTls, WebSockets,
};

/// Why a body broke off.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Broken(String);

/// What a client of HTTP/2 takes of a body without reading.
const WINDOW: usize = 64 * 1024;

fn broken(error: impl std::fmt::Display) -> Broken {
    Broken(error.to_string())
}

type AnyBody = UnsyncBoxBody<Bytes, Broken>;

/// What HTTP is spoken on a test's socket.
#[derive(Clone, Copy, PartialEq)]
enum Http {
    One,
    Two,
}

fn empty() -> AnyBody {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

fn full(text: impl Into<Bytes>) -> AnyBody {
    Full::new(text.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A body fed by a test; dropping the sender ends it.
fn fed() -> (mpsc::UnboundedSender<Frame<Bytes>>, AnyBody) {
    struct Fed(mpsc::UnboundedReceiver<Frame<Bytes>>);
    impl Body for Fed {
        type Data = Bytes;
        type Error = Broken;
        fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
            self.0.poll_recv(cx).map(|frame| frame.map(Ok))
        }
    }
    let (sender, receiver) = mpsc::unbounded_channel();
    (sender, Fed(receiver).boxed_unsync())
}

fn data(text: impl Into<Bytes>) -> Frame<Bytes> {
    Frame::data(text.into())
}

fn route(scheme: EndpointScheme, addresses: &[SocketAddr]) -> Route {
    Route {
        name: "app".to_owned(),
        scheme: Scheme::Https,
        host: Host::Exact("app.example.com".to_owned()),
        port: 443,
        tunnel: None,
        path: Path::Any,
        methods: Vec::new(),
        to: addresses
            .iter()
            .map(|address| Endpoint { scheme, host: address.ip().to_string(), port: address.port(), weight: 1 })
            .collect(),
        upstream_protocol: UpstreamProtocol::FromScheme,
        upstream_tls: UpstreamTls::default(),
        upstream: UpstreamSettings::default(),
        host_header: HostHeader::Upstream,
        authenticate: Authentication::None,
        provider: None,
        step_up: None,
        identity: None,
        timeouts: Timeouts { connect: Duration::from_secs(5), ..Timeouts::default() },
        encoded_slashes: EncodedSlashes::Auto,
        cors_preflight: CorsPreflight::Deny,
        websockets: WebSockets::Any,
        max_request_body: None,
        rate_limit: None,
        rewrites: Rewrites::default(),
    }
}

/// An upstream that serves HTTP as it should.
struct Upstream {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Upstream {
    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn upstream<F, R>(http: Http, handler: F) -> Upstream
where
    F: Fn(Request<Incoming>) -> R + Clone + Send + 'static,
    R: Future<Output = Response<AnyBody>> + Send + 'static,
{
    limited_upstream(http, 200, handler).await
}

async fn limited_upstream<F, R>(http: Http, streams: u32, handler: F) -> Upstream
where
    F: Fn(Request<Incoming>) -> R + Clone + Send + 'static,
    R: Future<Output = Response<AnyBody>> + Send + 'static,
{
    raw_upstream(move |tcp| serve(TokioIo::new(tcp), http, streams, handler.clone())).await
}

/// An upstream that does what `each` does with each connection.
async fn raw_upstream<F, R>(each: F) -> Upstream
where
    F: Fn(TcpStream) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            tcp.set_nodelay(true).unwrap();
            tokio::spawn(each(tcp));
        }
    });
    Upstream { address, connections }
}

async fn serve<I, F, R>(io: TokioIo<I>, http: Http, streams: u32, handler: F)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(Request<Incoming>) -> R + Clone + Send + 'static,
    R: Future<Output = Response<AnyBody>> + Send + 'static,
{
    let service = service_fn(move |request| {
        let response = handler(request);
        async move { Ok::<_, Broken>(response.await) }
    });
    let _ended = match http {
        Http::One => hyper::server::conn::http1::Builder::new().serve_connection(io, service).with_upgrades().await,
        Http::Two => {
            hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .max_concurrent_streams(streams)
                .initial_stream_window_size(256 * 1024)
                .initial_connection_window_size(64 * 1024 * 1024)
                .enable_connect_protocol()
                .serve_connection(io, service)
                .await
        }
    };
}

/// A listener that forwards everything to one cluster.
struct Front {
    address: SocketAddr,
    tunnels: TaskTracker,
    close: CancellationToken,
    served: mpsc::UnboundedReceiver<()>,
}

async fn front(http: Http, route: &Route) -> Front {
    front_of(http, Arc::new(Cluster::build(route, &Pools::default()).unwrap())).await
}

async fn front_of(http: Http, cluster: Arc<Cluster>) -> Front {
    let (tunnels, close) = (TaskTracker::new(), CancellationToken::new());
    let (seen, served) = mpsc::unbounded_channel();
    let (tracker, token) = (tunnels.clone(), close.clone());
    let listening = raw_upstream(move |tcp| {
        let (cluster, tracker, token, seen) = (Arc::clone(&cluster), tracker.clone(), token.clone(), seen.clone());
        serve(TokioIo::new(tcp), http, 200, move |request| {
            let (cluster, tracker, token, seen) = (Arc::clone(&cluster), tracker.clone(), token.clone(), seen.clone());
            async move {
                let answer = answer(&cluster, request, &tracker, token).await;
                let _gone = seen.send(());
                answer
            }
        })
    })
    .await;
    Front { address: listening.address, tunnels, close, served }
}

async fn answer(
    cluster: &Cluster,
    mut request: Request<Incoming>,
    tunnels: &TaskTracker,
    close: CancellationToken,
) -> Response<AnyBody> {
    let upgraded = hyper::upgrade::on(&mut request);
    let (tunnel, tunnelling) = oneshot::channel();
    request.extensions_mut().insert(Tunnelling::new(tunnelling));
    tokio::spawn(async move {
        if let Ok(upgraded) = upgraded.await {
            let _gone = tunnel.send(Box::new(TokioIo::new(upgraded)));
        }
    });
    // As `sanitize` does.
    request.headers_mut().remove("transfer-encoding");
    let headers = request.headers();
    let upgrade = if request.extensions().get::<hyper::ext::Protocol>().is_some() {
        Upgrade::ExtendedConnect
    } else if headers.contains_key("upgrade") {
        Upgrade::WebSocket
    } else {
        Upgrade::None
    };
    let grpc = headers.get("content-type").is_some_and(|value| value == "application/grpc");
    let told = told("app.example.com");
    let progress = (!request.body().is_end_stream()).then(|| Arc::new(Progress::new()));
    let given_up = request.uri().path() == "/given-up";
    let trailers = TrailerRules {
        removed: Arc::new(crate::sanitize::Removed::new([])),
        underscores: crate::Underscores::Drop,
        credential: cluster.credential().map(|credential| Arc::clone(credential.name())),
    };
    let (stop, close) = (&CancellationToken::new(), &close);
    let context = Forward {
        grpc,
        upgrade,
        told: &told,
        tunnels,
        stop,
        close,
        progress,
        hash: None,
        trailers: &trailers,
        trace: None,
        interim: &crate::interim::Interim::default(),
    };
    let mut tries = Tries::default();
    let answer = dispatch(cluster, request.map(crate::incoming::Incoming::Hyper), context, &mut tries).await;
    let last = tries.last();
    match answer {
        // As where a session is revoked in the middle of a stream.
        Ok(_) if given_up => Response::builder().status(204).body(empty()).unwrap(),
        Ok(forwarded) => {
            let mut response = forwarded.response.map(|body| body.map_err(broken).boxed_unsync());
            let told = response.headers_mut();
            let last = last.unwrap();
            told.insert("x-protocol", HeaderValue::from_static(last.protocol));
            told.insert("x-reason", HeaderValue::from_static(last.protocol_reason));
            told.insert("x-attempts", last.attempts.into());
            told.insert("x-endpoint", HeaderValue::from_str(&last.endpoint).unwrap());
            response
        }
        Err(failure) => Response::builder()
            .status(502)
            .header("x-failure", format!("{:?}", failure.kind))
            .header("x-attempts", last.map_or(0, |last| last.attempts))
            .body(full(failure.detail.into_owned()))
            .unwrap(),
    }
}

/// A client's connection to a front.
#[derive(Clone)]
enum Client {
    One(Arc<tokio::sync::Mutex<hyper::client::conn::http1::SendRequest<AnyBody>>>),
    Two(hyper::client::conn::http2::SendRequest<AnyBody>),
}

impl Client {
    async fn connect(http: Http, front: &Front) -> Self {
        let io = TokioIo::new(TcpStream::connect(front.address).await.unwrap());
        match http {
            Http::One => {
                let (sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
                tokio::spawn(connection.with_upgrades());
                Self::One(Arc::new(tokio::sync::Mutex::new(sender)))
            }
            Http::Two => {
                let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
                    .initial_stream_window_size(u32::try_from(WINDOW).unwrap())
                    .initial_connection_window_size(64 * 1024 * 1024)
                    .handshake(io)
                    .await
                    .unwrap();
                tokio::spawn(connection);
                Self::Two(sender)
            }
        }
    }

    async fn try_send(&self, mut request: Request<AnyBody>) -> Result<Response<Incoming>, hyper::Error> {
        match self {
            Self::One(sender) => {
                request.headers_mut().entry("host").or_insert(HeaderValue::from_static("app.example.com"));
                let mut sender = sender.lock().await;
                sender.ready().await?;
                sender.send_request(request).await
            }
            Self::Two(sender) => {
                let path = request.uri().path_and_query().unwrap().clone();
                *request.uri_mut() = format!("http://app.example.com{path}").parse().unwrap();
                sender.clone().send_request(request).await
            }
        }
    }

    async fn send(&self, request: Request<AnyBody>) -> Response<Incoming> {
        self.try_send(request).await.unwrap()
    }

    async fn get(&self, path: &str) -> Response<Incoming> {
        self.send(Request::get(path).body(empty()).unwrap()).await
    }
}

fn header<'a, B>(response: &'a Response<B>, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

async fn text(response: Response<Incoming>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// Reads the failure that a front reports.
async fn failure(response: Response<Incoming>) -> (String, String) {
    let kind = header(&response, "x-failure").to_owned();
    (kind, text(response).await)
}
