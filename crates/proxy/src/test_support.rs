//! Starts a whole proxy on loopback for tests: real sockets, real policies, a memory store and an upstream that echoes.

pub(crate) mod dns;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use audit::Log;
use authenticate::{Authenticator, ClaimNames, KeyTexts, Keys, Provider, SessionConfig, Store, StoreLocation};
use authorize::{Authorizer, Guard, Mode, RouteRules, Rule, RuleRef};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use identity::{Origin, Scheme, SystemClock};
use pages::{Branding, Look};
use prometheus_client::registry::Registry;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::client_address::Told;
use crate::{
    Authentication, BuildError, Config, CorsPreflight, EncodedSlashes, Endpoint, EndpointScheme, Entrances,
    ForwardedHeader, Host, HostHeader, Http2, Limits, Listener, Metrics, Parts, Path, ProxyProtocol, RecordInputs,
    Rewrites, Route, Server, Snapshot, Timeouts, TlsRoute, UpstreamProtocol, UpstreamSettings, UpstreamTls, WebSockets,
};

/// A running proxy.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    pub(crate) server: Arc<Server>,
    pub(crate) folder: TempDir,
    metrics: Arc<Metrics>,
    registry: Registry,
    log: Log,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
}

/// What a proxy is started with.
pub(crate) struct Setup {
    pub(crate) listener: Listener,
    pub(crate) routes: Vec<(Route, Vec<Rule>, Vec<Rule>)>,
    pub(crate) tls_routes: Vec<(TlsRoute, Vec<Rule>)>,
    pub(crate) sign_in: Option<Origin>,
    pub(crate) drain: Duration,
    pub(crate) mode: Mode,
}

impl Setup {
    pub(crate) fn cleartext() -> Self {
        Self {
            listener: listener(),
            routes: Vec::new(),
            tls_routes: Vec::new(),
            sign_in: None,
            drain: Duration::from_secs(5),
            mode: Mode::Enforce,
        }
    }

    pub(crate) fn route(mut self, route: Route, allow: &str) -> Self {
        self.routes.push((route, vec![rule("allowed", allow, None)], Vec::new()));
        self
    }

    pub(crate) fn denying(mut self, deny: &str, message: Option<&str>) -> Self {
        self.routes.last_mut().unwrap().2.push(rule("denied", deny, message));
        self
    }

    pub(crate) fn tls_route(mut self, route: TlsRoute, allow: &str) -> Self {
        self.tls_routes.push((route, vec![rule("allowed", allow, None)]));
        self
    }

    pub(crate) fn sign_in(mut self, origin: &str) -> Self {
        self.sign_in = Some(origin.parse().unwrap());
        self
    }

    pub(crate) fn start(self) -> Proxy {
        let folder = TempDir::new().unwrap();
        let log = Log::open(&audit::Config { dir: folder.path().join("audit"), ..audit::Config::default() }).unwrap();
        let mut registry = Registry::default();
        let metrics = Arc::new(Metrics::register(&mut registry));
        let look = Arc::new(Look::new(Branding::default()));
        let rules = self.routes.iter().map(|(route, allow, deny)| RouteRules {
            route: route.name.clone(),
            allow: allow.clone(),
            deny: deny.clone(),
            mode: self.mode,
            ..RouteRules::default()
        });
        let rules = rules.chain(self.tls_routes.iter().map(|(route, allow)| RouteRules {
            route: route.name.clone(),
            allow: allow.clone(),
            ..RouteRules::default()
        }));
        let policies =
            authorize::Config { routes: rules.collect(), guard: Guard::default(), ..authorize::Config::default() };
        let (authorizer, _) = Authorizer::compile(&policies).unwrap();
        let authenticator = self.sign_in.clone().map(|url| authenticator(url, &look));
        let config = Config {
            revision: "r1".into(),
            record_inputs: RecordInputs::default(),
            authenticate: self.sign_in,
            routes: self.routes.into_iter().map(|(route, ..)| route).collect(),
            tls_routes: self.tls_routes.into_iter().map(|(route, _)| route).collect(),
        };
        let snapshot = snapshot(vec![self.listener], config, authorizer, authenticator, log.clone(), &metrics, None);
        let server = Arc::new(Server::bind(snapshot.unwrap(), Vec::new()).unwrap());
        server.register(&mut registry);
        let (stop, stopped) = oneshot::channel();
        let (serving, drain) = (Arc::clone(&server), self.drain);
        let serving = async move {
            let shutdown = async {
                drop(stopped.await);
                drain
            };
            serving.serve(shutdown).await;
        };
        let address = server.addresses()[0].1;
        Proxy { address, server, folder, metrics, registry, log, stop: Some(stop), serving: tokio::spawn(serving) }
    }
}

