//! Texts that stand for something else: durations, sizes, origins, networks. Each error says how to write it.

use std::net::SocketAddr;
use std::os::unix;
use std::time::Duration;

use identity::{Ip, Origin, Scheme};
use ipnet::IpNet;
use jiff::Timestamp;
use proxy::{Endpoint, EndpointScheme, ForwardedHeader, Host, TcpEndpoint};

type Parsed<T> = Result<T, &'static str>;

/// Reads `30s`, `1h30m`, `250ms`, `14d`.
pub(crate) fn duration(text: &str) -> Parsed<Duration> {
    const REMEDY: &str = "no duration: write a number and a unit, such as `250ms`, `30s`, `5m`, `14h` or `7d`";
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or(REMEDY)?;
        let (number, after) = rest.split_at(digits);
        let number: u64 = number.parse().map_err(|_| REMEDY)?;
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let milliseconds: u64 = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60 * 1000,
            "h" => 60 * 60 * 1000,
            "d" => 24 * 60 * 60 * 1000,
            _ => return Err(REMEDY),
        };
        let part = Duration::from_millis(number.checked_mul(milliseconds).ok_or(REMEDY)?);
        total = total.checked_add(part).ok_or(REMEDY)?;
        rest = after;
    }
    if total.is_zero() {
        return Err(if text.is_empty() { REMEDY } else { "a duration of nothing: write a longer one" });
    }
    if total > MAX_DURATION { Err("longer than ten years: write a shorter duration") } else { Ok(total) }
}

/// Reads `64KiB`, `16MiB`, `1GiB` or a number of bytes.
pub(crate) fn size(text: &str) -> Parsed<u64> {
    const REMEDY: &str = "no size: write a number of bytes, or one with a unit, such as `64KiB`, `16MiB` or `1GiB`";
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| REMEDY)?;
    let factor: u64 = match unit.trim_start() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(REMEDY),
    };
    match number.checked_mul(factor) {
        Some(0) | None => Err(REMEDY),
        Some(bytes) => Ok(bytes),
    }
}

/// Reads `ip:port`.
pub(crate) fn address(text: &str) -> Parsed<SocketAddr> {
    text.parse().map_err(|_| "no address: write `ip:port`, such as `0.0.0.0:443` or `[::]:443`")
}

/// Reads a network, or an address that stands for a network of its own.
pub(crate) fn network(text: &str) -> Parsed<IpNet> {
    const REMEDY: &str = "no network: write an address and a prefix length, such as `10.0.0.0/8` or `2001:db8::/32`";
    let net = match text.parse::<IpNet>() {
        Ok(net) => net,
        Err(_) => text.parse::<std::net::IpAddr>().map(IpNet::from).map_err(|_| REMEDY)?,
    };
    if net.addr() == net.network() {
        Ok(net)
    } else {
        Err("a network whose address has bits behind its prefix: write the first address of the network")
    }
}

/// Reads the origin of `authenticate.url` and of issuers' pages.
pub(crate) fn origin(text: &str) -> Parsed<Origin> {
    text.parse().map_err(|_| "no origin: write `https://host` or `https://host:port`, without a path")
}

/// Reads an `issuer`: an https URL; http only on this machine, because its keys would come unprotected.
pub(crate) fn issuer(text: &str) -> Parsed<identity::Issuer> {
    let url = url::Url::parse(text).map_err(|_| "no URL: write it as the provider's discovery document states it")?;
    if url.query().is_some() || url.fragment().is_some() || url.host_str().is_none() {
        return Err("no issuer: write `https://host/path` without a query or a fragment");
    }
    let loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => {}
        "http" if loopback => {}
        _ => return Err("an issuer that is not reached over TLS: write its `https://` URL"),
    }
    identity::Issuer::new(text).map_err(|_| "empty: write the provider's issuer URL")
}

