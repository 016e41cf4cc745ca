//! The body of a response on its way downstream: counts what is sent and knows when it has ended.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};

use crate::decide_again::decide_again;
use crate::exchange::Exchange;
use crate::respond;
use crate::streams::Stream;
use crate::upstream::{FailureKind, UpstreamBody, UpstreamFailure};

/// What is sent.
#[derive(Debug)]
pub(crate) enum Content {
    /// Made by us, whole.
    Whole(Bytes),
    /// An upstream's, streamed.
    Upstream(UpstreamBody),
    /// Of one of our own endpoints.
    Own(axum::body::Body),
}

/// What is sent, with the exchange that it ends: dropping the body completes the exchange.
#[derive(Debug)]
pub(crate) struct ResponseBody {
    content: Content,
    // A tunnel takes its exchange along.
    exchange: Option<Box<Exchange>>,
    // While an upstream's body is sent.
    stream: Option<Stream>,
    // What the length of the body leaves to be sent, where it is known: HTTP/1.1 drops a body that has sent as much
    // without asking for its end.
    remaining: Option<u64>,
    ended: bool,
}

/// Why a response broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BrokeOff {
    /// The upstream's did.
    #[error(transparent)]
    Upstream(<UpstreamBody as Body>::Error),
    /// That of an endpoint of our own did.
    #[error(transparent)]
    Own(axum::Error),
    /// It is no longer allowed.
    #[error("closed: {0}")]
    Closed(&'static str),
}

impl BrokeOff {
    /// Returns what a caller of gRPC is told at the end of an answer that broke off. Over HTTP/1.1 the connection is closed
    /// instead: trailers would make it look whole.
    fn for_grpc(&self, exchange: &Exchange) -> Option<FailureKind> {
        let Self::Upstream(error) = self else { return None };
        let kind = error.for_grpc().filter(|_| exchange.caller.is_grpc() && exchange.protocol == "h2")?;
        Some(if exchange.body_is_too_large() { FailureKind::BodyTooLarge } else { kind })
    }
}

impl ResponseBody {
    pub(crate) fn new(content: Content, exchange: Box<Exchange>) -> Self {
        let remaining = content.size_hint().exact();
        let is_upstreams = matches!(content, Content::Upstream(_));
        let stream = is_upstreams.then(|| Stream::new(exchange.streams()));
        Self { content, exchange: Some(exchange), stream, remaining, ended: false }
    }

    pub(crate) const fn of_tunnel(content: Content) -> Self {
        Self { content, exchange: None, stream: None, remaining: None, ended: false }
    }

    /// Decides again where there is a doubt; what is sent instead of the rest, where it may not be sent.
    pub(crate) fn doubt(&mut self) -> Option<Result<Frame<Bytes>, BrokeOff>> {
        let (Some(exchange), Some(stream)) = (&mut self.exchange, &mut self.stream) else { return None };
        if !stream.is_doubtful(exchange.streams()) {
            return None;
        }
        let Err(closed) = decide_again(exchange) else {
            stream.leave(exchange.streams());
            return None;
        };
        exchange.close(&closed);
        // Dropped here, so that the upstream learns of it at once.
        self.content = Content::Whole(Bytes::new());
        self.ended = true;
        if !exchange.caller.is_grpc() {
            return Some(Err(BrokeOff::Closed(closed.reason)));
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from(closed.grpc_code()));
        trailers.insert("grpc-message", HeaderValue::from_static("no longer allowed"));
        exchange.trailed(&trailers);
        Some(Ok(Frame::trailers(trailers)))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BrokeOff;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokeOff>>> {
        let this = &mut *self;
        if let Some(instead) = this.doubt() {
            return Poll::Ready(Some(instead));
        }
        let polled = Pin::new(&mut this.content).poll_frame(cx);
        let Some(exchange) = &mut this.exchange else { return polled };
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(sent) = frame.data_ref().map(Buf::remaining) {
                    exchange.sent(sent);
                    this.remaining = this.remaining.map(|remaining| remaining.saturating_sub(sent as u64));
                } else if let Some(trailers) = frame.trailers_ref() {
                    exchange.trailed(trailers);
                    this.ended = true;
                }
            }
            Poll::Ready(None) => this.ended = true,
            Poll::Ready(Some(Err(error))) => {
                exchange.broke_off(UpstreamFailure::broken(error).detail);
                this.ended = true;
                if let Some(kind) = error.for_grpc(exchange) {
                    let trailers = respond::grpc_trailers(kind);
                    exchange.trailed(&trailers);
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
            }
            Poll::Pending => {}
        }
        if !this.ended && this.remaining != Some(0) {
            // Also where there was something to send: who does not read is not asked for the rest.
            this.stream.iter_mut().for_each(|stream| stream.wait(&**exchange, cx));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.content.size_hint()
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if let (Some(exchange), Some(stream)) = (&self.exchange, &mut self.stream) {
            stream.leave(exchange.streams());
        }
        let whole = self.ended || self.remaining == Some(0) || self.content.is_end_stream();
        if let Some(exchange) = self.exchange.as_mut().filter(|_| !whole) {
            exchange.was_left("the client left before the response ended");
        }
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = BrokeOff;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokeOff>>> {
        match &mut *self {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Upstream(body) => Pin::new(body).poll_frame(cx).map_err(BrokeOff::Upstream),
            Self::Own(body) => Pin::new(body).poll_frame(cx).map_err(BrokeOff::Own),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Upstream(body) => body.is_end_stream(),
            Self::Own(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Upstream(body) => body.size_hint(),
            Self::Own(body) => body.size_hint(),
        }
    }
}
