//! `Max-Forwards`, which has a proxy count, or answer in the app's stead (RFC 9110 §7.6.2). `TRACE`, the other method that has it,
//! goes nowhere.

use authorize::Permit;
use bytes::Bytes;
use http::header::{ALLOW, MAX_FORWARDS};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use crate::body::Content;
use crate::exchange::Exchange;
use crate::respond::{self, METHODS};

/// Counts a request on its way, and returns whether it is to go no further. What is no number says nothing.
pub(crate) fn ends_here(method: &Method, headers: &mut HeaderMap) -> bool {
    if *method != Method::OPTIONS {
        return false;
    }
    let Some(left) = headers.get(MAX_FORWARDS).and_then(|value| value.to_str().ok()?.parse::<u32>().ok()) else {
        return false;
    };
    if let Some(left) = left.checked_sub(1) {
        headers.insert(MAX_FORWARDS, left.into());
    }
    left == 0
}

/// Answers in the app's stead: the permit is spent by it.
pub(crate) fn answer(permit: Permit, methods: &[String], exchange: &Exchange) -> Response<Content> {
    let mut response = Response::new(Content::Whole(Bytes::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    let allowed = HeaderValue::from_str(&methods.join(", ")).ok().filter(|allowed| !allowed.is_empty());
    response.headers_mut().insert(ALLOW, allowed.unwrap_or(HeaderValue::from_static(METHODS)));
    respond::seal(response.headers_mut(), exchange);
    drop(permit);
    response
}

#[cfg(test)]
mod tests;