/// Reads the URL of a table: over TLS, because what it says lets people in.
pub(crate) fn https_url(text: &str) -> Parsed<url::Url> {
    let url = url::Url::parse(text).map_err(|_| "no URL: write `https://host/path`")?;
    if url.scheme() != "https" {
        return Err("a URL that is not asked over TLS: write `https://host/path`");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a URL with credentials: remove the part before `@`");
    }
    if url.fragment().is_some() { Err("a URL with a fragment: remove the part from `#`") } else { Ok(url) }
}

/// Reads a number from 0 to 1.
pub(crate) fn ratio(text: &str) -> Parsed<f64> {
    let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    ratio.ok_or("no part of a whole: write a number from 0 to 1, such as `0.1` for one in ten")
}

/// Reads the URL of a receiver of OTLP: whether it is TLS, host, port and path.
pub(crate) fn http_url(text: &str) -> Parsed<(bool, String, u16, String)> {
    const REMEDY: &str = "no URL: write `https://host:port`";
    let url = url::Url::parse(text).map_err(|_| REMEDY)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a URL with credentials: remove the part before `@`, and use `headers`");
    }
    if url.query().is_some() || url.fragment().is_some() || !matches!(url.scheme(), "https" | "http") {
        return Err(REMEDY);
    }
    let (host, port) = (url.host_str().ok_or(REMEDY)?, url.port_or_known_default().ok_or(REMEDY)?);
    Ok((url.scheme() == "https", bare(host), port, url.path().to_owned()))
}

/// Reads the URL of a receiver of syslog: whether it is TLS, host and port.
pub(crate) fn syslog_url(text: &str) -> Parsed<(bool, String, u16)> {
    const REMEDY: &str = "no URL of syslog: write `tls://host:6514`, or `tcp://host:514`";
    let (scheme, rest) = text.split_once("://").ok_or(REMEDY)?;
    let authority: http::uri::Authority = rest.parse().map_err(|_| REMEDY)?;
    // RFC 5425 §4.1 has a port; plain TCP has none that all agree on.
    let port = match (scheme, authority.port_u16()) {
        ("tls" | "tcp", Some(port)) if port != 0 => port,
        ("tls", None) => 6514,
        _ => return Err(REMEDY),
    };
    let is_whole =
        !authority.as_str().contains('@') && !authority.host().is_empty() && !authority.as_str().ends_with(':');
    if is_whole { Ok((scheme == "tls", bare(authority.host()), port)) } else { Err(REMEDY) }
}

fn bare(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').to_owned()
}

/// Reads what stands in a header of syslog messages (RFC 5424 §6: PRINTUSASCII).
pub(crate) fn syslog_name(text: &str) -> Parsed<&str> {
    let fits = (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if fits { Ok(text) } else { Err("no name for syslog: write printable ASCII characters without a space") }
}

/// `from` of a route, read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct From {
    pub(crate) scheme: Scheme,
    pub(crate) host: Host,
    pub(crate) port: u16,
}

/// Reads `from`: an origin, with `*.` in front of the host for one label.
pub(crate) fn from(text: &str) -> Parsed<From> {
    const REMEDY: &str = "no external URL: write `https://host` or `https://host:port`; paths go into `path`, `prefix` \
                          or `regex`";
    let (scheme, rest) = text.split_once("://").ok_or(REMEDY)?;
    let (wildcard, rest) = rest.strip_prefix("*.").map_or((false, rest), |rest| (true, rest));
    if rest.contains('*') {
        return Err("a `*` that does not stand for one whole label: write `https://*.example.com`");
    }
    let origin: Origin = format!("{scheme}://{rest}").parse().map_err(|_| REMEDY)?;
    let host = origin.host().to_owned();
    Ok(From {
        scheme: origin.scheme(),
        host: if wildcard { Host::Wildcard(host) } else { Host::Exact(host) },
        port: origin.port(),
    })
}