/// Builds one configuration.
pub(crate) fn snapshot(
    listeners: Vec<Listener>,
    config: Config,
    authorizer: Authorizer,
    authenticator: Option<Arc<Authenticator>>,
    audit: Log,
    metrics: &Arc<Metrics>,
    before: Option<&Snapshot>,
) -> Result<Snapshot, Vec<BuildError>> {
    let entrances = Entrances::load(listeners, None, metrics, before.map(Snapshot::entrances)).unwrap();
    let look = Arc::new(Look::new(Branding::default()));
    let clock = Arc::new(SystemClock);
    let parts = Parts { entrances, authorizer, authenticator, audit, look, clock, tracer: None };
    Snapshot::build(config, parts, metrics, before)
}

impl Proxy {
    /// Sends one request over HTTP/1.1 on a connection of its own.
    pub(crate) async fn send(&self, request: &str) -> Answer {
        send_raw(TcpStream::connect(self.address).await.unwrap(), request).await
    }

    /// Gets a path of a host.
    pub(crate) async fn get(&self, host: &str, path: &str, more: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n")).await
    }

    /// Returns the metrics as text.
    pub(crate) fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }

    /// Reads certificate files again.
    pub(crate) fn reload_certificates(&self) -> Result<(), Vec<crate::ServeError>> {
        self.server.snapshot().reload_certificates()
    }

    /// Puts another configuration in force: one with no rules.
    pub(crate) fn replace(&self, config: Config) {
        let before = self.server.snapshot();
        let (authorizer, _) = Authorizer::compile(&authorize::Config::default()).unwrap();
        let listeners = before.entrances.iter().map(|entrance| entrance.config.clone()).collect();
        let next = snapshot(listeners, config, authorizer, None, self.log.clone(), &self.metrics, Some(&before));
        self.server.exchange(next.unwrap(), Duration::ZERO).unwrap();
    }

    /// Stops, and returns the audit records.
    pub(crate) async fn stop(mut self) -> Vec<Value> {
        let _ = self.stop.take().unwrap().send(());
        self.serving.await.unwrap();
        self.log.close();
        audit::test_util::records(&self.folder.path().join("audit")).unwrap()
    }

    /// Begins to stop, without waiting.
    pub(crate) fn begin_to_stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    /// Waits until all has ended.
    pub(crate) async fn stopped(self) {
        self.serving.await.unwrap();
    }
}

/// An answer over HTTP/1.1.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// Sends a request as it is and reads until the other side closes.
pub(crate) async fn send_raw(
    mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    request: &str,
) -> Answer {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut read = Vec::new();
    let _ = stream.read_to_end(&mut read).await;
    parse(&String::from_utf8_lossy(&read))
}

fn parse(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).map_or(0, |status| status.parse().unwrap());
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        headers.append(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
    }
    Answer { status, headers, body: body.to_owned() }
}

/// Starts an upstream that answers with what it was asked, as JSON; `/set-cookie` sets two cookies, `/status/N` answers
/// with that status, `/hang` never answers.
pub(crate) async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            server.http1().keep_alive(true);
            tokio::spawn(async move {
                let _ = server.serve_connection(TokioIo::new(stream), service_fn(echoed)).await;
            });
        }
    });
    address
}

async fn echoed(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let mut response = Response::new(Full::default());
    if parts.uri.path() == "/hang" {
        std::future::pending::<()>().await;
    }
    if let Some(status) = parts.uri.path().strip_prefix("/status/") {
        *response.status_mut() = StatusCode::from_bytes(status.as_bytes()).unwrap();
    }
    if parts.uri.path() == "/set-cookie" {
        for cookie in ["theirs=1; Path=/", "__Host-portcullis=stolen; Path=/; Secure", "portcullis=stolen; Path=/"] {
            response.headers_mut().append("set-cookie", cookie.parse().unwrap());
        }
    }
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let headers: Vec<_> = parts
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
        .collect();
    let echo = serde_json::json!({
        "method": parts.method.as_str(),
        "uri": parts.uri.to_string(),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    });
    *response.body_mut() = Full::from(echo.to_string());
    Ok(response)
}

