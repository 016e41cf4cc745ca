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
    Response {
        /// Its status says that it has none (RFC 9110 §15.3.5, §15.4.5).
        is_none: bool,
    },
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
            match &self.of {
                Of::Request { activity, .. } => activity.moved(),
                Of::Response { is_none: true } if !data.is_empty() => {
                    return Poll::Ready(Some(Err(Reason::PROTOCOL_ERROR.into())));
                }
                Of::Response { .. } => {}
            }
        }
        Poll::Ready(data)
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
        // A reset behind a whole response (RFC 9113 §8.1) is none to h2; one that comes here cuts it off, whatever its reason.
        Poll::Ready(frame)
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
