//! What stops the proxy from being built or started.

/// What stops a configuration from being built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A file of a listener's or upstream's TLS cannot be used.
    #[error("`{path}`: {reason}")]
    UnusableFile {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// A name that an upstream is to be addressed or verified by is none.
    #[error("route `{route}`: `{name}` is no host name or address that an upstream can have")]
    UnusableUpstreamName {
        /// The route.
        route: String,
        /// The name.
        name: String,
    },
    /// The key under which inputs are hashed can be neither read nor made.
    #[error("the key `inputs.key` beside the audit log cannot be used: {0}")]
    InputKey(std::io::Error),
    /// Two routes match the same requests.
    #[error("route `{second}` can never match: route `{first}` has the same host, path and methods")]
    Unreachable {
        /// The first route.
        first: String,
        /// The second route.
        second: String,
    },
    /// No request has the path of a route.
    #[error("route `{route}`: {reason}")]
    UnusablePath {
        /// The route.
        route: String,
        /// Why, and what to write.
        reason: String,
    },
}

/// What stops a listener from serving.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be bound.
    #[error("listener `{listener}`: cannot bind `{address}`: {source}; {}", remedy(source))]
    Bind {
        /// The listener's name.
        listener: String,
        /// The address.
        address: std::net::SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The threads that serve connections cannot be started.
    #[error("cannot start threads: {0}; raise the limit of processes")]
    Threads(std::io::Error),
    /// The listener's TLS cannot be set up.
    #[error("listener `{listener}`: {source}")]
    Tls {
        /// The listener's name.
        listener: String,
        /// Why.
        source: BuildError,
    },
    /// The files of a route's `upstream_tls` cannot be read again.
    #[error("route `{route}`: {source}")]
    UpstreamTls {
        /// The route's name.
        route: String,
        /// Why.
        source: BuildError,
    },
}

/// Says what to do about an address that cannot be bound.
#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is not exhaustive")]
fn remedy(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => "stop what uses it, or set another `address`",
        std::io::ErrorKind::PermissionDenied => {
            "ports below 1024 need root or the capability CAP_NET_BIND_SERVICE, or set another `address`"
        }
        std::io::ErrorKind::AddrNotAvailable => "this machine has no such address: set one that it has, or `0.0.0.0`",
        _ => "set another `address`",
    }
}
