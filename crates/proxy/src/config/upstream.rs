//! How a route chooses among its upstream endpoints, and how it finds out which of them work.

use std::net::SocketAddr;
use std::time::Duration;

use http::HeaderName;
use http::uri::PathAndQuery;

/// How a route uses its endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamSettings {
    /// How an endpoint is chosen.
    pub load_balancing: LoadBalancing,
    /// How endpoints are checked; not at all without.
    pub health_check: Option<HealthCheck>,
    /// Below this share of healthy endpoints, in per cent, all are used as if none were checked.
    pub panic_threshold: u32,
    /// When endpoints that fail are left out; never without.
    pub outlier_detection: Option<OutlierDetection>,
    /// When a request is sent again.
    pub retry: Retry,
    /// Settings of HTTP/2 connections.
    pub http2: UpstreamHttp2,
    /// What the proxy adds so that the upstream takes a request.
    pub credential: Option<Credential>,
    /// How names of endpoints are resolved.
    pub dns: Dns,
}

impl Default for UpstreamSettings {
    fn default() -> Self {
        Self {
            load_balancing: LoadBalancing::RoundRobin,
            health_check: None,
            panic_threshold: 0,
            outlier_detection: Some(OutlierDetection::default()),
            retry: Retry::default(),
            http2: UpstreamHttp2::default(),
            credential: None,
            dns: Dns::default(),
        }
    }
}

/// `load_balancing`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LoadBalancing {
    /// Each in turn, by weight.
    #[default]
    RoundRobin,
    /// The one with the fewest open requests for its weight.
    LeastRequest,
    /// By chance, by weight.
    Random,
    /// The same endpoint for the same caller, for as long as it works.
    ConsistentHash(HashBy),
}

/// What keeps a caller at an endpoint. Where a request does not have it, the client's address does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashBy {
    /// The user.
    User,
    /// The client's address.
    ClientAddress,
    /// The value of a header.
    Header(HeaderName),
}

/// `health_check`: asks each endpoint by itself whether it works.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HealthCheck {
    /// What is asked.
    pub probe: HealthProbe,
    /// From the end of one check to the beginning of the next.
    pub interval: Duration,
    /// At most this is added to the interval, by chance, so that instances do not check all at once.
    pub jitter: Duration,
    /// A check that takes longer has failed.
    pub timeout: Duration,
    /// So many good checks in a row bring an endpoint back.
    pub healthy_threshold: u32,
    /// So many failed checks in a row take an endpoint out.
    pub unhealthy_threshold: u32,
}

/// What an active check asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HealthProbe {
    /// A `GET`; good from 200 to 399.
    Http {
        /// The path, and a query.
        path: PathAndQuery,
        /// `Host`; the endpoint's without.
        host: Option<String>,
    },
    /// A connection; on `https`, with its handshake.
    Tcp,
    /// `grpc.health.v1.Health/Check`; good where it answers `SERVING`.
    Grpc {
        /// The service asked about; empty for the server as a whole.
        service: String,
    },
}

/// `outlier_detection`: leaves out endpoints that fail requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutlierDetection {
    /// Failures in a row that eject an endpoint.
    pub consecutive_failures: u32,
    /// How long the first ejection lasts; the second lasts twice as long, and so on.
    pub ejection_time: Duration,
    /// The longest that an ejection lasts.
    pub max_ejection_time: Duration,
}

impl Default for OutlierDetection {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            ejection_time: Duration::from_secs(30),
            max_ejection_time: Duration::from_secs(300),
        }
    }
}

/// `retry`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How often a request is tried again.
    pub attempts: u32,
    /// After what.
    pub on: Vec<RetryOn>,
    /// How long one try may take until the response's headers, where the request can be sent again.
    pub per_try_timeout: Option<Duration>,
    /// Retries for a hundred requests.
    pub budget: u32,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 1, on: vec![RetryOn::ConnectFailure], per_try_timeout: None, budget: 20 }
    }
}

/// After what a request is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryOn {
    /// No endpoint could be connected to; nothing was sent.
    ConnectFailure,
    /// The endpoint says that it did not look at the request (RFC 9113 §8.7); any method can be sent again.
    RefusedStream,
    /// The connection broke off before the response.
    Reset,
    /// 502.
    BadGateway,
    /// 503.
    ServiceUnavailable,
    /// 504, or `per_try_timeout` passed.
    GatewayTimeout,
}

/// `http2` of a route: connections of HTTP/2 to its endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamHttp2 {
    /// Bytes that an endpoint may send on a stream before we read.
    pub initial_stream_window_size: u32,
    /// Bytes that an endpoint may send on a connection before we read.
    pub initial_connection_window_size: u32,
    /// Requests that share a connection; no more than the endpoint allows.
    pub max_concurrent_streams: Option<usize>,
    /// How often a connection with open requests is asked for a sign of life.
    pub keepalive_interval: Option<Duration>,
}

impl Default for UpstreamHttp2 {
    /// Windows are far apart on purpose: h2 takes a connection for an attack when unread small frames on it exceed half of
    /// the connection's window, and one gRPC stream whose reader stalls can leave 250 times a sixth of its own window.
    /// Users share these connections, so one of them must not end it for the others. gRPC servers close connections that
    /// ask for a sign of life more often than every five minutes (`too_many_pings`). See
    /// `docs/adr/0007-own-upstream-pools.md`.
    fn default() -> Self {
        Self {
            initial_stream_window_size: 256 * 1024,
            initial_connection_window_size: 256 * 1024 * 1024,
            max_concurrent_streams: None,
            keepalive_interval: Some(Duration::from_secs(310)),
        }
    }
}

/// `credential`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The header that carries it.
    pub header: HeaderName,
    /// What it is.
    pub source: CredentialSource,
}

/// What a credential is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialSource {
    /// This value.
    Fixed(identity::Secret),
    /// A token that is fetched.
    Token(authenticate::ClientCredentialsConfig),
}

/// `dns`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Dns {
    /// Which addresses are used.
    pub mode: DnsMode,
    /// Who is asked; those whom the system asks without.
    pub resolver: Option<SocketAddr>,
}

/// Which addresses of a name are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DnsMode {
    /// All of both families.
    #[default]
    Auto,
    /// Those of IPv4.
    V4Only,
    /// Those of IPv6.
    V6Only,
    /// Those of IPv4 where there are any, else those of IPv6.
    V4Preferred,
}
