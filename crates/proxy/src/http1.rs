//! HTTP/1.1 as our clients speak it (RFC 9112), and what is the same towards upstreams.
//!
//! One task drives a connection: it reads a head, lets the pipeline answer, and writes the answer, one request after the
//! other. Nothing is sent through channels, and while a connection waits for a request it holds no buffer.

mod answer;
pub(crate) mod chunked;
pub(crate) mod fields;
mod head;
mod incoming;
mod leaving;
pub(crate) mod outbox;
mod server;
mod turn;

pub(crate) use head::Refused;
pub(crate) use incoming::Body;
pub(crate) use leaving::Client;
pub(crate) use server::{Server, Tunnel, Tunnelling, is_ahead, tunnel};

/// Why what a peer sent is no HTTP/1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Faulty {
    /// Nobody can tell what was meant, or two programs could tell different things.
    #[error("{0}")]
    Framing(&'static str),
    /// A line or a section is longer than is taken.
    #[error("a part of the message is too large")]
    TooLarge,
    /// The peer closed in the middle.
    #[error("the connection closed before the message was complete")]
    Closed,
}

#[cfg(test)]
mod tests;
