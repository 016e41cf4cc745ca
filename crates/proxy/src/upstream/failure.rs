//! Why an upstream gave no response.

use std::borrow::Cow;
use std::error::Error;
use std::io;
use std::sync::Arc;

use super::tls;

/// What went wrong, as the downstream is told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// No connection: the name does not resolve, or nobody listens.
    Connect,
    /// TLS failed: certificate, version or handshake.
    Tls,
    /// The upstream broke the protocol, or the connection in the middle of an exchange.
    Protocol,
    /// There are several endpoints and none can be connected to.
    NoHealthyUpstream,
    /// A time limit of the route passed.
    Timeout,
    /// The request's body broke off downstream; the upstream is not to blame.
    ClientBody,
}

/// An exchange that ended without a response.
#[derive(Clone, Debug)]
pub(crate) struct UpstreamFailure {
    /// What went wrong.
    pub(crate) kind: FailureKind,
    /// Why exactly, for the log alone.
    pub(crate) detail: Cow<'static, str>,
    /// The endpoint that failed, the last one where several were tried.
    pub(crate) endpoint: Option<Arc<str>>,
    /// How often a connection or a request was tried.
    pub(crate) attempts: u32,
}

impl UpstreamFailure {
    pub(crate) fn new(kind: FailureKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, detail: detail.into(), endpoint: None, attempts: 0 }
    }

    /// Reads what a connection said when it failed under a request.
    pub(crate) fn broken(error: &hyper::Error) -> Self {
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
