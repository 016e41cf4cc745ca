//! Terminates, routes, enforces and forwards: the only crate that moves bytes.
//!
//! Start reading at `pipeline.rs`: the phases of one request, in order.

mod config;
mod error;
mod listener;
mod metrics;
mod snapshot;

mod assert_identity;
mod client_address;
mod route;
mod sanitize;

mod forward;
mod upgrade;
mod upstream;

pub use config::{
    Authentication, Certificate, Config, EncodedSlashes, Endpoint, EndpointScheme, ForwardedHeader, Host, HostHeader,
    Http2, IdentityClaim, IdentityHeaders, Limits, Listener, ListenerTls, Path, Route, Timeouts, TlsVersion,
    Underscores, UpstreamProtocol, UpstreamTls, WebSockets,
};
pub use error::{BuildError, ServeError};
pub use listener::Server;
pub use metrics::Metrics;
pub use snapshot::Snapshot;
