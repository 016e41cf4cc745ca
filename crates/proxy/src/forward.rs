//! Sends an allowed request to its upstream and hands the response back as it comes.

mod address;
mod carry;
mod frames;
mod leg;
mod outgoing;
mod pump;
mod reach;
mod response;
mod retry;
mod tries;
mod tunnel;
mod upgrade;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use authorize::Permit;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body;
use telemetry::{Attempt, Trace};
use tokio::sync::oneshot;
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::outgoing::Outgoing;
use self::retry::Retries;
use crate::boxed::boxed;
use crate::client_address::Told;
use crate::config::RetryOn;
use crate::incoming::Incoming;
use crate::interim::Interim;
use crate::upstream::{
    Active, Arriving, Broken, Cluster, ConnectionError, FailureKind, Failures, Freshness, Lease, NotAnswered, Progress,
    RequestBody, Target, TrailerRules, UpstreamBody, UpstreamFailure, Watch,
};

use address::address;
use response::downstream;

pub(crate) use carry::{Carried, Counter, DRAINED, Traffic, Tunnel, both_ways};
pub(crate) use leg::Farewell;
pub(crate) use tries::Tries;
#[cfg(test)]
pub(crate) use upgrade::accept_of;

/// What forwarding must know of a request beside the request.
#[derive(Debug)]
pub(crate) struct Forward<'a> {
    /// The call is gRPC: it has deadlines of its own, so only `timeout.total` limits it.
    pub(crate) grpc: bool,
    /// What the request asks to become.
    pub(crate) upgrade: Upgrade,
    /// What the upstream learns beside the request's own headers. The host in it is sent where the route preserves it.
    pub(crate) told: &'a Told,
    /// Tunnels are counted here, so that a shutdown can wait for them.
    pub(crate) tunnels: &'a TaskTracker,
    /// Ends the tunnel that this request opens, with a farewell.
    pub(crate) stop: &'a CancellationToken,
    /// Cuts it off.
    pub(crate) close: &'a CancellationToken,
    /// Follows the request's body; absent where there is none.
    pub(crate) progress: Option<Arc<Progress>>,
    /// Stands for what keeps the caller at one endpoint.
    pub(crate) hash: Option<u64>,
    /// What does not pass in the request's trailers.
    pub(crate) trailers: &'a TrailerRules,
    /// Where what the upstream says before its answer is passed on.
    pub(crate) interim: &'a Interim,
    /// The trace that it belongs to.
    pub(crate) trace: Option<&'a Arc<Trace>>,
}

impl Forward<'_> {
    /// Begins a span of an attempt, where the request is traced.
    fn begin_attempt(&self, number: u32, method: &Method, target: &Target) -> Option<Attempt> {
        self.trace.map(|trace| trace.attempt(number, method, target.endpoint.name()))
    }
}

/// What a request asks to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upgrade {
    /// Nothing else than it is.
    None,
    /// A tunnel, by `CONNECT` (RFC 9110 §9.3.6).
    Connect,
    /// A WebSocket, by `Upgrade: websocket`, over HTTP/1.1 (RFC 6455).
    WebSocket,
    /// A WebSocket, by extended CONNECT with `:protocol` `websocket`, over HTTP/2 (RFC 8441).
    ExtendedConnect,
}

/// A response on its way downstream.
#[derive(Debug)]
pub(crate) struct Forwarded {
    /// The response, without hop-by-hop headers.
    pub(crate) response: Response<UpstreamBody>,
    /// The WebSocket or tunnel that was opened.
    pub(crate) tunnel: Option<Tunnel>,
}

/// Forwards one request, and notes in `tries` where it goes. The permit is spent by it.
///
/// # Errors
/// No endpoint gave a response.
pub(crate) async fn forward<'a>(
    permit: Permit,
    cluster: &'a Cluster,
    request: Request<Incoming>,
    forward: Forward<'_>,
    tries: &mut Tries<'a>,
) -> Result<Forwarded, UpstreamFailure> {
    let answer = dispatch(cluster, request, forward, tries).await;
    drop(permit);
    answer
}

