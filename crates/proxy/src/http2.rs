//! HTTP/2 as our clients and upstreams speak it (RFC 9113): frames, header compression and flow control are h2's.

mod body;
mod outflow;
mod pings;
mod server;
mod stream;
mod tunnel;

pub(crate) use body::{Body, Of};
pub(crate) use outflow::Outflow;
pub(crate) use pings::Pings;
pub(crate) use server::Server;

#[cfg(test)]
mod tests;
