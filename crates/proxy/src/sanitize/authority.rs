//! The host that a request asks for: one, whichever way it was written.

use std::fmt;
use std::net::Ipv6Addr;

use http::header::{HOST, InvalidHeaderValue};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Version};
use memchr::memrchr;

use super::Refusal;

/// Host and port that a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authority {
    // Invariant: lower case, no trailing dot, not empty, only characters of a host; an IPv6 address stands in brackets.
    host: Box<str>,
    port: Option<u16>,
}

impl Authority {
    /// Returns the port, where one was written.
    pub(crate) const fn port(&self) -> Option<u16> {
        self.port
    }

    /// Returns the host: lower case, without trailing dot and port.
    pub(crate) fn into_host(self) -> Box<str> {
        self.host
    }

    /// Returns host and port as a header has them; shares the `Host` that came where it is the same.
    ///
    /// # Errors
    /// They are no header value, which the constructor rules out.
    pub(crate) fn to_header(&self, came: Option<&HeaderValue>) -> Result<HeaderValue, InvalidHeaderValue> {
        match (self.port, came) {
            (None, Some(came)) if came.as_bytes() == self.host.as_bytes() => Ok(came.clone()),
            (None, _) => HeaderValue::from_str(&self.host),
            (Some(_), _) => HeaderValue::from_str(&self.to_string()),
        }
    }

    fn parse(text: &[u8]) -> Result<Self, Refusal> {
        let text = std::str::from_utf8(text).map_err(|_| INVALID)?;
        let (host, port) = split_port(text)?;
        let host = host.strip_suffix('.').unwrap_or(host);
        let valid = match host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => is_name(host),
        };
        if valid { Ok(Self { host: host.to_ascii_lowercase().into(), port }) } else { Err(INVALID) }
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Returns the authority that the request line (or `:authority`) and `Host` agree on.
///
/// # Errors
/// There is none, there are several, they disagree, or what is there is no host.
pub(crate) fn authority(parts: &Parts) -> Result<Authority, Refusal> {
    let host = host_header(&parts.headers)?;
    let default_port = match parts.uri.scheme_str() {
        None => None,
        Some("http") => Some(80),
        Some("https") => Some(443),
        Some(_) => return Err(Refusal::bad_request("scheme-invalid", "the scheme is neither http nor https")),
    };
    match (parts.uri.authority(), host) {
        (None, None) => Err(MISSING),
        // RFC 9112 §3.2: also beside a target that names the host.
        (Some(_), None) if parts.version == Version::HTTP_11 => Err(MISSING),
        (None, Some(host)) => Ok(host),
        (Some(target), host) => {
            let target = Authority::parse(target.as_str().as_bytes())?;
            match host {
                Some(host) if !same(&target, &host, default_port) => {
                    Err(Refusal::bad_request("host-mismatch", "`Host` names another host than the request's target"))
                }
                Some(_) | None => Ok(target),
            }
        }
    }
}

/// Returns what a `CONNECT` asks a tunnel to: a host and a port, and nothing else.
///
/// # Errors
/// As above, or there is no port, or there is a scheme or a path.
pub(crate) fn connect_authority(parts: &Parts) -> Result<Authority, Refusal> {
    // RFC 9112 §3.2.3: one form alone. Over HTTP/2 there is none but it (RFC 9113 §8.5).
    if parts.uri.scheme().is_some() || parts.uri.path_and_query().is_some() {
        return Err(CONNECT_TARGET);
    }
    let authority = authority(parts)?;
    // RFC 9110 §9.3.6: no port is the default one.
    if authority.port.is_some() { Ok(authority) } else { Err(CONNECT_TARGET) }
}

fn host_header(headers: &HeaderMap) -> Result<Option<Authority>, Refusal> {
    let mut values = headers.get_all(HOST).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Refusal::bad_request("host-repeated", "the request has more than one `Host`"));
    }
    first.map(|value| Authority::parse(value.as_bytes())).transpose()
}

fn same(left: &Authority, right: &Authority, default_port: Option<u16>) -> bool {
    left.host == right.host && left.port.or(default_port) == right.port.or(default_port)
}

/// Splits at the colon of the port; those of an IPv6 address stand in brackets.
fn split_port(text: &str) -> Result<(&str, Option<u16>), Refusal> {
    let colon = memrchr(b':', text.as_bytes());
    match colon.and_then(|at| text.split_at_checked(at)).and_then(|(host, port)| Some((host, port.strip_prefix(':')?)))
    {
        Some((host, port)) if !port.ends_with(']') => {
            // `u16::from_str` also takes a sign.
            let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
            let port = port.parse().ok().filter(|port| digits && *port != 0).ok_or(INVALID)?;
            Ok((host, Some(port)))
        }
        Some(_) | None => Ok((text, None)),
    }
}

/// Tells whether a text is a name or an IPv4 address. Quotes, semicolons, commas and escapes never are: they would end
/// a value where the host is written into another header.
fn is_name(host: &str) -> bool {
    // A dot stands before the name, and none before another or at the end.
    let mut previous = b'.';
    let is_valid = host.bytes().all(|byte| {
        let after_dot = std::mem::replace(&mut previous, byte) == b'.';
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || byte == b'.' && !after_dot
    });
    is_valid && previous != b'.' && host.len() <= MAX_NAME
}

/// RFC 1035 §2.3.4.
const MAX_NAME: usize = 253;

const MISSING: Refusal = Refusal::bad_request("host-missing", "the request names no host");
const CONNECT_TARGET: Refusal =
    Refusal::bad_request("connect-target-invalid", "the target of a CONNECT is not `host:port`");
const INVALID: Refusal = Refusal::bad_request("host-invalid", "the request's host is not a host name or address");

#[cfg(test)]
mod tests;