// Not for others: whoever forwards shows a permit.
async fn dispatch<'a>(
    cluster: &'a Cluster,
    request: Request<Incoming>,
    forward: Forward<'_>,
    tries: &mut Tries<'a>,
) -> Result<Forwarded, UpstreamFailure> {
    let Some(total) = cluster.timeouts().total else {
        return dispatch_within(cluster, request, forward, None, tries).await;
    };
    let deadline = Instant::now() + total;
    let answer = Box::into_pin(boxed(|| dispatch_within(cluster, request, forward, Some(deadline), tries)));
    timeout_at(deadline, answer).await.unwrap_or_else(|_| {
        let detail = format!("no response within `timeout.total` of {total:?}");
        Err(UpstreamFailure::new(FailureKind::Timeout, detail))
    })
}

async fn dispatch_within<'a>(
    cluster: &'a Cluster,
    mut request: Request<Incoming>,
    forward: Forward<'_>,
    deadline: Option<Instant>,
    tries: &mut Tries<'a>,
) -> Result<Forwarded, UpstreamFailure> {
    if let Some(credential) = cluster.credential() {
        credential.add(request.headers_mut()).await?;
    }
    match forward.upgrade {
        Upgrade::None => Exchange { cluster, forward: &forward, deadline, passed_on: false, tries }.run(request).await,
        Upgrade::Connect => Box::pin(tunnel::open(cluster, request, forward, tries)).await,
        Upgrade::WebSocket | Upgrade::ExtendedConnect => {
            Box::pin(upgrade::open(cluster, request, forward, tries)).await
        }
    }
}

/// What became of a request at one endpoint.
enum Tried {
    /// This is the answer.
    Answered(Result<Forwarded, UpstreamFailure>),
    /// Nothing was sent, or it may go to another endpoint; the request is as it was.
    Unreachable(Outgoing, UpstreamFailure),
    /// It failed for that reason; this is the answer unless it is tried again.
    Failed(RetryOn, Box<Result<Forwarded, UpstreamFailure>>),
    /// The upstream refused our credential; this is the answer unless there is another.
    Unauthorized(Box<Result<Forwarded, UpstreamFailure>>),
}

impl Tried {
    fn failed(reason: RetryOn, answer: Result<Forwarded, UpstreamFailure>) -> Self {
        Self::Failed(reason, Box::new(answer))
    }
}

/// One request and its response.
struct Exchange<'a, 'cluster> {
    cluster: &'cluster Cluster,
    forward: &'a Forward<'a>,
    deadline: Option<Instant>,
    /// It was lost with one endpoint and sent to another.
    passed_on: bool,
    tries: &'a mut Tries<'cluster>,
}

