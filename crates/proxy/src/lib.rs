//! Terminates, routes, enforces and forwards: the only crate that moves bytes.
//!
//! Start reading at `pipeline.rs`: the phases of one request, in order.

mod pipeline;

mod activity;
mod client_places;
mod connection;
mod date;
mod entrance;
mod http1;
mod http2;
mod idle;
mod incoming;
mod interim;
mod listener;
mod open_places;
mod operator_tls;
mod proxy_protocol;
mod streams;
mod tls;
mod worker;

mod assert_identity;
mod caller;
mod client_address;
mod cors_preflight;
mod decide_again;
mod facts;
mod forward;
mod inputs;
mod max_forwards;
mod own_endpoints;
mod passthrough;
mod rate_limit;
mod respond;
mod rewrite;
mod route;
mod router;
mod sanitize;
mod upstream;
mod via;
mod websocket_origin;

mod body;
mod boxed;
mod config;
mod error;
mod exchange;
mod expiry;
mod metrics;
mod request_id;
mod seldom;
mod snapshot;

#[cfg(test)]
mod test_support;

pub use config::rewrite::{Answer, HeaderEdits, PathRewrite, Rewrites};
pub use config::upstream::{
    Credential, CredentialSource, Dns, DnsMode, HashBy, HealthCheck, HealthProbe, LoadBalancing, OutlierDetection,
    Retry, RetryOn, UpstreamHttp2, UpstreamSettings,
};
pub use config::{
    Authentication, Certificate, ClientAuth, ClientAuthMode, Config, CorsPreflight, EncodedSlashes, Endpoint,
    EndpointScheme, ForwardedHeader, Host, HostHeader, Http2, IdentityClaim, IdentityHeaders, KeepInput, Limits,
    Listener, ListenerTls, Path, ProxyProtocol, RateLimit, RateLimitBy, RecordInputs, Route, TcpEndpoint, Timeouts,
    TlsRoute, TlsVersion, Underscores, UpstreamProtocol, UpstreamTls, WebSockets,
};
pub use entrance::Entrances;
pub use error::{BuildError, ServeError};
pub use listener::Server;
pub use metrics::Metrics;
pub use operator_tls::{OperatorCertificate, OperatorTls};
pub use router::{Router, grpc_of, read_client_certificate};
pub use sanitize::is_reserved;
pub use snapshot::{Parts, Snapshot};
pub use tls::CertificateNames;
pub use upstream::{EndpointState, EndpointView, UpstreamView};
