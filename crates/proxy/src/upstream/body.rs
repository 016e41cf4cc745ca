//! Bodies on their way through: nothing is gathered; limits of time are kept, and either side learns when the other ends.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use http_body::{Body, Frame, SizeHint};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::endpoint::Active;
use super::failure::{ConnectionError, FailureKind, UpstreamFailure};
use super::kept::{Kept, Part, Reader};
use super::{http1, http2, http3};
use crate::Underscores;
use crate::idle::Idle;
use crate::incoming::{Incoming, IncomingError};
use crate::interim::Interim;
use crate::sanitize::{self, Removed};

/// A request's body on its way upstream.
#[derive(Debug)]
pub(crate) struct RequestBody {
    source: Source,
    /// What came while it was found out whether there is anything.
    ahead: Option<Frame<Bytes>>,
    progress: Option<Arc<Progress>>,
    /// Ends with an error when the response is given up, so that the stream is reset although we could send on.
    given_up: Option<oneshot::Receiver<()>>,
    expectation: Option<Expectation>,
    trailers: Option<TrailerRules>,
    interim: Option<Interim>,
}

/// Cancelled when the upstream asks for a request's body. Travels with the request.
#[derive(Clone, Debug)]
pub(crate) struct Asked(pub(crate) CancellationToken);

/// Where a request's body comes from.
#[derive(Debug)]
enum Source {
    Empty,
    Whole(Bytes),
    Downstream(Incoming),
    Kept(Reader),
}

/// What does not pass in a request's trailers.
#[derive(Clone, Debug)]
pub(crate) struct TrailerRules {
    pub(crate) removed: Arc<Removed>,
    pub(crate) underscores: Underscores,
    /// The header of the route's credential.
    pub(crate) credential: Option<Arc<HeaderName>>,
}

impl TrailerRules {
    /// Removes from trailers what may not pass.
    fn apply(&self, trailers: &mut HeaderMap) {
        sanitize::trailers(trailers, &self.removed, self.underscores);
        self.credential.iter().for_each(|name| sanitize::remove_aliases(trailers, name));
    }
}

/// What breaks off a request's body.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestBodyError {
    /// The client stopped or broke the framing.
    #[error("request body: {0}")]
    Downstream(#[source] IncomingError),
    /// The response was given up.
    #[error("request body: the exchange was given up")]
    GivenUp,
    /// More came than the route takes.
    #[error("request body: larger than `max_request_body`")]
    TooLarge,
}

impl RequestBody {
    /// The body of a request without one.
    pub(crate) const fn empty() -> Self {
        Self::unwatched(Source::Empty)
    }

    /// A body of our own.
    pub(super) const fn whole(bytes: Bytes) -> Self {
        Self::unwatched(Source::Whole(bytes))
    }

    const fn unwatched(source: Source) -> Self {
        Self { source, ahead: None, progress: None, given_up: None, expectation: None, trailers: None, interim: None }
    }

    /// A body that is passed on as it comes.
    pub(crate) const fn streamed(
        inner: Incoming,
        progress: Arc<Progress>,
        given_up: oneshot::Receiver<()>,
        expectation: Option<Expectation>,
        trailers: TrailerRules,
    ) -> Self {
        Self {
            source: Source::Downstream(inner),
            ahead: None,
            progress: Some(progress),
            given_up: Some(given_up),
            expectation,
            trailers: Some(trailers),
            interim: None,
        }
    }

    /// A body that may have to be sent again.
    pub(crate) fn kept(
        kept: &Arc<Kept>,
        progress: Arc<Progress>,
        given_up: oneshot::Receiver<()>,
        expectation: Option<Expectation>,
        trailers: TrailerRules,
    ) -> Self {
        Self {
            source: Source::Kept(kept.read()),
            ahead: None,
            progress: Some(progress),
            given_up: Some(given_up),
            expectation,
            trailers: Some(trailers),
            interim: None,
        }
    }

