//! Decides whether a request is tried again after an endpoint had it, and keeps what that takes.

use std::sync::Arc;
use std::time::Duration;

use http::header::EXPECT;
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use tokio::sync::oneshot;

use super::Forward;
use super::outgoing::{Keep, KeptBody, Outgoing, outgoing};
use crate::config::{Retry, RetryOn};
use crate::incoming::Incoming;
use crate::upstream::{Cluster, ConnectionError, Credential, RequestBody};

/// The tries that a request has left.
pub(super) struct Retries<'a> {
    cluster: &'a Cluster,
    settings: &'a Retry,
    used: u32,
    /// Another credential was tried.
    is_renewed: bool,
    copy: Option<Copy>,
}

/// What it takes to send a request again.
struct Copy {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Option<KeptBody>,
}

impl<'a> Retries<'a> {
    /// Makes the request that goes upstream, and keeps a copy of it where the route may send it again.
    pub(super) fn begin(cluster: &'a Cluster, forward: &Forward<'_>, request: Request<Incoming>) -> (Self, Outgoing) {
        let settings = cluster.retry();
        cluster.add_to_retry_budget();
        let renewable = cluster.credential().is_some_and(Credential::is_renewable);
        let keeps = renewable || keeps(settings, request.method(), forward.grpc);
        let keep = if keeps { Keep::Yes } else { Keep::No };
        let (outgoing, body) = outgoing(forward, request, keep);
        let (request, _) = &outgoing;
        let copy = (keep == Keep::Yes).then(|| Copy {
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
            body,
        });
        (Self { cluster, settings, used: 0, is_renewed: false, copy }, outgoing)
    }

    /// Makes those of what only has to be connected to.
    pub(super) fn of_connections(cluster: &'a Cluster) -> Self {
        cluster.add_to_retry_budget();
        Self { cluster, settings: cluster.retry(), used: 0, is_renewed: false, copy: None }
    }

    /// Takes one try from the budget where no endpoint could be connected to.
    pub(super) fn connects_again(&mut self) -> bool {
        self.settings.on.contains(&RetryOn::ConnectFailure) && self.take(self.settings.attempts)
    }

    /// Makes the request again after it was sent, where this may be and there is a try left. A call of gRPC that nobody
    /// looked at is sent again whatever the route says: its client would, had it been refused itself (gRPC A6), and servers
    /// count streams that have ended for a moment longer, so that they refuse some which their limit allows.
    pub(super) fn again(&mut self, reason: RetryOn, forward: &Forward<'_>) -> Option<Outgoing> {
        let unseen = forward.grpc && reason == RetryOn::RefusedStream && self.settings.attempts > 0;
        let may = unseen || self.settings.on.contains(&reason);
        let outgoing = self.copy.as_ref().filter(|copy| may && copy.suits(reason))?.request(forward);
        let attempts = if unseen { self.settings.attempts.max(UNSEEN) } else { self.settings.attempts };
        self.take(attempts).then_some(outgoing)
    }

    /// Makes the request again with another credential, once. What was answered with 401 was not done (RFC 9110 §15.5.2),
    /// so that any method can be sent again. A token that is refused is renewed even where the request cannot be.
    pub(super) async fn with_another_credential(&mut self, forward: &Forward<'_>) -> Option<Outgoing> {
        let credential = self.cluster.credential().filter(|credential| credential.is_renewable())?;
        if std::mem::replace(&mut self.is_renewed, true) {
            return None;
        }
        let copy = self.copy.as_mut()?;
        credential.renew(&mut copy.headers).await.ok()?;
        copy.is_replayable().then(|| copy.request(forward))
    }

    /// Returns how long one try may take.
    pub(super) fn per_try_timeout(&self) -> Option<Duration> {
        let replayable = || self.copy.as_ref().is_some_and(|copy| copy.suits(RetryOn::GatewayTimeout));
        self.settings.per_try_timeout.filter(|_| replayable())
    }

    /// Returns how long to wait before endpoints are tried a second time.
    pub(super) fn pause(&self) -> Duration {
        PAUSE.saturating_mul(1 << self.used.saturating_sub(1).min(4))
    }

    fn take(&mut self, attempts: u32) -> bool {
        let may = self.used < attempts && self.cluster.take_retry();
        self.used += u32::from(may);
        may
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        self.body.iter().for_each(|(kept, _)| kept.forget());
    }
}

impl Copy {
    /// Returns whether the request may be sent a second time after this. What an endpoint refused to look at may always;
    /// anything else only where twice does what once does (RFC 9110 §9.2.2).
    fn suits(&self, reason: RetryOn) -> bool {
        self.is_replayable() && (reason == RetryOn::RefusedStream || self.method.is_idempotent())
    }

    fn is_replayable(&self) -> bool {
        self.body.as_ref().is_none_or(|(kept, _)| kept.is_replayable())
    }

    fn request(&self, forward: &Forward<'_>) -> Outgoing {
        let (body, received) = match &self.body {
            None => (RequestBody::empty(), None),
            Some((kept, progress)) => {
                progress.restart();
                let (received, given_up) = oneshot::channel();
                let body = RequestBody::kept(kept, Arc::clone(progress), given_up, None, forward.trailers.clone());
                (body, Some(received))
            }
        };
        let mut request = Request::new(body.telling(forward.interim));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        // The client was told to go on.
        request.headers_mut().remove(EXPECT);
        (request, received)
    }
}

/// Returns whether requests of this method may have to be sent again after they were sent.
fn keeps(settings: &Retry, method: &Method, grpc: bool) -> bool {
    let again = |reason: &RetryOn| match reason {
        RetryOn::ConnectFailure => false,
        RetryOn::RefusedStream => true,
        RetryOn::Reset | RetryOn::BadGateway | RetryOn::ServiceUnavailable | RetryOn::GatewayTimeout => {
            method.is_idempotent()
        }
    };
    settings.attempts > 0 && (grpc || settings.on.iter().any(again))
}

/// Returns what a status is in the words of `retry.on`.
pub(super) fn reason_of_status(status: StatusCode) -> Option<RetryOn> {
    match status {
        StatusCode::BAD_GATEWAY => Some(RetryOn::BadGateway),
        StatusCode::SERVICE_UNAVAILABLE => Some(RetryOn::ServiceUnavailable),
        StatusCode::GATEWAY_TIMEOUT => Some(RetryOn::GatewayTimeout),
        _ => None,
    }
}

/// Returns what an error under a request is in the words of `retry.on`. A stream that the peer refused, or that came after
/// the last one that it takes, was not looked at (RFC 9113 §6.8, §8.7; RFC 9114 §4.1.1, §5.2).
pub(super) fn reason_of_loss(error: &ConnectionError) -> RetryOn {
    let error = match error {
        ConnectionError::Http2(error) => error,
        ConnectionError::Http3(broken) if broken.is_refusal() => return RetryOn::RefusedStream,
        ConnectionError::Http1(_)
        | ConnectionError::NoHttp2
        | ConnectionError::Http3(_)
        | ConnectionError::Hyper(_) => return RetryOn::Reset,
    };
    match error.reason() {
        Some(h2::Reason::REFUSED_STREAM) if error.is_reset() && error.is_remote() => RetryOn::RefusedStream,
        Some(h2::Reason::NO_ERROR) if error.is_go_away() && error.is_remote() => RetryOn::RefusedStream,
        _ => RetryOn::Reset,
    }
}

/// How often a call that nobody looked at is sent again at least.
const UNSEEN: u32 = 3;

/// Before the second round of endpoints; twice as long before the next.
const PAUSE: Duration = Duration::from_millis(25);
