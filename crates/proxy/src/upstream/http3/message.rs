//! Requests as header sections, and header sections as responses (RFC 9114 §4).

use http::header::{CONTENT_LENGTH, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};

use super::broken::Broken;
use super::frame::{self, MAX_SECTION};
use super::qpack;
use crate::upstream::http1::digits;

/// Writes the head of a request, whose URI has a scheme and an authority, as a HEADERS frame.
pub(super) fn request<B>(request: &Request<B>, to: &mut Vec<u8>) {
    let mut section = Vec::with_capacity(ROOM);
    qpack::begin(&mut section);
    qpack::write(&mut section, ":method", request.method().as_str().as_bytes());
    let uri = request.uri();
    qpack::write(&mut section, ":scheme", uri.scheme_str().unwrap_or("https").as_bytes());
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    qpack::write(&mut section, ":authority", authority.as_bytes());
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    qpack::write(&mut section, ":path", target.as_bytes());
    lines(request.headers(), &mut section);
    framed(&section, to);
}

/// Writes trailers as a HEADERS frame.
pub(super) fn trailers(trailers: &HeaderMap, to: &mut Vec<u8>) {
    let mut section = Vec::new();
    qpack::begin(&mut section);
    lines(trailers, &mut section);
    framed(&section, to);
}

fn lines(headers: &HeaderMap, section: &mut Vec<u8>) {
    for (name, value) in headers {
        qpack::write(section, name.as_str(), value.as_bytes());
    }
}

fn framed(section: &[u8], to: &mut Vec<u8>) {
    frame::begin(to, frame::HEADERS, section.len());
    to.extend_from_slice(section);
}

/// Reads the head of a response.
pub(super) fn read_response(section: &[u8]) -> Result<Response<()>, Broken> {
    let (status, headers) = read(section)?;
    let mut response = Response::new(());
    *response.status_mut() = status.ok_or(Broken::Invalid("no `:status`"))?;
    *response.headers_mut() = headers;
    *response.version_mut() = Version::HTTP_3;
    Ok(response)
}

/// Reads trailers, which have no status (RFC 9114 §4.3).
pub(super) fn read_trailers(section: &[u8]) -> Result<HeaderMap, Broken> {
    match read(section)? {
        (None, trailers) => Ok(trailers),
        (Some(_), _) => Err(Broken::Invalid("a second response on one stream")),
    }
}

fn read(section: &[u8]) -> Result<(Option<StatusCode>, HeaderMap), Broken> {
    let (mut status, mut headers, mut size) = (None, HeaderMap::new(), 0);
    let whole = qpack::read(section, |name, value| {
        // As RFC 9114 §4.2.2 counts; a few bytes of the table's indexes stand for far more.
        size += name.len() + value.len() + 32;
        if size > MAX_SECTION || headers.len() == MAX_HEADERS {
            return None;
        }
        if name == b":status" {
            let is_first = status.is_none() && headers.is_empty();
            status = Some(StatusCode::from_bytes(value).ok().filter(|_| is_first)?);
            return Some(());
        }
        // Upper case is refused, and so are all other names that begin with a colon.
        let name = HeaderName::from_lowercase(name).ok().filter(|name| !FOR_ONE_CONNECTION.contains(name))?;
        headers.append(name, HeaderValue::from_bytes(value).ok()?);
        Some(())
    });
    match whole {
        Some(()) => Ok((status, headers)),
        None if size > MAX_SECTION || headers.len() == MAX_HEADERS => Err(Broken::TooLarge),
        None => Err(Broken::Invalid("malformed header fields")),
    }
}

/// Returns how many bytes of a body follow a response's head; `None` where it does not say.
pub(super) fn length(method: &Method, response: &Response<()>) -> Result<Option<u64>, Broken> {
    let mut lengths = response.headers().get_all(CONTENT_LENGTH).iter().map(|length| digits(length.as_bytes()));
    let first = lengths.next();
    if first.is_some_and(|first| first.is_none() || lengths.any(|other| other != first)) {
        return Err(Broken::Invalid("`Content-Length` is no number, or several"));
    }
    let has_none =
        *method == Method::HEAD || matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    Ok(if has_none { Some(0) } else { first.flatten() })
}

/// Must not stand in a message (RFC 9114 §4.2).
static FOR_ONE_CONNECTION: [HeaderName; 5] = [
    http::header::CONNECTION,
    http::header::TRANSFER_ENCODING,
    http::header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Header fields of a response.
const MAX_HEADERS: usize = 200;

/// Room for the head of most requests.
const ROOM: usize = 512;

#[cfg(test)]
mod tests;
