//! What a CORS preflight is: a browser's question whether a page of another origin may send the request that it is about to.

use http::header::{ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, COOKIE, HeaderName, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method};
use http_body::Body;

use crate::forward::Upgrade;

/// Returns whether a request is a preflight as browsers send them (Fetch, "CORS-preflight fetch"): without credentials and
/// without a body. What carries either could do more than ask, and is a request like any other.
pub(crate) fn is(parts: &Parts, body: &impl Body, upgrade: Upgrade) -> bool {
    let headers = &parts.headers;
    parts.method == Method::OPTIONS
        && upgrade == Upgrade::None
        && body.is_end_stream()
        && only(headers, &ORIGIN).is_some()
        && only(headers, &ACCESS_CONTROL_REQUEST_METHOD)
            .is_some_and(|method| Method::from_bytes(method.as_bytes()).is_ok())
        && !headers.contains_key(COOKIE)
        && !headers.contains_key(AUTHORIZATION)
}

/// Returns the value of a header that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

#[cfg(test)]
mod tests;
