//! How an HTTP/3 upstream breaks an exchange.

use std::io;
use std::time::Duration;

use quinn::{ConnectionError, ReadError, VarInt, WriteError};

use super::super::body::RequestBodyError;
use super::quic;

/// Why an exchange broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// The connection was lost, or its peer closed it.
    #[error("connection lost: {0}")]
    Lost(ConnectionError),
    /// TLS ended the connection after the handshake: the peer checks certificates of clients only then.
    #[error("connection lost")]
    Tls(#[source] io::Error),
    /// Nothing came from the peer, not even that it got the request.
    #[error("nothing came from the upstream for {0:?}, not even that it got the request")]
    Silent(Duration),
    /// The peer never looked at the request.
    #[error("upstream refused the stream")]
    Refused,
    /// The peer broke off the stream.
    #[error("stream reset by the upstream with code {0:#x}")]
    Reset(u64),
    /// The stream ended in the middle.
    #[error("stream ended before the response was complete")]
    Closed,
    /// Header fields are larger than is taken.
    #[error("the response's header fields are too large")]
    TooLarge,
    /// What came is no response of HTTP/3.
    #[error("invalid response: {0}")]
    Invalid(&'static str),
    /// The request could not be sent whole.
    #[error(transparent)]
    Request(#[from] RequestBodyError),
}

impl Broken {
    /// Returns whether the request was not looked at, so that it may be sent again, whatever it is (RFC 9114 §4.1.1).
    pub(crate) const fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused)
    }

    /// Returns whether the peer breaks the protocol, so that nothing else should be trusted to it.
    pub(super) const fn is_of_peer(&self) -> bool {
        matches!(self, Self::Invalid(_) | Self::Closed | Self::Silent(_) | Self::Lost(_) | Self::Tls(_))
    }
}

impl From<ConnectionError> for Broken {
    fn from(error: ConnectionError) -> Self {
        match quic::tls_error(&error) {
            Some(tls) => Self::Tls(io::Error::other(tls)),
            None => Self::Lost(error),
        }
    }
}

impl From<ReadError> for Broken {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Reset(code) => reset(code),
            ReadError::ConnectionLost(error) => error.into(),
            ReadError::ClosedStream | ReadError::IllegalOrderedRead | ReadError::ZeroRttRejected => Self::Closed,
        }
    }
}

impl From<WriteError> for Broken {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Stopped(code) => reset(code),
            WriteError::ConnectionLost(error) => error.into(),
            WriteError::ClosedStream | WriteError::ZeroRttRejected => Self::Closed,
        }
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        let known = error.get_ref().and_then(|inner| inner.downcast_ref::<ReadError>()).cloned();
        known.map_or(Self::Closed, Into::into)
    }
}

fn reset(code: VarInt) -> Broken {
    match code.into_inner() {
        REQUEST_REJECTED => Broken::Refused,
        code => Broken::Reset(code),
    }
}

/// RFC 9114 §8.1.
const REQUEST_REJECTED: u64 = 0x010b;
