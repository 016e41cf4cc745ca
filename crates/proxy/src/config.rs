//! What the proxy is built from: listeners and routes, checked and with every default filled in.

pub(crate) mod rewrite;
pub(crate) mod upstream;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use authenticate::StepUp;
use identity::{Origin, ProviderId, Scheme};
use ipnet::IpNet;

pub(crate) use upstream::{
    Dns, HashBy, HealthCheck, HealthProbe, LoadBalancing, OutlierDetection, Retry, RetryOn, UpstreamHttp2,
    UpstreamSettings,
};

/// Routes and what answers of our own need; listeners are bound apart, because they outlive a configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The hash of the configuration, as the audit record names it.
    pub revision: String,
    /// `authenticate.url`: its host answers our own paths even where no route has it.
    pub authenticate: Option<Origin>,
    /// The routes, in the order of the file; [`authorize::Config::routes`] has the same order.
    pub routes: Vec<Route>,
    /// The routes of TLS connections; their policies follow those of `routes`.
    pub tls_routes: Vec<TlsRoute>,
    /// What is kept of inputs that rules read and audit records have no field for.
    pub record_inputs: RecordInputs,
}

/// What is kept of inputs that rules read and audit records have no field for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordInputs {
    /// Patterns of names, such as `request.headers.x-*`; the longest decides.
    pub patterns: Vec<(String, KeepInput)>,
}

/// How an input is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepInput {
    /// Not at all.
    None,
    /// As a keyed hash.
    Hashed,
    /// Only whether it was there.
    Redacted,
    /// As it is.
    Full,
}

/// One listener.
#[derive(Clone, Debug)]
pub struct Listener {
    /// The name in logs and metrics.
    pub name: String,
    /// What is bound; port 0 picks a free one.
    pub address: SocketAddr,
    /// TLS; cleartext without.
    pub tls: Option<ListenerTls>,
    /// Passes TLS connections on undecrypted, by [`Config::tls_routes`].
    pub passthrough: bool,
    /// Answers every request with 308 to the same URL on https.
    pub http_redirect: bool,
    /// Whether trusted proxies send a PROXY header.
    pub proxy_protocol: ProxyProtocol,
    /// Networks whose PROXY and forwarding headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The header read from trusted proxies.
    pub forwarded_header: ForwardedHeader,
    /// HTTP/2 settings.
    pub http2: Http2,
    /// Bounds.
    pub limits: Limits,
}

/// TLS of a listener.
#[derive(Clone, Debug)]
pub struct ListenerTls {
    /// Chosen by SNI, exact name before wildcard; the first serves an unknown name. Never empty.
    pub certificates: Vec<Certificate>,
    /// The oldest version accepted.
    pub min_version: TlsVersion,
    /// Certificates of clients; none are asked for without.
    pub client_auth: Option<ClientAuth>,
}

/// How clients show certificates. The files are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAuth {
    /// Whether they must.
    pub mode: ClientAuthMode,
    /// The authorities believed, PEM.
    pub ca_file: PathBuf,
    /// Revocation lists, PEM: one of each authority in a chain, and none out of date.
    pub crl_file: Option<PathBuf>,
}

/// Whether a client must show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuthMode {
    /// It may: policies see whether it did. A bad one ends the handshake all the same.
    Request,
    /// It must.
    Require,
}

/// A certificate chain and its key; both files are watched.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Certificate {
    /// PEM, leaf first.
    pub cert_file: PathBuf,
    /// PEM: PKCS #8, PKCS #1 or SEC 1.
    pub key_file: PathBuf,
}

/// A TLS version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[default]
    V1_2,
    /// TLS 1.3.
    V1_3,
}

/// The header that trusted proxies name the client in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// A header that holds one address.
    Single(http::HeaderName),
    /// None is believed.
    None,
}

/// Whether a PROXY header comes before everything else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// Never.
    #[default]
    Off,
    /// From trusted proxies always; others are served without.
    Accept,
    /// Always; whoever may not send one is not served.
    Require,
}

/// HTTP/2 settings of a listener.
#[derive(Clone, Debug)]
pub struct Http2 {
    /// Streams a client may have open at once.
    pub max_concurrent_streams: u32,
    /// Bytes a client may send on a stream before we read.
    pub initial_stream_window_size: u32,
    /// Bytes a client may send on a connection before we read. Wide on purpose: see `docs/adr` on stalled streams.
    pub initial_connection_window_size: u32,
    /// Bytes of one header list, decompressed (RFC 9113 §6.5.2).
    pub max_header_list_size: u32,
    /// How often a client is pinged.
    pub keepalive_interval: Duration,
}

