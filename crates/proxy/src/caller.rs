//! Who reads an answer of ours: a person in a browser, a gRPC client, or another program.

use http::{HeaderMap, HeaderName, Method, Request, header};

/// Who reads an answer of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A browser that navigates: a redirect or a page makes sense to it.
    Browser,
    /// A gRPC or gRPC-Web client, with the content type that it understands.
    Grpc(&'static str),
    /// Anything else: scripts of a page, APIs, WebSockets.
    Program,
}

impl Caller {
    /// Looks at the head of a request.
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        let headers = request.headers();
        // Whoever asks for a tunnel takes any 2xx for one, and follows no redirect: whatever it says of itself.
        if *request.method() == Method::CONNECT {
            return Self::Program;
        }
        if let Some(content_type) = grpc_content_type(headers) {
            return Self::Grpc(content_type);
        }
        // Browsers say what they are doing; a script's request must not be led to a provider's page that it cannot show.
        let navigates = match headers.get(SEC_FETCH_MODE) {
            Some(mode) => mode == "navigate",
            None => {
                matches!(*request.method(), Method::GET | Method::HEAD)
                    && !headers.contains_key(header::UPGRADE)
                    && accepts_html(headers)
            }
        };
        if navigates { Self::Browser } else { Self::Program }
    }

    /// Returns whether the path names a method of a service: gRPC, and gRPC-Web too, which reaches the same methods. A rule
    /// over `request.grpc` must not depend on which of the two a caller chooses.
    pub(crate) const fn calls_a_method(self) -> bool {
        matches!(self, Self::Grpc(_))
    }

    /// Returns whether this is gRPC (and not gRPC-Web, which is plain HTTP to everybody between).
    pub(crate) fn is_grpc(self) -> bool {
        self == Self::Grpc(GRPC)
    }
}

pub(crate) fn grpc_content_type(headers: &HeaderMap) -> Option<&'static str> {
    let content_type = headers.get(header::CONTENT_TYPE)?.as_bytes();
    let prefix = content_type.get(..GRPC.len())?;
    if !prefix.eq_ignore_ascii_case(GRPC.as_bytes()) {
        return None;
    }
    let rest = content_type.get(GRPC.len()..)?.to_ascii_lowercase();
    match &*rest {
        rest if rest.starts_with(b"-web-text") => Some("application/grpc-web-text"),
        rest if rest.starts_with(b"-web") => Some("application/grpc-web"),
        [] | [b'+' | b';' | b' ', ..] => Some(GRPC),
        _ => None,
    }
}

fn accepts_html(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|accept| accept.to_str().ok())
        .flat_map(|accept| accept.split(','))
        .any(is_html)
}

/// Returns whether a range of `Accept` asks for HTML: with a weight of 0 it does the opposite (RFC 9110 §12.4.2).
fn is_html(range: &str) -> bool {
    let mut parts = range.split(';').map(str::trim);
    let refuses = |part: &str| {
        let weight = part.split_once('=').filter(|(name, _)| name.eq_ignore_ascii_case("q"));
        weight.is_some_and(|(_, weight)| weight.parse() == Ok(0.0_f32))
    };
    parts.next().is_some_and(|range| range.eq_ignore_ascii_case("text/html")) && !parts.any(refuses)
}

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const GRPC: &str = "application/grpc";

#[cfg(test)]
mod tests;
