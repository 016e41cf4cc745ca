//! The head of a request (RFC 9112 §2 to §6): taken in one pass, or refused with the reason.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, TE, TRANSFER_ENCODING, UPGRADE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};

use super::fields::{self, Wrong};
use crate::sanitize::Refusal;

/// The head of a request.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) method: Method,
    pub(crate) target: Uri,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) framing: Framing,
    /// What the client says about its connection.
    pub(crate) wishes: Wishes,
    /// How many bytes it took.
    pub(crate) length: usize,
}

/// What a client wishes of its connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wishes {
    /// The connection may serve again.
    pub(crate) keeps_alive: bool,
    /// The body waits to be asked for.
    pub(crate) expects_continue: bool,
    /// Trailers are read.
    pub(crate) takes_trailers: bool,
    /// It may become something else.
    pub(crate) upgrades: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Http10,
    Http11,
}

impl From<Version> for http::Version {
    fn from(version: Version) -> Self {
        match version {
            Version::Http10 => Self::HTTP_10,
            Version::Http11 => Self::HTTP_11,
        }
    }
}

/// Where the body of a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// After so many bytes; most requests have none.
    Length(u64),
    /// With the last chunk.
    Chunked,
}

/// A head that is refused, with as much of it as was understood.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) refusal: Refusal,
    pub(crate) method: Option<Method>,
    pub(crate) target: Option<PathAndQuery>,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, method: None, target: None }
    }
}

/// Takes a head from the beginning of what was read, once it is there whole. `looked_at` is how much was seen in vain
/// before, and `most` how long it may be.
pub(crate) fn take(read: &[u8], looked_at: &mut usize, most: usize) -> Result<Option<Head>, Refused> {
    // Most reads bring one head and nothing else.
    let end = if read.ends_with(END) { Some(read.len()) } else { fields::end(read, *looked_at) };
    let Some(whole) = end.and_then(|end| read.get(..end)) else {
        if read.len() > most {
            // RFC 9112 §3: where it is the target that does not end.
            let is_target = memchr::memchr(b'\n', read).is_none();
            return Err(if is_target { TARGET_TOO_LONG } else { TOO_LARGE }.into());
        }
        check_beginning(read, *looked_at)?;
        *looked_at = read.len();
        return Ok(None);
    };
    *looked_at = 0;
    // A copy of just its length: the values share it, and live on when the next request is read.
    let head = parse(&Bytes::copy_from_slice(whole))?;
    if head.length > most { Err(TOO_LARGE.into()) } else { Ok(Some(head)) }
}

/// Refuses early what never ends as a head does: another protocol, or HTTP/0.9.
fn check_beginning(read: &[u8], looked_at: usize) -> Result<(), Refused> {
    if memchr::memchr(b'\n', read.get(..looked_at).unwrap_or_default()).is_some() {
        return Ok(());
    }
    match (read, fields::line(read)) {
        (_, Err(_)) => Err(LINE_END.into()),
        (_, Ok(Some(line))) => request_line(&Bytes::copy_from_slice(line)).map(drop),
        // The beginning of an empty line.
        ([b'\r'], Ok(None)) => Ok(()),
        ([first, ..], Ok(None)) if !is_token(*first) => Err(REQUEST_LINE.into()),
        (_, Ok(None)) => Ok(()),
    }
}

fn parse(bytes: &Bytes) -> Result<Head, Refused> {
    let line = fields::line(bytes).map_err(|_| LINE_END)?.ok_or(REQUEST_LINE)?;
    let start = line.len() + 2;
    let (method, target, version) = request_line(&bytes.slice(..line.len()))?;
    let lines = memchr::memchr_iter(b'\n', bytes).count();
    let mut headers = HeaderMap::with_capacity(lines.min(MAX_LINES) + ADDED);
    let mut said = Said::default();
    let end = fields::read(bytes, start, MAX_LINES, &mut headers, |name, value| said.hear(name, value));
    let checked = end.map_err(Refusal::from).and_then(|end| Ok((end, said.framing(version)?)));
    match checked {
        Ok((length, framing)) => {
            let framing = if method == Method::CONNECT { Framing::Length(0) } else { framing };
            let mut wishes = said.wishes(version);
            if version == Version::Http10 {
                // RFC 9110 §10.1.1: to be ignored.
                headers.remove(EXPECT);
            }
            if method == Method::CONNECT {
                // What follows one that is refused may be meant for the tunnel.
                wishes = Wishes { keeps_alive: false, upgrades: true, ..wishes };
            }
            Ok(Head { method, target, version, headers, framing, wishes, length })
        }
        Err(refusal) => Err(Refused { refusal, method: Some(method), target: target.path_and_query().cloned() }),
    }
}