/// Reads `from` of a route of TLS connections: a server name, with `*.` in front for one label. The port is that of the
/// listener, whatever is written.
pub(crate) fn tls_from(text: &str) -> Parsed<Host> {
    const REMEDY: &str = "no server name: write `tls://host`, such as `tls://db.example.com`";
    let rest = text.strip_prefix("tls://").ok_or(REMEDY)?;
    let From { host, .. } = from(&format!("https://{rest}")).map_err(|_| REMEDY)?;
    let (Host::Exact(name) | Host::Wildcard(name)) = &host;
    // RFC 6066 §3: the name that a client asks for is never an address.
    let is_address = name.starts_with('[') || name.parse::<std::net::IpAddr>().is_ok();
    if is_address { Err(REMEDY) } else { Ok(host) }
}

/// Reads `from` of a route of tunnels: the host, and the port of the service behind it, which is 443 unless it is written.
pub(crate) fn tunnel_from(text: &str) -> Parsed<From> {
    const REMEDY: &str = "no tunnel: write `tcp+https://host:port`, with the port of the service, such as \
                          `tcp+https://ssh.example.com:22`";
    let rest = text.strip_prefix("tcp+https://").ok_or(REMEDY)?;
    from(&format!("https://{rest}")).map_err(|_| REMEDY)
}

/// Reads an endpoint over TCP.
pub(crate) fn tcp_endpoint(text: &str) -> Parsed<TcpEndpoint> {
    const REMEDY: &str = "no TCP endpoint: write `tcp://host:port`";
    let rest = text.strip_prefix("tcp://").ok_or(REMEDY)?;
    let (_, port) = rest.rsplit_once(':').ok_or(REMEDY)?;
    let port = port.parse().ok().filter(|port| *port != 0).ok_or(REMEDY)?;
    let origin: Origin = format!("https://{rest}").parse().map_err(|_| REMEDY)?;
    if rest.contains(['/', '?', '#', '@']) {
        Err(REMEDY)
    } else {
        Ok(TcpEndpoint { host: origin.host().to_owned(), port })
    }
}

