//! Takes from an upstream's response what was meant for us alone.

use http::HeaderMap;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, TE, TRANSFER_ENCODING, UPGRADE};

/// Removes what was meant for us from a response's headers (RFC 9110 §7.6.1).
pub(super) fn downstream(headers: &mut HeaderMap) {
    if !headers.keys().any(|name| FOR_US.contains(name)) {
        return;
    }
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    if headers.contains_key(TRANSFER_ENCODING) {
        // RFC 9112 §6.3: the length was overridden, and may have been meant to smuggle a second response.
        headers.remove(CONTENT_LENGTH);
    }
    for name in named.iter().chain(&FOR_US) {
        headers.remove(name);
    }
}

/// Meant for one connection.
static FOR_US: [HeaderName; 6] = [
    CONNECTION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];