    /// Waits for the first part, where nobody has said whether there is any: HTTP/2 may announce a body and then send none,
    /// and apps refuse chunks where they expect no body.
    ///
    /// # Errors
    /// It broke off.
    pub(super) async fn begin(&mut self) -> Result<(), RequestBodyError> {
        while self.ahead.is_none() && !self.is_end_stream() && self.size_hint().exact().is_none() {
            match poll_fn(|cx| Pin::new(&mut *self).poll_frame(cx)).await.transpose()? {
                Some(frame) => {
                    self.ahead = Some(frame).filter(|frame| frame.data_ref().is_none_or(|data| !data.is_empty()))
                }
                None => self.source = Source::Empty,
            }
        }
        Ok(())
    }

    /// Has what the upstream says before its answer passed on.
    pub(crate) fn telling(mut self, interim: &Interim) -> Self {
        self.interim = Some(interim.clone());
        self
    }

    /// Returns where what the upstream says before its answer is passed on.
    pub(super) fn interim(&self) -> Option<&Interim> {
        self.interim.as_ref()
    }

    fn report(&self, state: u8) {
        let is_current = match &self.source {
            Source::Empty | Source::Whole(_) | Source::Downstream(_) => true,
            Source::Kept(reader) => reader.is_current(),
        };
        if let Some(progress) = self.progress.as_ref().filter(|_| is_current) {
            progress.end(state);
        }
    }

    /// Notes what came, and returns whether that is still as much as may.
    fn note(&self, bytes: usize) -> bool {
        self.progress.as_ref().is_none_or(|progress| {
            progress.moved();
            progress.count(bytes)
        })
    }
}

impl Source {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Part, RequestBodyError>>> {
        match self {
            Self::Empty => Poll::Ready(None),
            Self::Whole(bytes) => {
                let whole = std::mem::take(bytes);
                Poll::Ready((!whole.is_empty()).then(|| Ok(Part::Again(Frame::data(whole)))))
            }
            Self::Downstream(inner) => {
                let polled = ready!(Pin::new(inner).poll_frame(cx));
                Poll::Ready(polled.map(|frame| frame.map(Part::New).map_err(RequestBodyError::Downstream)))
            }
            Self::Kept(reader) => {
                let given_up = |error: Option<_>| error.map_or(RequestBodyError::GivenUp, RequestBodyError::Downstream);
                reader.poll(cx).map(|polled| polled.map(|part| part.map_err(given_up)))
            }
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let this = self.get_mut();
        if let Some(frame) = this.ahead.take() {
            return Poll::Ready(Some(Ok(frame)));
        }
        if let Some(given_up) = &mut this.given_up {
            match Pin::new(given_up).poll(cx) {
                Poll::Ready(Ok(())) => this.given_up = None,
                Poll::Ready(Err(_)) => return Poll::Ready(Some(Err(RequestBodyError::GivenUp))),
                Poll::Pending => {}
            }
        }
        if let Some(expectation) = &mut this.expectation {
            ready!(expectation.wait.as_mut().poll(cx));
            this.expectation = None;
        }
        let polled = this.source.poll(cx);
        if let Some(progress) = &this.progress {
            progress.awaits_client.store(polled.is_pending(), Ordering::Relaxed);
        }
        match ready!(polled) {
            Some(Ok(part)) => {
                let mut frame = match part {
                    Part::Again(frame) => frame,
                    Part::New(frame) => {
                        if !this.note(frame.data_ref().map_or(0, Bytes::len)) {
                            this.report(TOO_LARGE);
                            return Poll::Ready(Some(Err(RequestBodyError::TooLarge)));
                        }
                        frame
                    }
                };
                if let (Some(trailers), Some(rules)) = (frame.trailers_mut(), &this.trailers) {
                    rules.apply(trailers);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                this.report(BROKEN);
                Poll::Ready(Some(Err(error)))
            }
            None => {
                this.report(SENT);
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            _ if self.ahead.is_some() => false,
            Source::Empty => true,
            Source::Whole(bytes) => bytes.is_empty(),
            Source::Downstream(inner) => inner.is_end_stream(),
            Source::Kept(reader) => reader.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            _ if self.ahead.is_some() => SizeHint::default(),
            Source::Empty => SizeHint::with_exact(0),
            Source::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Downstream(inner) => inner.size_hint(),
            Source::Kept(reader) => reader.size_hint(),
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        self.report(SENT);
    }
}

/// Holds a body back until the upstream asks for it: `Expect: 100-continue` (RFC 9110 §10.1.1).
pub(crate) struct Expectation {
    wait: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
}

impl Expectation {
    /// Waits for `asked`, but not for long: an upstream may ignore the expectation.
    pub(crate) fn new(asked: CancellationToken) -> Self {
        Self {
            wait: Box::pin(async move {
                let _ignored = timeout(EXPECTATION, asked.cancelled_owned()).await;
            }),
        }
    }
}

impl std::fmt::Debug for Expectation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Expectation").finish_non_exhaustive()
    }
}

/// How far a request's body has got.
#[derive(Debug)]
pub(crate) struct Progress {
    started: Instant,
    /// Milliseconds after `started` at which something moved last.
    moved: AtomicU64,
    bytes: AtomicU64,
    limit: u64,
    state: AtomicU8,
    /// The upstream would take more than the client has sent.
    awaits_client: AtomicBool,
    ended: Notify,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self::limited(None)
    }

