//! The body of a request on its way in, whichever protocol it came by.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::http1::{self, Faulty};

/// The body of a request.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// HTTP/1.1, which is ours.
    Http1(http1::Body),
    /// HTTP/2, which is hyper's.
    Hyper(hyper::body::Incoming),
}

/// Why the body of a request broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IncomingError {
    /// Over HTTP/1.1.
    #[error(transparent)]
    Http1(#[from] Faulty),
    /// Over HTTP/2.
    #[error(transparent)]
    Hyper(#[from] hyper::Error),
}

impl From<hyper::body::Incoming> for Incoming {
    fn from(body: hyper::body::Incoming) -> Self {
        Self::Hyper(body)
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = IncomingError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, IncomingError>>> {
        match self.get_mut() {
            Self::Http1(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Hyper(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Hyper(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(body) => body.size_hint(),
            Self::Hyper(body) => body.size_hint(),
        }
    }
}
