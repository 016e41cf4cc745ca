//! Starts real parts on loopback, so that a test is a few lines of intent.

mod browser;
mod connection;
mod http2;
mod proxy;
mod raw;
mod upstream;

pub use browser::{Answer, Browser};
pub use connection::connect;
pub use http2::{Frame, frame, frames, http2};
pub use proxy::{Folder, Proxy, Setup, merge};
pub use raw::{raw, raw_trusting, status};
pub use upstream::{Seen, Upstream, read_request};

/// What a harness function answers: a test unwraps it.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;
