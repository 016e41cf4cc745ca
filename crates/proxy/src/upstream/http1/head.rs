//! Heads of HTTP/1.1 (RFC 9112): a request's as bytes, and bytes as a response's.

use std::io::Write as _;
use std::mem::MaybeUninit;

use bytes::{Buf as _, Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, TRANSFER_ENCODING};
use http::{Extensions, HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body::Body as _;
use httparse::{ParserConfig, Status};
use hyper::ext::ReasonPhrase;

use super::broken::Broken;
use crate::upstream::body::RequestBody;

/// How a request tells where its body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestFraming {
    /// It has none.
    Empty,
    /// So many bytes.
    Length(u64),
    /// In chunks.
    Chunked,
}

/// How a response tells where its body ends (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResponseFraming {
    Length(u64),
    Chunked,
    /// With the connection.
    Close,
}

/// The head of a response.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// A reason phrase that is not the usual one.
    pub(super) extensions: Extensions,
    pub(super) framing: ResponseFraming,
    /// The connection may serve again.
    pub(super) keeps_alive: bool,
}

impl RequestFraming {
    /// Returns how a request's body is sent.
    pub(super) fn of(request: &Request<RequestBody>) -> Self {
        if request.body().is_end_stream() {
            return Self::Empty;
        }
        match (request.body().size_hint().exact(), request.method()) {
            (Some(length), _) => Self::Length(length),
            // HTTP/2 may announce a body and then send none; apps refuse chunks where they expect no body.
            (None, &Method::GET | &Method::HEAD) => Self::Empty,
            (None, _) => Self::Chunked,
        }
    }
}

/// Writes the head of a request. Its framing is what `framing` says, whatever its headers say.
pub(super) fn write(request: &Request<RequestBody>, framing: RequestFraming, to: &mut Vec<u8>) {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    for part in [request.method().as_str(), " ", target, " HTTP/1.1\r\n"] {
        to.extend_from_slice(part.as_bytes());
    }
    let mut says_length = false;
    for (name, value) in request.headers() {
        if *name == CONTENT_LENGTH {
            says_length = true;
        } else if *name != TRANSFER_ENCODING {
            line(to, name, value);
        }
    }
    match framing {
        RequestFraming::Empty if says_length => to.extend_from_slice(b"content-length: 0\r\n"),
        RequestFraming::Empty => {}
        RequestFraming::Length(length) => {
            // Writing to memory cannot fail.
            let _ = write!(to, "content-length: {length}\r\n");
        }
        RequestFraming::Chunked => to.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
    to.extend_from_slice(b"\r\n");
}

/// Writes a header or trailer.
pub(super) fn line(to: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    let (name, value) = (name.as_str().as_bytes(), value.as_bytes());
    to.reserve(name.len() + value.len() + 4);
    to.extend_from_slice(name);
    to.extend_from_slice(b": ");
    to.extend_from_slice(value);
    to.extend_from_slice(b"\r\n");
}

/// Takes a head from what was read once it is there whole. `looked_at` is how much was seen in vain before.
pub(super) fn take(read: &mut BytesMut, looked_at: &mut usize, method: &Method) -> Result<Option<Head>, Broken> {
    let Some(end) = end(read, *looked_at) else {
        // Another protocol may never send the end of a head.
        if !read.iter().zip(START).all(|(read, start)| read == start) {
            return Err(Broken::Framing("not HTTP/1"));
        }
        *looked_at = read.len();
        return if read.len() > MAX_HEAD { Err(Broken::TooLarge) } else { Ok(None) };
    };
    *looked_at = 0;
    if end > MAX_HEAD {
        return Err(Broken::TooLarge);
    }
    // A copy: what was read stays ours to be filled again.
    let bytes = read.get(..end).map(Bytes::copy_from_slice).unwrap_or_default();
    read.advance(end);
    parse(&bytes, method).map(Some)
}

/// Returns where a head ends: behind its first empty line.
fn end(read: &[u8], looked_at: usize) -> Option<usize> {
    let from = looked_at.saturating_sub(2);
    memchr::memchr_iter(b'\n', read.get(from..)?).find_map(|at| match read.get(from + at + 1..) {
        Some([b'\n', ..]) => Some(from + at + 2),
        Some([b'\r', b'\n', ..]) => Some(from + at + 3),
        _ => None,
    })
}

fn parse(bytes: &Bytes, method: &Method) -> Result<Head, Broken> {
    let mut lines = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut []);
    let parsed = ParserConfig::default().parse_response_with_uninit_headers(&mut response, bytes, &mut lines)?;
    let (Status::Complete(_), Some(code), Some(minor)) = (parsed, response.code, response.version) else {
        return Err(Broken::Framing("the head ends early"));
    };
    let status = StatusCode::from_u16(code).map_err(|_| Broken::Framing("the status is none"))?;
    let mut headers = HeaderMap::with_capacity(response.headers.len() + 1);
    let mut connection = Connection { keeps_alive: minor == 1, closes: false };
    for header in &*response.headers {
        let wrong = || Broken::Framing("a header is none");
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| wrong())?;
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(header.value)).map_err(|_| wrong())?;
        if name == CONNECTION {
            connection.hear(&value);
        }
        headers.append(name, value);
    }
    let mut extensions = Extensions::new();
    if let Some(reason) = response.reason.filter(|reason| Some(*reason) != status.canonical_reason())
        && let Ok(reason) = ReasonPhrase::try_from(bytes.slice_ref(reason.as_bytes()))
    {
        extensions.insert(reason);
    }
    let framing = framing(status, minor, &headers, method)?;
    // Who sends two framings may mean the other one (RFC 9112 §6.3).
    let is_plain = framing != ResponseFraming::Chunked || !headers.contains_key(CONTENT_LENGTH);
    // RFC 9110 §15.3.5: a 204 has no content. One that announces some may send it, and the next request would have it for
    // its answer.
    let is_empty = status != StatusCode::NO_CONTENT || !announces_content(&headers);
    let keeps_alive = connection.keeps_alive && is_plain && is_empty && framing != ResponseFraming::Close;
    Ok(Head { status, headers, extensions, framing, keeps_alive })
}