/// Reads an endpoint of `to`.
pub(crate) fn endpoint(text: &str) -> Parsed<Endpoint> {
    const REMEDY: &str = "no upstream URL: write `http://host:port`, `https://host:port`, `h2c://host:port` or \
                          `unix:///path/to.sock`";
    let (scheme, rest) = text.split_once("://").ok_or(REMEDY)?;
    if scheme == "unix" {
        return unix_socket(rest);
    }
    // `Origin` fills in the port of its own scheme; that of h2c is http's.
    let (scheme, plain) = match scheme {
        "http" => (EndpointScheme::Http, Scheme::Http),
        "https" => (EndpointScheme::Https, Scheme::Https),
        "h2c" => (EndpointScheme::H2c, Scheme::Http),
        _ => return Err(REMEDY),
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains('@') {
        return Err("an upstream URL with credentials: remove the part before `@`");
    }
    if rest.contains(['/', '?', '#']) {
        return Err("an upstream URL with a path or query: write scheme, host and port only; paths pass unchanged");
    }
    let origin: Origin = format!("{}://{rest}", plain.as_str()).parse().map_err(|_| REMEDY)?;
    Ok(Endpoint { scheme, host: origin.host().to_owned(), port: origin.port(), weight: 1 })
}

/// Reads the path of a Unix socket.
fn unix_socket(path: &str) -> Parsed<Endpoint> {
    if !path.starts_with('/') {
        return Err("a Unix socket with a relative path: write `unix:///path/to.sock`, with three slashes");
    }
    if path.ends_with('/') {
        return Err("a Unix socket whose path ends with a slash: name the socket, not its folder");
    }
    if path.contains(['?', '#']) {
        return Err("a Unix socket with a query: write its path only");
    }
    unix::net::SocketAddr::from_pathname(path)
        .map_err(|_| "a Unix socket with too long a path: move the socket, or link to it")?;
    Ok(Endpoint { scheme: EndpointScheme::Unix, host: path.to_owned(), port: 0, weight: 1 })
}

/// Reads a host with an optional port, as it stands in `Host`.
pub(crate) fn authority(text: &str) -> Parsed<String> {
    const REMEDY: &str = "no host: write `name` or `name:port`";
    format!("http://{text}").parse::<Origin>().map_err(|_| REMEDY)?;
    if text.ends_with('/') { Err(REMEDY) } else { Ok(text.to_ascii_lowercase()) }
}

/// Reads a name to verify a certificate against.
pub(crate) fn server_name(text: &str) -> Parsed<String> {
    rustls_pki_types::ServerName::try_from(text)
        .map(|_| text.to_owned())
        .map_err(|_| "no server name: write a DNS name or an IP address, without a port")
}

/// Reads a value of `acr_values`.
pub(crate) fn acr(text: &str) -> Parsed<String> {
    let reason = "no `acr`: write one without blanks, quotes and backslashes, as the provider names it";
    if authenticate::is_acr(text) { Ok(text.to_owned()) } else { Err(reason) }
}

/// Reads the name of a header.
pub(crate) fn header_name(text: &str) -> Parsed<http::HeaderName> {
    http::HeaderName::try_from(text).map_err(|_| "no header name: write letters, digits and hyphens")
}

/// Reads `forwarded_header`.
pub(crate) fn forwarded_header(text: &str) -> Parsed<ForwardedHeader> {
    const REMEDY: &str = "no header that names a client: write `x-forwarded-for`, `forwarded`, `none`, or a header that \
                          holds one address, such as `x-real-ip`";
    match &*text.to_ascii_lowercase() {
        "x-forwarded-for" => Ok(ForwardedHeader::XForwardedFor),
        "forwarded" => Ok(ForwardedHeader::Forwarded),
        "none" => Ok(ForwardedHeader::None),
        // Those hold something else, and are set or needed by us.
        "host" | "cookie" | "authorization" | "connection" | "content-length" | "transfer-encoding" | "upgrade"
        | "te" | "x-request-id" | "x-forwarded-host" | "x-forwarded-proto" | "x-forwarded-port" => Err(REMEDY),
        name => header_name(name).map(ForwardedHeader::Single).map_err(|_| REMEDY),
    }
}

/// Reads a method that a route may take.
pub(crate) fn method(text: &str) -> Parsed<String> {
    any_method(text).and_then(|method| {
        if method == "CONNECT" { Err("a method that is never forwarded: remove it") } else { Ok(method) }
    })
}

/// Reads a method.
pub(crate) fn any_method(text: &str) -> Parsed<String> {
    let valid = !text.is_empty() && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
    if valid { Ok(text.to_owned()) } else { Err("no method: write it in capitals, such as `GET`") }
}

/// Reads an address without a port.
pub(crate) fn ip(text: &str) -> Parsed<Ip> {
    text.parse().map_err(|_| "no address: write one such as `203.0.113.7` or `2001:db8::7`")
}

/// Reads a point in time.
pub(crate) fn time(text: &str) -> Parsed<Timestamp> {
    text.parse().map_err(|_| "no time: write it as in `2026-01-31T12:00:00Z`")
}

/// Reads an absolute path that no endpoint of ours has.
pub(crate) fn path(text: &str) -> Parsed<String> {
    if !text.starts_with('/') {
        return Err("no path: start it with `/`");
    }
    if text.contains(['?', '#']) || text.chars().any(char::is_control) {
        return Err("no path: remove the query, the fragment or the control character");
    }
    let reserved = ["/.portcullis", "/.well-known/portcullis"];
    if reserved.iter().any(|own| text.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))) {
        return Err("reserved for Portcullis itself: choose another path");
    }
    if text.split('/').any(|segment| matches!(segment, "." | "..")) || text.contains("//") {
        return Err("a path that no request can have: requests are normalised, so remove `.`, `..` and `//`");
    }
    Ok(text.to_owned())
}

