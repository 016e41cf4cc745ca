//! What a request offers as credentials.

use http::HeaderMap;
use identity::Origin;
use jiff::Timestamp;

/// What a request offers as credentials, and to which host.
#[derive(Clone, Copy, Debug)]
pub struct Presented<'a> {
    /// The origin of the route, or of our own endpoint, that was asked. A handle is good on its own host only.
    pub origin: &'a Origin,
    /// The request's headers.
    pub headers: &'a HeaderMap,
    /// When it came.
    pub time: Timestamp,
}