    /// Follows a body that may have so many bytes.
    pub(crate) fn limited(limit: Option<u64>) -> Self {
        Self {
            started: Instant::now(),
            moved: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            limit: limit.unwrap_or(u64::MAX),
            state: AtomicU8::new(SENDING),
            awaits_client: AtomicBool::new(false),
            ended: Notify::new(),
        }
    }

    /// Begins again: what was sent is sent once more.
    pub(crate) fn restart(&self) {
        self.moved();
        let _broken = self.state.compare_exchange(SENT, SENDING, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Returns how many bytes have come so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Returns whether the client broke off the body.
    pub(crate) fn is_broken(&self) -> bool {
        self.state.load(Ordering::Acquire) == BROKEN
    }

    /// Returns whether more came than may.
    pub(crate) fn is_too_large(&self) -> bool {
        self.state.load(Ordering::Acquire) == TOO_LARGE
    }

    fn count(&self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        self.bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) <= self.limit
    }

    fn moved(&self) {
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved.store(elapsed, Ordering::Relaxed);
    }

    fn last(&self) -> Instant {
        self.started + Duration::from_millis(self.moved.load(Ordering::Relaxed))
    }

    fn end(&self, state: u8) {
        if self.state.compare_exchange(SENDING, state, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            self.moved();
            self.ended.notify_one();
        }
    }

    /// Returns whether more of the body is to be sent.
    pub(crate) fn is_sending(&self) -> bool {
        self.state.load(Ordering::Acquire) == SENDING
    }
}

/// The limits that apply until a response's headers are there.
#[derive(Debug)]
pub(crate) struct Watch<'a> {
    /// The body's progress; `None` for a request without a body.
    pub(crate) progress: Option<&'a Progress>,
    /// Without a byte of the body.
    pub(crate) idle: Option<Duration>,
    /// From the end of the request.
    pub(crate) response_headers: Option<Duration>,
}

impl Watch<'_> {
    /// Ends when one of the limits has passed, and says which, and who kept the other one waiting.
    pub(crate) async fn overdue(&self) -> UpstreamFailure {
        if let Some(progress) = self.progress {
            while progress.is_sending() {
                let quiet = async {
                    match self.idle {
                        Some(idle) => sleep_until(progress.last() + idle).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = progress.ended.notified() => break,
                    () = quiet => {}
                }
                if let Some(idle) = self.idle.filter(|idle| progress.last().elapsed() >= *idle) {
                    return if progress.awaits_client.load(Ordering::Relaxed) {
                        let detail = format!("request body: no byte of it for {idle:?}");
                        UpstreamFailure::new(FailureKind::ClientSilent, detail)
                    } else {
                        let detail = format!("no byte in either direction for {idle:?}");
                        UpstreamFailure::new(FailureKind::Timeout, detail)
                    };
                }
            }
        }
        match self.response_headers {
            Some(limit) => tokio::time::sleep(limit).await,
            None => std::future::pending().await,
        }
        let detail = format!("no response headers within {:?}", self.response_headers.unwrap_or_default());
        UpstreamFailure::new(FailureKind::Timeout, detail)
    }
}

/// A response's body on its way downstream.
#[derive(Debug)]
pub(crate) struct UpstreamBody {
    inner: Arriving,
    ended: bool,
    idle: Option<(Idle, Option<Arc<Progress>>)>,
    deadline: Option<Pin<Box<Sleep>>>,
    /// Tells the request's body that the response was received whole. Dropped without, the request is given up.
    received: Option<oneshot::Sender<()>>,
    /// Held while the request counts as one of the endpoint's.
    _active: Option<Active>,
}

/// Where a response's body comes from.
#[derive(Debug)]
pub(crate) enum Arriving {
    /// An HTTP/1.1 connection.
    Http1(http1::Body),
    /// A stream of HTTP/2.
    Http2(http2::Arrived),
    /// An upgrade that was refused.
    Hyper(hyper::body::Incoming),
    /// A stream of HTTP/3.
    Http3(Box<http3::Body>),
    /// Nowhere: what opens a tunnel has no body.
    Nothing,
}

/// What breaks off a response's body.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The upstream stopped, reset the stream or broke the framing.
    #[error("response body")]
    Upstream(#[source] ConnectionError),
    /// `timeout.idle` passed.
    #[error("response body: no byte in either direction for {0:?}")]
    Idle(Duration),
    /// `timeout.total` passed.
    #[error("response body: `timeout.total` passed")]
    Total,
}

impl BodyError {
    /// Returns what a caller of gRPC is told; nothing where the upstream itself has reset the stream, for a reason of its own.
    pub(crate) fn for_grpc(&self) -> Option<FailureKind> {
        match self {
            Self::Upstream(ConnectionError::Http2(error)) if error.is_reset() && error.is_remote() => None,
            Self::Upstream(_) => Some(FailureKind::Protocol),
            Self::Idle(_) | Self::Total => Some(FailureKind::Timeout),
        }
    }
}

impl UpstreamBody {
    pub(crate) const fn new(inner: Arriving, active: Option<Active>, received: Option<oneshot::Sender<()>>) -> Self {
        Self { inner, ended: false, idle: None, deadline: None, received, _active: active }
    }

