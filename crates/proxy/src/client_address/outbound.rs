//! The forwarding headers that an upstream gets: rebuilt from what is known, never from what was claimed.

use std::fmt::Display;

use bytes::Bytes;
use http::header::{HeaderName, InvalidHeaderValue};
use http::{HeaderMap, HeaderValue};
use identity::{ClientAddress, Scheme};

use crate::sanitize::Authority;

/// Sets `X-Forwarded-For`, `-Proto`, `-Host`, `-Port` and `X-Request-Id`, in the stead of any that are there.
///
/// # Errors
/// The authority is no header value; its constructor rules that out.
pub(crate) fn forwarded_headers(
    headers: &mut HeaderMap,
    address: &ClientAddress,
    scheme: Scheme,
    authority: &Authority,
    request_id: &HeaderValue,
) -> Result<(), InvalidHeaderValue> {
    let port = authority.port().unwrap_or(scheme.default_port());
    let for_ = value(address.client)?;
    let host = value(authority)?;
    headers.insert(FOR, for_);
    headers.insert(PROTO, HeaderValue::from_static(scheme.as_str()));
    headers.insert(HOST, host);
    headers.insert(PORT, HeaderValue::from(port));
    headers.insert(REQUEST_ID, request_id.clone());
    Ok(())
}

fn value(text: impl Display) -> Result<HeaderValue, InvalidHeaderValue> {
    HeaderValue::from_maybe_shared(Bytes::from(text.to_string()))
}

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