/// Takes method, target and version apart: one space between them, and nothing else (RFC 9112 §3).
fn request_line(line: &Bytes) -> Result<(Method, Uri, Version), Refused> {
    let first = memchr::memchr(b' ', line).ok_or(REQUEST_LINE)?;
    let last = memchr::memrchr(b' ', line).filter(|last| *last > first + 1).ok_or(REQUEST_LINE)?;
    let method = line.get(..first).and_then(|name| Method::from_bytes(name).ok()).ok_or(REQUEST_LINE)?;
    let version = version(line.get(last + 1..).unwrap_or_default());
    let refused = |refusal| Refused { refusal, method: Some(method.clone()), target: None };
    let version = version.map_err(refused)?;
    let target = line.slice(first + 1..last);
    // RFC 9112 §3.2: no form of the target has a fragment; `Uri` would cut it off.
    if target.len() > MAX_TARGET {
        return Err(refused(TARGET_TOO_LONG));
    }
    if memchr::memchr2(b'#', b' ', &target).is_some() {
        return Err(refused(TARGET));
    }
    let target = Uri::from_maybe_shared(target).map_err(|_| refused(TARGET))?;
    Ok((method, target, version))
}

fn version(text: &[u8]) -> Result<Version, Refusal> {
    match text {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
            Err(VERSION)
        }
        _ => Err(REQUEST_LINE),
    }
}