impl<'cluster> Exchange<'_, 'cluster> {
    /// Tries the endpoints, the best first, for as long as nothing was sent; and again where the route says so.
    async fn run(mut self, request: Request<Incoming>) -> Result<Forwarded, UpstreamFailure> {
        let (mut retries, mut outgoing) = Retries::begin(self.cluster, self.forward, request);
        let mut selection = self.cluster.select(self.forward.hash);
        let mut failures = Failures::default();
        let mut granted = false;
        loop {
            let Some(target) = selection.next() else {
                if !(granted || failures.may_pass() && retries.connects_again()) {
                    return Err(failures.exhausted());
                }
                granted = false;
                sleep(retries.pause()).await;
                selection = self.cluster.select(self.forward.hash);
                failures = Failures::default();
                continue;
            };
            outgoing = match self.attempt(target, outgoing, retries.per_try_timeout()).await {
                Tried::Answered(answer) => return answer,
                Tried::Unreachable(unsent, failure) => {
                    failures.add(failure);
                    unsent
                }
                Tried::Failed(reason, answer) => match retries.again(reason, self.forward) {
                    Some(again) => {
                        granted = true;
                        again
                    }
                    None => return *answer,
                },
                Tried::Unauthorized(answer) => match retries.with_another_credential(self.forward).await {
                    Some(again) => {
                        granted = true;
                        again
                    }
                    None => return *answer,
                },
            };
        }
    }

    /// Sends the request to one endpoint.
    async fn attempt(&mut self, target: &'cluster Target, outgoing: Outgoing, limit: Option<Duration>) -> Tried {
        let (mut request, mut received) = outgoing;
        let active = self.cluster.begin(target);
        let mut freshness = Freshness::Any;
        loop {
            let span = self.forward.begin_attempt(self.tries.begin(target), request.method(), target);
            let lease = match target.endpoint.lease(freshness, self.forward.grpc).await {
                Ok(lease) => lease,
                Err(failure) => {
                    self.cluster.failed(target);
                    fail(span, &failure);
                    return Tried::Unreachable((request, received), failure);
                }
            };
            let (spoken, may_close) = (lease.spoken(), lease.is_reused() && freshness == Freshness::Any);
            self.tries.connected(target.endpoint.protocol(spoken), target.endpoint.protocol_reason(spoken));
            if let Err(failure) = address(&mut request, target, &lease, self.forward.told) {
                return Tried::Answered(Err(failure));
            }
            if let Some(span) = &span {
                span.tell(request.headers_mut());
            }
            match self.answer(target, lease, request, limit).await {
                Ok(response) => {
                    if let Some(span) = span {
                        span.answered(response.status());
                    }
                    return self.finish(target, active, response, received.take());
                }
                Err(NotAnswered::NotSent(unsent)) => request = *unsent,
                // A reused connection may have been closing. What is idempotent (RFC 9110 §9.2.2) and has no body is sent
                // again; anything else never is.
                Err(NotAnswered::Lost { error, request: lost }) => {
                    match lost.filter(|lost| lost.method().is_idempotent()) {
                        Some(again) if may_close => request = *again,
                        // A new connection may lie in the queue of an endpoint that stops, and is lost with it.
                        Some(again) if self.passes_on(&error) => {
                            let failure = UpstreamFailure::broken(&error);
                            self.cluster.failed(target);
                            fail(span, &failure);
                            return Tried::Unreachable((*again, received), failure);
                        }
                        Some(_) | None => return self.lost(target, &error),
                    }
                }
                Err(NotAnswered::Silent(failure)) if failure.kind == FailureKind::ClientSilent => {
                    fail(span, &failure);
                    return Tried::Answered(Err(failure));
                }
                Err(NotAnswered::Silent(failure)) => {
                    self.cluster.failed(target);
                    fail(span, &failure);
                    return Tried::failed(RetryOn::GatewayTimeout, Err(failure));
                }
            }
            if freshness == Freshness::New {
                let failure = UpstreamFailure::new(FailureKind::Protocol, "upstream closes every new connection");
                return Tried::Unreachable((request, received), failure);
            }
            freshness = Freshness::New;
        }
    }

    /// Takes one try from the budget for another endpoint, once, where a connection broke off before any answer.
    fn passes_on(&mut self, error: &ConnectionError) -> bool {
        let may = !self.passed_on
            && self.cluster.has_several()
            && self.cluster.retry().attempts > 0
            && matches!(error, ConnectionError::Http1(Broken::Closed | Broken::Io(_)))
            && self.cluster.take_retry();
        self.passed_on |= may;
        may
    }

    async fn answer(
        &self,
        target: &Target,
        lease: Lease,
        request: Request<RequestBody>,
        limit: Option<Duration>,
    ) -> Result<Response<Arriving>, NotAnswered> {
        let Some(limit) = limit else { return self.answer_in_time(target, lease, request).await };
        timeout(limit, self.answer_in_time(target, lease, request)).await.unwrap_or_else(|_| {
            let detail = format!("no response headers within `retry.per_try_timeout` of {limit:?}");
            Err(NotAnswered::Silent(UpstreamFailure::new(FailureKind::Timeout, detail)))
        })
    }

    async fn answer_in_time(
        &self,
        target: &Target,
        lease: Lease,
        request: Request<RequestBody>,
    ) -> Result<Response<Arriving>, NotAnswered> {
        // Pinned at once, so that it is not copied: it is large.
        let answer = pin!(target.endpoint.send(lease, request, self.forward.told));
        if self.forward.grpc {
            return answer.await;
        }
        let timeouts = self.cluster.timeouts();
        let watch = Watch {
            progress: self.forward.progress.as_deref(),
            idle: timeouts.idle,
            response_headers: timeouts.response_headers,
        };
        tokio::select! {
            biased;
            answer = answer => answer,
            // An upstream that always has more to read uses up the turns of the task, the clock's among them.
            overdue = unconstrained(watch.overdue()) => {
                Err(NotAnswered::Silent(overdue))
            }
        }
    }

    fn finish(
        &self,
        target: &Target,
        active: Option<Active>,
        response: Response<Arriving>,
        received: Option<oneshot::Sender<()>>,
    ) -> Tried {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let failure =
                UpstreamFailure::new(FailureKind::Protocol, "upstream switched protocols without being asked");
            return Tried::Answered(Err(failure));
        }
        let status = response.status();
        if self.is_failure(&response) {
            self.cluster.failed(target);
        } else {
            self.cluster.succeeded(target);
        }
        let (mut parts, body) = response.into_parts();
        downstream(&mut parts.headers);
        // What an upstream of HTTP/1.0 sends is no reason to speak it downstream.
        parts.version = Version::HTTP_11;
        let mut body = UpstreamBody::new(body, active, received);
        if !body.is_end_stream() {
            let events = parts.headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(EVENTS));
            if let Some(idle) = self.cluster.timeouts().idle.filter(|_| !self.forward.grpc && !events) {
                body.limit_idle(idle, self.forward.progress.clone());
            }
            if let Some(deadline) = self.deadline {
                body.limit_total(deadline);
            }
        }
        let answer = Ok(Forwarded { response: Response::from_parts(parts, body), tunnel: None });
        match retry::reason_of_status(status) {
            Some(reason) => Tried::failed(reason, answer),
            None if status == StatusCode::UNAUTHORIZED && self.cluster.credential().is_some() => {
                Tried::Unauthorized(Box::new(answer))
            }
            None => Tried::Answered(answer),
        }
    }

    /// Returns whether a response says that the endpoint cannot answer, rather than what it has to say.
    fn is_failure(&self, response: &Response<Arriving>) -> bool {
        match response.status() {
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => true,
            _ => self.forward.grpc && response.headers().get(GRPC_STATUS).is_some_and(|status| status == UNAVAILABLE),
        }
    }

    fn lost(&self, target: &Target, error: &ConnectionError) -> Tried {
        if self.forward.progress.as_ref().is_some_and(|progress| progress.is_broken()) {
            let failure = UpstreamFailure::new(FailureKind::ClientBody, "the client broke off the request's body");
            return Tried::Answered(Err(failure));
        }
        if self.forward.progress.as_ref().is_some_and(|progress| progress.is_too_large()) {
            let failure = UpstreamFailure::new(FailureKind::BodyTooLarge, "the body is larger than `max_request_body`");
            return Tried::Answered(Err(failure));
        }
        let reason = retry::reason_of_loss(error);
        // Nor does an endpoint fail that takes no more for now.
        if reason != RetryOn::RefusedStream {
            self.cluster.failed(target);
        }
        Tried::failed(reason, Err(UpstreamFailure::broken(error)))
    }
}

fn fail(span: Option<Attempt>, failure: &UpstreamFailure) {
    if let Some(span) = span {
        span.failed(failure.kind.as_str());
    }
}

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// 14 (`code.proto`).
const UNAVAILABLE: &str = "14";
const EVENTS: &[u8] = b"text/event-stream";

#[cfg(test)]
mod tests;
