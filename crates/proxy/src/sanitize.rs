//! Brings a request into its one normal form, before anything is decided about it.
//!
//! What is routed, decided, audited and sent upstream is what these functions return; the raw form is not looked at
//! again.

mod authority;
mod headers;
mod target;

use http::StatusCode;

pub(crate) use authority::{authority, connect_authority};
pub use headers::is_reserved;
pub(crate) use headers::{Removed, Upgrade, headers, remove_aliases, trailers, values};
pub(crate) use target::{EncodedSlash, Strictness, Target, normalise, target};

/// A request that is refused before anybody asks who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// What the downstream gets.
    pub(crate) status: StatusCode,
    /// Why, as a stable code.
    pub(crate) code: &'static str,
    /// Why, in words. Holds nothing of the request.
    pub(crate) message: &'static str,
}

impl Refusal {
    /// Makes a refusal with 400.
    pub(crate) const fn bad_request(code: &'static str, message: &'static str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code, message }
    }
}