/// Reads path and query of a request that we make.
pub(crate) fn request_target(text: &str) -> Parsed<http::uri::PathAndQuery> {
    const REMEDY: &str = "no path: start it with `/`, and escape blanks and what is not ASCII";
    if text.starts_with('/') && !text.contains('#') { text.parse().map_err(|_| REMEDY) } else { Err(REMEDY) }
}

/// Reads what a path becomes: in normal form, `/` included.
pub(crate) fn rewritten_path(text: &str) -> Parsed<String> {
    if !text.starts_with('/') {
        return Err("no path: start it with `/`");
    }
    if text.contains(['?', '#', '\\', ' ']) || text.chars().any(char::is_control) {
        return Err("no path: remove the query, the fragment, the backslash or the blank");
    }
    if text.split('/').any(|segment| matches!(segment, "." | "..")) || text.contains("//") {
        return Err("a path that climbs or has an empty segment: remove `.`, `..` and `//`");
    }
    Ok(text.to_owned())
}

/// Reads the value of a header.
pub(crate) fn header_value(text: &str) -> Parsed<http::HeaderValue> {
    http::HeaderValue::try_from(text).map_err(|_| "no header value: remove line breaks and control characters")
}

/// Reads where a redirect leads.
pub(crate) fn location(text: &str) -> Parsed<String> {
    const REMEDY: &str = "no URL: write `https://host/path`, or an absolute path";
    let uri: http::Uri = text.parse().map_err(|_| REMEDY)?;
    let absolute = matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some();
    // `//host` is a host to a browser, not a path.
    let path = text.starts_with('/') && !text.starts_with("//") && !text.contains('\\');
    if absolute || path { Ok(text.to_owned()) } else { Err(REMEDY) }
}

/// Reads a pattern that the whole path must match.
pub(crate) fn regex(text: &str) -> Result<regex::Regex, String> {
    regex::RegexBuilder::new(&format!("^(?:{text})$")).size_limit(MAX_REGEX_BYTES).build().map_err(|error| {
        let reason = error.to_string();
        let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ");
        format!("no regular expression ({reason}): correct it")
    })
}

/// Reads `#rrggbb`.
pub(crate) fn color(text: &str) -> Parsed<String> {
    let digits = text.strip_prefix('#').unwrap_or_default();
    if digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("no colour: write `#rrggbb`")
    }
}

/// Reads an e-mail domain.
pub(crate) fn domain(text: &str) -> Parsed<String> {
    let domain = text.strip_prefix('@').unwrap_or(text);
    match Origin::new(Scheme::Https, domain, None) {
        Ok(origin) if !domain.ends_with('.') => Ok(origin.host().to_owned()),
        _ => Err("no domain: write what stands behind the `@`, such as `example.com`"),
    }
}

/// Reads `memory` or `file:PATH`; the path is still relative.
pub(crate) fn store(text: &str) -> Parsed<authenticate::StoreLocation> {
    match text.split_once(':') {
        None if text == "memory" => Ok(authenticate::StoreLocation::Memory),
        Some(("file", path)) if !path.is_empty() => Ok(authenticate::StoreLocation::File(path.into())),
        _ => Err("no session store: write `memory` or `file:PATH`"),
    }
}

/// Reads a name that metrics, logs and audit records use.
pub(crate) fn name(text: &str) -> Parsed<String> {
    let valid = !text.is_empty() && text.len() <= MAX_NAME && !text.chars().any(char::is_control);
    if valid { Ok(text.to_owned()) } else { Err("no name: write 1 to 200 characters without control characters") }
}

/// Bounds what a `Duration` is added to: dates stay in range.
const MAX_DURATION: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);

/// A compiled pattern larger than this is a mistake, not a path.
const MAX_REGEX_BYTES: usize = 1024 * 1024;

/// Characters of a name.
const MAX_NAME: usize = 200;

#[cfg(test)]
mod tests;
