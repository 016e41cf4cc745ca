//! Keeps a request until it is sure that it need not be sent again.

use http::header::{HeaderName, HeaderValue};
use http::{Method, Request, Uri};
use http_body::Body as _;

use crate::upstream::{Lease, RequestBody};

/// What is kept of a request that may be sent again after a reused connection turns out to have been closing.
pub(super) struct Replay {
    method: Method,
    uri: Uri,
    // A line each. A clone of the map would count references to every value, on cache lines that all threads share.
    headers: Vec<u8>,
}

impl Replay {
    /// Keeps a request without a body that is idempotent (RFC 9110 §9.2.2). Anything else is never sent twice.
    pub(super) fn of(lease: &Lease, request: &Request<RequestBody>) -> Option<Self> {
        let reused = matches!(lease, Lease::Http1 { reused: true, .. });
        if !reused || !request.method().is_idempotent() || !request.body().is_end_stream() {
            return None;
        }
        let lines =
            || request.headers().iter().map(|(name, value)| [name.as_str().as_bytes(), b":", value.as_bytes(), b"\n"]);
        let mut headers = Vec::with_capacity(lines().flatten().map(<[u8]>::len).sum());
        lines().flatten().for_each(|part| headers.extend_from_slice(part));
        Some(Self { method: request.method().clone(), uri: request.uri().clone(), headers })
    }

    /// Makes the request again; `None` should that not succeed to the letter.
    pub(super) fn request(self) -> Option<Request<RequestBody>> {
        let mut request = Request::new(RequestBody::empty());
        // Neither a name nor a value holds a line feed, and no name a colon.
        for line in self.headers.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let (name, value) = (line.get(..colon)?, line.get(colon + 1..)?);
            request.headers_mut().append(HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?);
        }
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        Some(request)
    }
}
