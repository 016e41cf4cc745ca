//! What comes on a stream behind its head.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, RecvStream};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};
use http_body::{Frame, SizeHint};

use crate::activity::Activity;
use crate::interim::Interim;

/// The body of a request or of a response.
#[derive(Debug)]
pub(crate) struct Body {
    stream: RecvStream,
    of: Of,
    // What is still to come, where that is announced; h2 sees to it that as much comes.
    left: Option<u64>,
    stage: Stage,
}

/// Whose body it is.
#[derive(Debug)]
pub(crate) enum Of {
    /// A client's, which keeps its connection busy while it moves.
    Request {
        /// What its connection does.
        activity: Arc<Activity>,
        /// How the client is asked for it, where it waits for that.
        expects: Option<Interim>,
    },
    /// An upstream's.
    Response,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Data,
    Trailers,
    Over,
}

impl Body {
    pub(crate) fn new(stream: RecvStream, headers: &HeaderMap, of: Of) -> Self {
        let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        Self { stream, of, left: announced, stage: Stage::Data }
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, h2::Error>>> {
        let Poll::Ready(data) = self.stream.poll_data(cx) else {
            if let Of::Request { expects, .. } = &mut self.of {
                expects.take().into_iter().for_each(|interim| interim.say(StatusCode::CONTINUE, &HeaderMap::new()));
            }
            return Poll::Pending;
        };
        if let Some(Ok(data)) = &data {
            // Whoever takes it takes it at once: the peer may send as much again.
            self.stream.flow_control().release_capacity(data.len())?;
            self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
            if let Of::Request { activity, .. } = &self.of {
                activity.moved();
            }
        }
        Poll::Ready(data)
    }

    /// Returns whether a reset that says so comes behind a whole response: the server wants no more of the request
    /// (RFC 9113 §8.1).
    fn is_whole_before(&self, error: &h2::Error) -> bool {
        matches!(self.of, Of::Response)
            && error.reason() == Some(Reason::NO_ERROR)
            && error.is_reset()
            && self.left.is_none_or(|left| left == 0)
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let this = self.get_mut();
        let frame = loop {
            match this.stage {
                Stage::Data => match ready!(this.poll_data(cx)) {
                    Some(data) => break Some(data.map(Frame::data)),
                    None => this.stage = Stage::Trailers,
                },
                Stage::Trailers => {
                    break ready!(this.stream.poll_trailers(cx)).transpose().map(|it| it.map(Frame::trailers));
                }
                Stage::Over => break None,
            }
        };
        if !matches!(&frame, Some(Ok(frame)) if frame.is_data()) {
            this.stage = Stage::Over;
        }
        Poll::Ready(frame.filter(|frame| !frame.as_ref().is_err_and(|error| this.is_whole_before(error))))
    }

    fn is_end_stream(&self) -> bool {
        self.stage == Stage::Over || self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.left {
            _ if self.is_end_stream() => SizeHint::with_exact(0),
            Some(left) => SizeHint::with_exact(left),
            None => SizeHint::default(),
        }
    }
}