impl Default for Http2 {
    fn default() -> Self {
        Self {
            max_concurrent_streams: 200,
            initial_stream_window_size: 256 * 1024,
            initial_connection_window_size: 64 * 1024 * 1024,
            max_header_list_size: 64 * 1024,
            keepalive_interval: Duration::from_secs(60),
        }
    }
}

/// Bounds of a listener.
#[derive(Clone, Debug)]
pub struct Limits {
    /// From the first byte of a request (or the end of the handshake) to the end of its headers.
    pub header_timeout: Duration,
    /// A connection without a request is closed after this.
    pub idle_timeout: Duration,
    /// Connections at once.
    pub max_connections: usize,
    /// Connections of one client at once; those of trusted proxies are not counted.
    pub max_connections_per_client: usize,
    /// Bytes of a request's headers, over HTTP/1.1.
    pub max_header_bytes: usize,
    /// TLS handshake.
    pub handshake_timeout: Duration,
    /// Header names with an underscore.
    pub underscore_headers: Underscores,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(300),
            max_connections: 65_536,
            max_connections_per_client: 8192,
            max_header_bytes: 64 * 1024,
            handshake_timeout: Duration::from_secs(10),
            underscore_headers: Underscores::Drop,
        }
    }
}

/// What happens to header names with an underscore, which some apps take for a hyphen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Underscores {
    /// They are removed.
    #[default]
    Drop,
    /// The request gets 400.
    Reject,
    /// They pass, save those that stand for a header that we remove or set.
    Allow,
}

/// One route.
#[derive(Clone, Debug)]
pub struct Route {
    /// Identifies the route in audit, metrics and policies.
    pub name: String,
    /// The scheme of `from`: requests that arrive by the other do not match.
    pub scheme: Scheme,
    /// The host of `from`.
    pub host: Host,
    /// The port of `from`: part of the URLs we make, not of matching (a load balancer may map ports). Of a tunnel, the one
    /// where the pages of its host are.
    pub port: u16,
    /// Opens tunnels for each `CONNECT` that names its host and this port, and takes no other request.
    pub tunnel: Option<u16>,
    /// Which paths.
    pub path: Path,
    /// Which methods; empty for any.
    pub methods: Vec<String>,
    /// Where to; all of one scheme. Empty only where `rewrites` has the answer.
    pub to: Vec<Endpoint>,
    /// How upstreams are spoken to.
    pub upstream_protocol: UpstreamProtocol,
    /// TLS towards the upstream.
    pub upstream_tls: UpstreamTls,
    /// How endpoints are chosen and watched.
    pub upstream: UpstreamSettings,
    /// The `Host` sent upstream.
    pub host_header: HostHeader,
    /// Whether somebody must have signed in.
    pub authenticate: Authentication,
    /// The provider that must have signed the user in; any without.
    pub provider: Option<ProviderId>,
    /// How recent and strong the sign-in must be; any without.
    pub step_up: Option<StepUp>,
    /// What the upstream is told of the user; `None` turns it off (headers from downstream are removed all the same).
    pub identity: Option<IdentityHeaders>,
    /// Time limits.
    pub timeouts: Timeouts,
    /// Overrides what a host does with encoded slashes.
    pub encoded_slashes: EncodedSlashes,
    /// Whether CORS preflights need an allow rule.
    pub cors_preflight: CorsPreflight,
    /// Who may open WebSockets.
    pub websockets: WebSockets,
    /// Bytes of a request's body; any without.
    pub max_request_body: Option<u64>,
    /// Requests of one user or address.
    pub rate_limit: Option<RateLimit>,
    /// What is changed on the way, and what is answered without an upstream.
    pub rewrites: rewrite::Rewrites,
}

/// A route of TLS connections, by the server name that they ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsRoute {
    /// Identifies the route in audit, metrics and policies.
    pub name: String,
    /// Which server names.
    pub host: Host,
    /// Where to. Never empty.
    pub to: Vec<TcpEndpoint>,
    /// For a connection to one endpoint.
    pub connect: Duration,
    /// How names of endpoints are resolved.
    pub dns: Dns,
}

/// An endpoint of TCP connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpEndpoint {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// How many requests one user or address may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// So many, at least one.
    pub requests: u32,
    /// In so long.
    pub period: Duration,
    /// Whose requests are counted together.
    pub by: RateLimitBy,
}

/// Whose requests are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimitBy {
    /// A user's; an address' where nobody has signed in.
    User,
    /// An address'; of IPv6 a /64's.
    Client,
    /// Each user's and each address', and both must have room.
    Both,
}