/// Opens an HTTP/2 connection without TLS.
pub(crate) async fn http2(address: SocketAddr) -> hyper::client::conn::http2::SendRequest<Empty<Bytes>> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// What an upstream is told of a request for a host.
pub(crate) fn told(host: &'static str) -> Told {
    let (client, id) = (HeaderValue::from_static("203.0.113.9"), HeaderValue::from_static("0198"));
    Told::new(client, Scheme::Https, HeaderValue::from_static(host), None, id)
}

/// A listener on a free port of loopback.
pub(crate) fn listener() -> Listener {
    Listener {
        name: "test".into(),
        address: "127.0.0.1:0".parse().unwrap(),
        tls: None,
        passthrough: false,
        http_redirect: false,
        proxy_protocol: ProxyProtocol::Off,
        trusted_proxies: Vec::new(),
        forwarded_header: ForwardedHeader::XForwardedFor,
        http2: Http2::default(),
        limits: Limits::default(),
    }
}

/// A route from `http://HOST` that asks for no sign-in.
pub(crate) fn route(host: &str, to: SocketAddr) -> Route {
    Route {
        name: host.split('.').next().unwrap().into(),
        scheme: Scheme::Http,
        host: Host::Exact(host.into()),
        port: 80,
        tunnel: None,
        path: Path::Any,
        methods: Vec::new(),
        to: vec![Endpoint { scheme: EndpointScheme::Http, host: to.ip().to_string(), port: to.port(), weight: 1 }],
        upstream_protocol: UpstreamProtocol::FromScheme,
        upstream_tls: UpstreamTls::default(),
        upstream: UpstreamSettings::default(),
        host_header: HostHeader::Upstream,
        authenticate: Authentication::None,
        provider: None,
        step_up: None,
        identity: None,
        timeouts: Timeouts::default(),
        encoded_slashes: EncodedSlashes::Auto,
        cors_preflight: CorsPreflight::Deny,
        websockets: WebSockets::SameOrigin,
        max_request_body: None,
        rate_limit: None,
        rewrites: Rewrites::default(),
    }
}

/// An address where nobody listens.
pub(crate) async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

/// Writes a certificate for names, signed by itself, and its key.
pub(crate) fn certificate(folder: &FilePath, file: &str, names: &[&str]) -> crate::Certificate {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let files = crate::Certificate {
        cert_file: folder.join(format!("{file}.pem")),
        key_file: folder.join(format!("{file}.key")),
    };
    std::fs::write(&files.cert_file, made.cert.pem()).unwrap();
    std::fs::write(&files.key_file, made.signing_key.serialize_pem()).unwrap();
    files
}

fn rule(name: &str, when: &str, message: Option<&str>) -> Rule {
    Rule { origin: RuleRef(0), name: name.into(), when: when.into(), message: message.map(Into::into) }
}

fn authenticator(url: Origin, look: &Arc<Look>) -> Arc<Authenticator> {
    let store = Arc::new(Store::open(&StoreLocation::Memory).unwrap());
    let keys = Arc::new(Keys::load(&KeyTexts::default(), &store).unwrap());
    let provider = Provider {
        id: identity::ProviderId::new("corp").unwrap(),
        name: "Corp".into(),
        issuer: identity::Issuer::new("https://idp.example.com").unwrap(),
        client_id: "portcullis".into(),
        client_secret: None,
        scopes: None,
        extra_params: Vec::new(),
        claims: ClaimNames::default(),
        allowed_email_domains: Vec::new(),
        require_verified_email: true,
        ca_file: None,
    };
    let config = authenticate::Config {
        url,
        providers: vec![provider],
        session: SessionConfig::default(),
        look: Arc::clone(look),
    };
    Arc::new(Authenticator::new(config, store, keys, Arc::new(SystemClock)).unwrap())
}
