//! Why an upstream gave no response.

use std::borrow::Cow;
use std::error::Error;
use std::io;

use super::{http1, http3, tls};

/// What went wrong, as the downstream is told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// No connection: the name does not resolve, or nobody listens.
    Connect,
    /// No connection over UDP, where silence is all that tells so.
    Silence,
    /// TLS failed: certificate, version or handshake.
    Tls,
    /// The upstream broke the protocol, or the connection in the middle of an exchange.
    Protocol,
    /// No endpoint is healthy, or there are several and none can be connected to.
    NoHealthyUpstream,
    /// There is no credential for the upstream.
    Credential,
    /// A time limit of the route passed.
    Timeout,
    /// The request's body broke off downstream; the upstream is not to blame.
    ClientBody,
    /// The client spoke before its tunnel was open; the upstream is not to blame.
    ClientAhead,
    /// The rest of the request's body did not come in time; the upstream is not to blame.
    ClientSilent,
    /// The request's body is larger than the route takes; the upstream is not to blame.
    BodyTooLarge,
}

impl FailureKind {
    /// Names it for traces.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Connect | Self::Silence => "connect",
            Self::Tls => "tls",
            Self::Protocol => "protocol",
            Self::NoHealthyUpstream => "unhealthy",
            Self::Credential => "credential",
            Self::Timeout => "timeout",
            Self::ClientBody | Self::ClientAhead | Self::ClientSilent | Self::BodyTooLarge => "body",
        }
    }
}

/// Why a connection failed under an exchange.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionError {
    /// An HTTP/1.1 connection.
    #[error(transparent)]
    Http1(#[from] http1::Broken),
    /// An HTTP/2 connection.
    #[error("http2 error")]
    Http2(#[from] h2::Error),
    /// What answers is no HTTP/2, and was to be.
    #[error("upstream speaks no HTTP/2")]
    NoHttp2,
    /// A connection that was to be upgraded.
    #[error(transparent)]
    Hyper(#[from] hyper::Error),
    /// An HTTP/3 connection, or one stream of it.
    #[error(transparent)]
    Http3(#[from] http3::Broken),
}

/// An exchange that ended without a response.
#[derive(Clone, Debug)]
pub(crate) struct UpstreamFailure {
    /// What went wrong.
    pub(crate) kind: FailureKind,
    /// Why exactly, for the log alone.
    pub(crate) detail: Cow<'static, str>,
}

impl UpstreamFailure {
    pub(crate) fn new(kind: FailureKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, detail: detail.into() }
    }

    /// Reads what a connection said when it failed under a request.
    pub(crate) fn broken(error: &(dyn Error + 'static)) -> Self {
        let (kind, mut detail) = (FailureKind::Protocol, error.to_string());
        let mut source = error.source();
        while let Some(cause) = source {
            if let Some(tls) = cause.downcast_ref::<io::Error>().and_then(tls::reason) {
                return Self::new(FailureKind::Tls, tls);
            }
            detail = format!("{detail}: {cause}");
            source = cause.source();
        }
        Self::new(kind, detail)
    }
}

/// What endpoints said that could not be connected to.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    last: Option<UpstreamFailure>,
    endpoints: u32,
    /// Those that failed in TLS or later, rather than to connect at all.
    others: u32,
    /// Those that kept the caller waiting.
    silent: u32,
}

impl Failures {
    pub(crate) fn add(&mut self, failure: UpstreamFailure) {
        self.endpoints += 1;
        let is_silent = matches!(failure.kind, FailureKind::Timeout | FailureKind::Silence);
        if !(is_silent || failure.kind == FailureKind::Connect) {
            self.others += 1;
        }
        self.silent += u32::from(is_silent);
        self.last = Some(failure);
    }

    /// Returns whether a second round may do better: no endpoint could be connected to, and each said so at once.
    pub(crate) const fn may_pass(&self) -> bool {
        self.endpoints > 0 && self.others == 0 && self.silent == 0
    }

    /// Returns the failure of an exchange for which no endpoint is left.
    pub(crate) fn exhausted(self) -> UpstreamFailure {
        let mut failure =
            self.last.unwrap_or_else(|| UpstreamFailure::new(FailureKind::NoHealthyUpstream, "no endpoint is healthy"));
        if self.endpoints > 1 && self.others == 0 {
            failure.kind = FailureKind::NoHealthyUpstream;
        }
        failure
    }
}