/// What the lines of a head say of its connection and its body.
#[derive(Debug, Default)]
struct Said {
    length: Length,
    coding: Coding,
    keeps_alive: bool,
    closes: bool,
    wishes: Wishes,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Length {
    #[default]
    Unsaid,
    Bytes(u64),
    Invalid,
    Repeated,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Coding {
    #[default]
    Unsaid,
    Chunked,
    Unknown,
    Repeated,
}

impl Said {
    /// Hears one line. Names are told apart by their length first: most are none of these.
    fn hear(&mut self, name: &HeaderName, value: &HeaderValue) {
        match name.as_str().len() {
            2 if *name == TE => self.wishes.takes_trailers |= has_token(value, "trailers"),
            6 if *name == EXPECT => {
                self.wishes.expects_continue = value.as_bytes().eq_ignore_ascii_case(b"100-continue");
            }
            7 if *name == UPGRADE => self.wishes.upgrades = true,
            10 if *name == CONNECTION => {
                self.closes |= has_token(value, "close");
                self.keeps_alive |= has_token(value, "keep-alive");
            }
            14 if *name == CONTENT_LENGTH => {
                self.length = match self.length {
                    Length::Unsaid => digits(value.as_bytes()).map_or(Length::Invalid, Length::Bytes),
                    Length::Bytes(_) | Length::Invalid | Length::Repeated => Length::Repeated,
                };
            }
            17 if *name == TRANSFER_ENCODING => {
                self.coding = match self.coding {
                    Coding::Unsaid if value.as_bytes().eq_ignore_ascii_case(b"chunked") => Coding::Chunked,
                    Coding::Unsaid => Coding::Unknown,
                    Coding::Chunked | Coding::Unknown | Coding::Repeated => Coding::Repeated,
                };
            }
            _ => {}
        }
    }

    /// RFC 9112 §6.3, and nothing that it leaves to the recipient: whoever sends two framings may mean another program
    /// to read the other one.
    const fn framing(&self, version: Version) -> Result<Framing, Refusal> {
        match (self.length, self.coding, version) {
            (Length::Repeated, _, _) => Err(LENGTH_REPEATED),
            (_, Coding::Repeated, _) => Err(CODING_REPEATED),
            (Length::Bytes(_) | Length::Invalid, Coding::Chunked | Coding::Unknown, _) => Err(TWO_FRAMINGS),
            (Length::Invalid, Coding::Unsaid, _) => Err(LENGTH),
            (Length::Unsaid, Coding::Chunked | Coding::Unknown, Version::Http10) => Err(CODING_IN_10),
            (Length::Unsaid, Coding::Unknown, Version::Http11) => Err(CODING),
            (Length::Unsaid, Coding::Chunked, Version::Http11) => Ok(Framing::Chunked),
            (Length::Bytes(length), Coding::Unsaid, _) => Ok(Framing::Length(length)),
            (Length::Unsaid, Coding::Unsaid, _) => Ok(Framing::Length(0)),
        }
    }

    fn wishes(&self, version: Version) -> Wishes {
        match version {
            Version::Http11 => Wishes { keeps_alive: !self.closes, ..self.wishes },
            // RFC 9110 §10.1.1: what HTTP/1.0 expects is ignored; nor has it upgrades.
            Version::Http10 => Wishes { keeps_alive: self.keeps_alive && !self.closes, ..Wishes::default() },
        }
    }
}

impl From<Wrong> for Refusal {
    fn from(wrong: Wrong) -> Self {
        match wrong {
            Wrong::LineEnd => LINE_END,
            Wrong::Folded => Self::bad_request("header-folded", "a header line begins with a space"),
            Wrong::Line | Wrong::Unfinished => {
                Self::bad_request("header-invalid", "a header line is not a name, a colon and a value")
            }
            Wrong::TooMany => TOO_LARGE,
        }
    }
}

/// Reads a number of nothing but digits: `u64::from_str` also takes a sign.
fn digits(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn has_token(line: &HeaderValue, token: &str) -> bool {
    line.as_bytes().split(|byte| *byte == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// What ends a head.
const END: &[u8] = b"\r\n\r\n";

/// Headers of a request.
const MAX_LINES: usize = 100;

/// Headers that a request gets on its way, so that its map need not grow.
const ADDED: usize = 8;

/// Longer ones are no `Uri`.
const MAX_TARGET: usize = 65_534;

const TOO_LARGE: Refusal = Refusal {
    status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    code: "head-too-large",
    message: "the request's headers are too large, or too many",
};
const TARGET_TOO_LONG: Refusal =
    Refusal { status: StatusCode::URI_TOO_LONG, code: "target-too-long", message: "the request's target is too long" };
const VERSION: Refusal = Refusal {
    status: StatusCode::HTTP_VERSION_NOT_SUPPORTED,
    code: "version-unknown",
    message: "the request's version is neither HTTP/1.1 nor HTTP/1.0",
};
const CODING: Refusal = Refusal {
    // RFC 9112 §6.1.
    status: StatusCode::NOT_IMPLEMENTED,
    code: "transfer-coding-unknown",
    message: "the request's transfer coding is not `chunked` alone",
};
const REQUEST_LINE: Refusal =
    Refusal::bad_request("request-line-invalid", "the request line is not method, target and version");
const TARGET: Refusal = Refusal::bad_request("target-invalid", "the request's target is none, or has a fragment");
const LINE_END: Refusal =
    Refusal::bad_request("line-end-invalid", "a line does not end with carriage return and line feed");
const LENGTH: Refusal = Refusal::bad_request("content-length-invalid", "`Content-Length` is not a number");
const LENGTH_REPEATED: Refusal =
    Refusal::bad_request("content-length-repeated", "the request has more than one `Content-Length`");
const CODING_REPEATED: Refusal =
    Refusal::bad_request("transfer-coding-repeated", "the request has more than one `Transfer-Encoding`");
const TWO_FRAMINGS: Refusal =
    Refusal::bad_request("framing-ambiguous", "the request has both `Content-Length` and `Transfer-Encoding`");
const CODING_IN_10: Refusal = Refusal::bad_request("transfer-coding-in-http10", "HTTP/1.0 has no `Transfer-Encoding`");

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