/// What the lines of `Connection` say (RFC 9112 §9.3).
struct Connection {
    keeps_alive: bool,
    closes: bool,
}

impl Connection {
    /// Hears one line. Once any asks to close, none undoes it.
    fn hear(&mut self, line: &HeaderValue) {
        let has = |option: &str| tokens(line).any(|token| token.eq_ignore_ascii_case(option));
        self.closes |= has("close");
        self.keeps_alive = !self.closes && (self.keeps_alive || has("keep-alive"));
    }
}

fn framing(status: StatusCode, minor: u8, headers: &HeaderMap, method: &Method) -> Result<ResponseFraming, Broken> {
    if status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Ok(ResponseFraming::Length(0));
    }
    if *method == Method::HEAD {
        return Ok(ResponseFraming::Length(0));
    }
    if let Some(last) = headers.get_all(TRANSFER_ENCODING).iter().next_back() {
        let is_chunked = tokens(last).next_back().is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
        return match (minor, is_chunked) {
            (0, _) => Err(Broken::Framing("`Transfer-Encoding` in HTTP/1.0")),
            (_, true) => Ok(ResponseFraming::Chunked),
            (_, false) => Ok(ResponseFraming::Close),
        };
    }
    let mut length = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        let said = value.to_str().unwrap_or_default().split(',').map(|number| digits(number.trim()));
        for number in said {
            match (number, length) {
                (Some(number), None) => length = Some(number),
                (Some(number), Some(before)) if number == before => {}
                _ => return Err(Broken::Framing("`Content-Length` is no number, or several")),
            }
        }
    }
    Ok(length.map_or(ResponseFraming::Close, ResponseFraming::Length))
}

fn announces_content(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING) || headers.get_all(CONTENT_LENGTH).iter().any(|length| length != "0")
}

/// Reads a number of nothing but digits: `u64::from_str` also takes a sign.
fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn tokens(line: &HeaderValue) -> impl DoubleEndedIterator<Item = &str> {
    line.to_str().unwrap_or_default().split(',').map(str::trim).filter(|token| !token.is_empty())
}

/// What every response begins with.
const START: &[u8] = b"HTTP/1.";

/// Bytes of a response's head, and of its trailers.
pub(super) const MAX_HEAD: usize = 128 * 1024;

/// Headers of a response.
pub(super) const MAX_HEADERS: usize = 200;

#[cfg(test)]
mod tests;
