//! The body of a request on its way in, whichever protocol it came by.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::http1::{self, Faulty};
use crate::http2;

/// The body of a request.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// There is none.
    Empty,
    /// Over HTTP/1.1.
    Http1(http1::Body),
    /// Over HTTP/2.
    Http2(http2::Body),
    /// Of a server that a test has made.
    #[cfg(test)]
    Hyper(hyper::body::Incoming),
}

/// Why the body of a request broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IncomingError {
    /// Over HTTP/1.1.
    #[error(transparent)]
    Http1(#[from] Faulty),
    /// Over HTTP/2.
    #[error("http2 error")]
    Http2(#[from] h2::Error),
    /// In a test.
    #[cfg(test)]
    #[error(transparent)]
    Hyper(#[from] hyper::Error),
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = IncomingError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, IncomingError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Http1(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Http2(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            #[cfg(test)]
            Self::Hyper(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
            #[cfg(test)]
            Self::Hyper(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
            #[cfg(test)]
            Self::Hyper(body) => body.size_hint(),
        }
    }
}
