//! The forwarding headers that an upstream gets: rebuilt from what is known, never from what was claimed.

use http::header::{HeaderName, InvalidHeaderValue};
use http::{HeaderMap, HeaderValue};
use identity::{Ip, Scheme};

/// What the upstream learns of how the request reached us.
#[derive(Debug)]
pub(crate) struct Told {
    /// Who is connected, of [`client_header`].
    pub(crate) client: HeaderValue,
    pub(crate) scheme: Scheme,
    /// The host that was asked for, with its port where one was given.
    pub(crate) host: HeaderValue,
    pub(crate) port: Option<u16>,
    pub(crate) request_id: HeaderValue,
    /// The single-address header that the listener's proxies send, for apps that read it.
    pub(crate) single: Option<HeaderName>,
}

/// Sets `X-Forwarded-For`, `-Proto`, `-Host`, `-Port` and `X-Request-Id`, in the stead of any that are there.
pub(crate) fn forwarded_headers(headers: &mut HeaderMap, told: Told) {
    let port = match told.port.unwrap_or(told.scheme.default_port()) {
        443 => HeaderValue::from_static("443"),
        80 => HeaderValue::from_static("80"),
        other => HeaderValue::from(other),
    };
    if let Some(name) = told.single {
        headers.insert(name, told.client.clone());
    }
    headers.insert(FOR, told.client);
    headers.insert(PROTO, HeaderValue::from_static(told.scheme.as_str()));
    headers.insert(HOST, told.host);
    headers.insert(PORT, port);
    headers.insert(REQUEST_ID, told.request_id);
}

/// Returns an address as `X-Forwarded-For` names it.
///
/// # Errors
/// The address is no header value, which none is.
pub(crate) fn client_header(address: Ip) -> Result<HeaderValue, InvalidHeaderValue> {
    HeaderValue::from_str(&address.to_string())
}

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