    /// Ends the body with an error where neither it nor the request has moved for `limit`.
    pub(crate) fn limit_idle(&mut self, limit: Duration, request: Option<Arc<Progress>>) {
        self.idle = Some((Idle::new(limit), request));
    }

    /// Ends the body with an error at `deadline`.
    pub(crate) fn limit_total(&mut self, deadline: Instant) {
        self.deadline = Some(Box::pin(sleep_until(deadline)));
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = ConnectionError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ConnectionError>>> {
        match self.get_mut() {
            Self::Http1(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Http2(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Hyper(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Http3(body) => Pin::new(&mut **body).poll_frame(cx).map_err(Into::into),
            Self::Nothing => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
            Self::Hyper(body) => body.is_end_stream(),
            Self::Http3(body) => body.is_end_stream(),
            Self::Nothing => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
            Self::Hyper(body) => body.size_hint(),
            Self::Http3(body) => body.size_hint(),
            Self::Nothing => SizeHint::with_exact(0),
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Some(deadline) = &mut this.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Some(Err(BodyError::Total)));
        }
        match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some((idle, _)) = &mut this.idle {
                    idle.moved();
                }
                this.ended |= frame.is_trailers();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(BodyError::Upstream(error)))),
            Poll::Ready(None) => {
                this.ended = true;
                Poll::Ready(None)
            }
            Poll::Pending => match &mut this.idle {
                Some((idle, request)) => {
                    let last = request.as_ref().map(|request| request.last());
                    idle.poll(last, cx).map(|()| Some(Err(BodyError::Idle(idle.limit()))))
                }
                None => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for UpstreamBody {
    fn drop(&mut self) {
        if self.is_end_stream()
            && let Some(received) = self.received.take()
        {
            // An upstream may answer before it has read all, and read on (RFC 9112 §9.5).
            let _gone = received.send(());
        }
    }
}

const SENDING: u8 = 0;
const SENT: u8 = 1;
const BROKEN: u8 = 2;
const TOO_LARGE: u8 = 3;

/// How long a body waits for `100 Continue`: as long as curl does.
const EXPECTATION: Duration = Duration::from_secs(1);
