//! Heads of HTTP/1.1 (RFC 9112): a request's as bytes, and bytes as a response's.

use std::io::Write as _;
use std::mem::MaybeUninit;

use bytes::{Buf as _, Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, TE, TRANSFER_ENCODING};
use http::{Extensions, HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body::Body as _;
use httparse::{ParserConfig, Status};
use hyper::ext::ReasonPhrase;

use super::broken::Broken;
use crate::client_address::Told;
use crate::http1::fields;
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
        request.body().size_hint().exact().map_or(Self::Chunked, Self::Length)
    }
}

/// Writes the head of a request, with what the upstream is told. Its framing is what `framing` says, whatever its headers
/// say.
pub(super) fn write(request: &Request<RequestBody>, told: &Told, framing: RequestFraming, to: &mut Vec<u8>) {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    for part in [request.method().as_str(), " ", target, " HTTP/1.1\r\n"] {
        to.extend_from_slice(part.as_bytes());
    }
    let mut says_length = false;
    for (name, value) in request.headers() {
        if *name == CONTENT_LENGTH {
            says_length = true;
        } else if *name != TRANSFER_ENCODING {
            fields::write(to, name, value);
            if *name == TE {
                // RFC 9110 §10.1.4: whoever sends it says so.
                to.extend_from_slice(b"connection: te\r\n");
            }
        }
    }
    for (name, value) in told.lines() {
        fields::write(to, name, value);
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

/// Takes a head from what was read once it is there whole. `looked_at` is how much was seen in vain before.
pub(super) fn take(read: &mut BytesMut, looked_at: &mut usize, method: &Method) -> Result<Option<Head>, Broken> {
    let Some(end) = fields::end(read, *looked_at) else {
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

fn parse(bytes: &Bytes, method: &Method) -> Result<Head, Broken> {
    let mut lines = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut []);
    // RFC 9112 §5.1: a proxy takes the spaces before a colon out of a response.
    let mut config = ParserConfig::default();
    config.allow_spaces_after_header_name_in_responses(true);
    let parsed = config.parse_response_with_uninit_headers(&mut response, bytes, &mut lines)?;
    let (Status::Complete(_), Some(code), Some(minor)) = (parsed, response.code, response.version) else {
        return Err(Broken::Framing("the head ends early"));
    };
    let status = StatusCode::from_u16(code).map_err(|_| Broken::Framing("the status is none"))?;
    let mut headers = HeaderMap::with_capacity(response.headers.len());
    let mut said = Said { keeps_alive: minor == 1, closes: false, coding: Coding::Unsaid, length: Length::Unsaid };
    for header in &*response.headers {
        let wrong = || Broken::Framing("a header is none");
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| wrong())?;
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(header.value)).map_err(|_| wrong())?;
        said.hear(&name, &value);
        headers.append(name, value);
    }
    let mut extensions = Extensions::new();
    if let Some(reason) = response.reason.filter(|reason| Some(*reason) != status.canonical_reason())
        && let Ok(reason) = ReasonPhrase::try_from(bytes.slice_ref(reason.as_bytes()))
    {
        extensions.insert(reason);
    }
    let framing = said.framing(status, minor, method)?;
    // Who sends two framings may mean the other one (RFC 9112 §6.3).
    let is_plain = framing != ResponseFraming::Chunked || said.length == Length::Unsaid;
    // RFC 9110 §15.3.5: a 204 has no content. One that announces some may send it, and the next request would have it for
    // its answer.
    let is_empty = status != StatusCode::NO_CONTENT || !said.announces_content();
    let keeps_alive = said.keeps_alive && is_plain && is_empty && framing != ResponseFraming::Close;
    Ok(Head { status, headers, extensions, framing, keeps_alive })
}

/// What the headers of a response say of its end and of its connection.
struct Said {
    keeps_alive: bool,
    closes: bool,
    coding: Coding,
    length: Length,
}

/// What the lines of `Transfer-Encoding` say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Unsaid,
    Chunked,
    /// One that was not asked for, and that nobody here takes off.
    Other,
}

/// What the lines of `Content-Length` say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Unsaid,
    Bytes(u64),
    /// No number, or several.
    Contradictory,
}

impl Said {
    /// Hears one header.
    fn hear(&mut self, name: &HeaderName, value: &HeaderValue) {
        if *name == CONTENT_LENGTH {
            self.length = value.as_bytes().split(|byte| *byte == b',').fold(self.length, |length, number| {
                match (length, digits(number.trim_ascii())) {
                    (Length::Unsaid, Some(number)) => Length::Bytes(number),
                    (Length::Bytes(before), Some(number)) if number == before => length,
                    (Length::Unsaid | Length::Bytes(_) | Length::Contradictory, _) => Length::Contradictory,
                }
            });
        } else if *name == TRANSFER_ENCODING {
            let is_chunked = self.coding == Coding::Unsaid && value.as_bytes().eq_ignore_ascii_case(b"chunked");
            self.coding = if is_chunked { Coding::Chunked } else { Coding::Other };
        } else if *name == CONNECTION {
            // RFC 9112 §9.3. Once any line asks to close, none undoes it.
            let has = |option: &str| tokens(value).any(|token| token.eq_ignore_ascii_case(option));
            self.closes |= has("close");
            self.keeps_alive = !self.closes && (self.keeps_alive || has("keep-alive"));
        }
    }

    fn framing(&self, status: StatusCode, minor: u8, method: &Method) -> Result<ResponseFraming, Broken> {
        if status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            return Ok(ResponseFraming::Length(0));
        }
        if *method == Method::HEAD {
            return Ok(ResponseFraming::Length(0));
        }
        match (self.coding, minor, self.length) {
            (Coding::Chunked | Coding::Other, 0, _) => Err(Broken::Framing("`Transfer-Encoding` in HTTP/1.0")),
            (Coding::Chunked, _, _) => Ok(ResponseFraming::Chunked),
            // RFC 9112 §6.1. Passed on without its name, the client would take it for the content.
            (Coding::Other, _, _) => Err(Broken::Framing("a `Transfer-Encoding` that is not `chunked` alone")),
            (Coding::Unsaid, _, Length::Unsaid) => Ok(ResponseFraming::Close),
            (Coding::Unsaid, _, Length::Bytes(length)) => Ok(ResponseFraming::Length(length)),
            (Coding::Unsaid, _, Length::Contradictory) => {
                Err(Broken::Framing("`Content-Length` is no number, or several"))
            }
        }
    }

    fn announces_content(&self) -> bool {
        self.coding != Coding::Unsaid || !matches!(self.length, Length::Unsaid | Length::Bytes(0))
    }
}

/// Reads a number of nothing but digits: `u64::from_str` also takes a sign.
pub(in crate::upstream) fn digits(text: &[u8]) -> Option<u64> {
    let first = text.first().filter(|byte| byte.is_ascii_digit())?;
    text.iter().skip(1).try_fold(u64::from(first - b'0'), |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
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