/// The host of a route.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// This host: lower case, no trailing dot.
    Exact(String),
    /// One label in front of this suffix: `*.example.com` is `example.com` here.
    Wildcard(String),
}

/// The paths of a route.
#[derive(Clone, Debug)]
pub enum Path {
    /// All.
    Any,
    /// This one.
    Exact(String),
    /// This one and what lies below, by segment.
    Prefix(String),
    /// Those that match as a whole.
    Regex(regex::Regex),
}

/// One upstream endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// How it is reached.
    pub scheme: EndpointScheme,
    /// Host name or address; of a Unix socket the absolute path.
    pub host: String,
    /// Port; 0 for a Unix socket.
    pub port: u16,
    /// Its share of the requests, beside those of the others. Never 0.
    pub weight: u32,
}

/// The scheme of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndpointScheme {
    /// Cleartext HTTP.
    Http,
    /// HTTP over TLS.
    Https,
    /// Cleartext HTTP/2 with prior knowledge.
    H2c,
    /// HTTP/1.1 over a Unix socket.
    Unix,
    /// Whatever its client speaks: the end of a tunnel.
    Tcp,
}

/// `upstream_protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamProtocol {
    /// From the scheme: HTTP/1.1 for `http` and `unix`, HTTP/2 for `h2c`, ALPN for `https`.
    FromScheme,
    /// For `http`, HTTP/2 where the endpoint shows that it speaks it, else HTTP/1.1; otherwise from the scheme.
    Auto,
    /// Only HTTP/1.1.
    Http1,
    /// Only HTTP/2 over TLS.
    Http2,
    /// HTTP/2 without TLS, prior knowledge.
    H2c,
    /// Only HTTP/3.
    Http3,
}

/// TLS towards an upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct UpstreamTls {
    /// The authorities believed; else the system's.
    pub ca_file: Option<PathBuf>,
    /// Our certificate and key.
    pub client_certificate: Option<Certificate>,
    /// SNI and the name verified; else the endpoint's host.
    pub server_name: Option<String>,
    /// Believe any certificate. Warned about at every load.
    pub danger_skip_verify: bool,
}

/// The `Host` sent upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostHeader {
    /// The endpoint's.
    Upstream,
    /// The one that was asked for.
    Preserve,
    /// This one.
    Rewrite(String),
}

/// `authenticate` of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// Somebody must be signed in.
    Required,
    /// A session is used where there is one.
    Optional,
    /// Sessions are not looked at.
    None,
}

/// What the upstream is told of the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityHeaders {
    /// The header of the assertion.
    pub assertion_header: http::HeaderName,
    /// Claims as plain headers.
    pub headers: Vec<(http::HeaderName, IdentityClaim)>,
}

impl IdentityHeaders {
    /// Returns the names of all of them.
    pub fn names(&self) -> impl Iterator<Item = &http::HeaderName> {
        std::iter::once(&self.assertion_header).chain(self.headers.iter().map(|(name, _)| name))
    }
}

/// What a plain identity header holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityClaim {
    /// `user.id`.
    Id,
    /// The e-mail address.
    Email,
    /// The display name.
    Name,
    /// The groups, as a JSON array, so that no group's name can make two of it.
    Groups,
    /// Any claim, by dotted path; texts as they are, anything else as JSON.
    Claim(String),
}

/// Time limits of a route. `None` is no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP and TLS to the upstream.
    pub connect: Duration,
    /// From the end of the request to the response's headers; never for gRPC.
    pub response_headers: Option<Duration>,
    /// Without a byte in either direction, tunnels included; never for WebSocket, gRPC and server-sent events.
    pub idle: Option<Duration>,
    /// The whole exchange.
    pub total: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            response_headers: Some(Duration::from_secs(60)),
            idle: Some(Duration::from_secs(300)),
            total: None,
        }
    }
}

/// What happens to an encoded slash or backslash in a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodedSlashes {
    /// 400 where a path decides something on that host; else kept.
    Auto,
    /// 400.
    Reject,
    /// Kept as it came.
    Keep,
}

/// What happens to a CORS preflight, which no browser sends credentials with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CorsPreflight {
    /// It is a request like any other.
    #[default]
    Deny,
    /// It goes to the upstream without identity, unless a deny rule that needs nobody refuses it.
    Pass,
}

/// Which pages may open WebSockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebSockets {
    /// Pages of the route's own origin; callers that send no `Origin` (they are no browsers).
    SameOrigin,
    /// Pages of these origins.
    Origins(Vec<Origin>),
    /// Any.
    Any,
    /// None.
    Off,
}
