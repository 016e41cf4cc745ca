//! How an HTTP/1.1 upstream connection breaks.

use std::io;

use crate::http1::Faulty;
use crate::upstream::body::RequestBodyError;

/// Why an exchange broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// The upstream closed in the middle.
    #[error("connection closed before the response was complete")]
    Closed,
    /// The head is longer than is taken.
    #[error("the response's head is too large")]
    TooLarge,
    /// The head is none.
    #[error("invalid response: {0}")]
    Head(#[from] httparse::Error),
    /// Nobody can tell where the response ends.
    #[error("invalid response: {0}")]
    Framing(&'static str),
    /// Chunks or trailers are none.
    #[error("invalid response: {0}")]
    Body(#[from] Faulty),
    /// The connection failed.
    #[error("connection error")]
    Io(#[from] io::Error),
    /// The request could not be sent whole.
    #[error(transparent)]
    Request(#[from] RequestBodyError),
    /// The request's body was not as long as announced.
    #[error("the request's body has another length than it said")]
    RequestLength,
}

impl Broken {
    /// Returns whether what came is no HTTP/1.1.
    pub(crate) const fn is_nonsense(&self) -> bool {
        matches!(self, Self::Head(_) | Self::Framing(_) | Self::Body(_) | Self::TooLarge)
    }

    /// Returns whether the request is to blame.
    pub(super) const fn is_of_request(&self) -> bool {
        matches!(self, Self::Request(_) | Self::RequestLength)
    }
}
