//! An answer as it is written: its head, and where its body ends.

use std::io::{self, Write as _};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use hyper::ext::ReasonPhrase;
use jiff::Timestamp;

use super::fields;
use super::head::{Version, Wishes};
use super::outbox::Outbox;
use crate::date::date;

/// Where the body of an answer ends (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// It has none, whatever its headers say.
    Empty,
    /// After so many bytes.
    Length(u64),
    Chunked,
    /// With the connection.
    Close,
}

/// What an answer must know of its request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) is_head: bool,
    pub(super) is_connect: bool,
    pub(super) version: Version,
    pub(super) wishes: Wishes,
}

/// The body of an answer on its way into the outbox.
#[derive(Debug)]
pub(super) struct Encoder {
    framing: Framing,
    takes_trailers: bool,
}

/// The body is not as long as was announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WrongLength;

impl Asked {
    pub(super) fn new(method: &Method, version: Version, wishes: Wishes) -> Self {
        Self { is_head: method == Method::HEAD, is_connect: method == Method::CONNECT, version, wishes }
    }

    /// Returns whether the connection carries something else than HTTP behind the head of an answer.
    pub(super) fn ends_http(self, status: StatusCode) -> bool {
        status == StatusCode::SWITCHING_PROTOCOLS || self.is_connect && status.is_success()
    }
}

impl Framing {
    /// Returns how a body is sent, of which `exact` is the length where it is known.
    pub(super) fn of(asked: Asked, status: StatusCode, headers: &HeaderMap, exact: Option<u64>) -> Self {
        let is_bodiless =
            status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if asked.is_head || is_bodiless || asked.ends_http(status) {
            return Self::Empty;
        }
        match (announced(headers).or(exact), asked.version) {
            (Some(length), _) => Self::Length(length),
            (None, Version::Http11) => Self::Chunked,
            (None, Version::Http10) => Self::Close,
        }
    }
}

/// Returns the length that headers announce.
fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Writes the head of an answer. Its framing is what `framing` says, whatever its headers say.
pub(super) fn write(
    to: &mut Vec<u8>,
    parts: &Parts,
    framing: Framing,
    asked: Asked,
    keeps_alive: bool,
    now: impl FnOnce() -> Timestamp,
) {
    status_line(to, parts.status, parts.extensions.get());
    let is_upgrade = parts.status == StatusCode::SWITCHING_PROTOCOLS;
    let ends_http = asked.ends_http(parts.status);
    let mut is_dated = false;
    for (name, value) in &parts.headers {
        let is_ours = if *name == CONTENT_LENGTH {
            // To HEAD and in 304 it says what there would be (RFC 9110 §8.6).
            framing != Framing::Empty || parts.status == StatusCode::NO_CONTENT || ends_http
        } else {
            *name == TRANSFER_ENCODING || *name == CONNECTION && !is_upgrade
        };
        if !is_ours {
            is_dated |= *name == DATE;
            fields::write(to, name, value);
        }
    }
    match framing {
        Framing::Length(length) => {
            // Writing to memory cannot fail.
            let _ = write!(to, "content-length: {length}\r\n");
        }
        Framing::Chunked => to.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Framing::Empty | Framing::Close => {}
    }
    if !is_dated {
        date(now(), |date| fields::write(to, &DATE, date));
    }
    match (keeps_alive, asked.version) {
        _ if ends_http => {}
        (false, _) => to.extend_from_slice(b"connection: close\r\n"),
        (true, Version::Http10) => to.extend_from_slice(b"connection: keep-alive\r\n"),
        (true, Version::Http11) => {}
    }
    to.extend_from_slice(b"\r\n");
}

/// Writes a status line, with a reason phrase that is not the usual one where there is any.
fn status_line(to: &mut Vec<u8>, status: StatusCode, reason: Option<&ReasonPhrase>) {
    let usual = || status.canonical_reason().unwrap_or_default().as_bytes();
    to.extend_from_slice(b"HTTP/1.1 ");
    to.extend_from_slice(status.as_str().as_bytes());
    to.push(b' ');
    to.extend_from_slice(reason.map_or_else(usual, ReasonPhrase::as_bytes));
    to.extend_from_slice(b"\r\n");
}

/// Returns whether an answer asks for the end of its connection.
pub(super) fn closes(headers: &HeaderMap) -> bool {
    headers.get(CONNECTION).is_some_and(|value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"close"))
}

/// Writes the head of a response that comes before the answer.
pub(super) fn write_interim(to: &mut Vec<u8>, status: StatusCode, headers: &HeaderMap) {
    status_line(to, status, None);
    headers.iter().for_each(|(name, value)| fields::write(to, name, value));
    to.extend_from_slice(b"\r\n");
}

impl Encoder {
    pub(super) const fn new(framing: Framing, asked: Asked) -> Self {
        Self { framing, takes_trailers: asked.wishes.takes_trailers }
    }

    /// Puts a part of the body into the outbox, which has no other. Returns whether nothing comes behind it.
    pub(super) fn put(&mut self, data: Bytes, is_last: bool, out: &mut Outbox) -> Result<bool, WrongLength> {
        // No chunk is empty but the last one.
        if data.is_empty() {
            return Ok(false);
        }
        match &mut self.framing {
            Framing::Empty => return Ok(true),
            Framing::Length(left) => *left = left.checked_sub(data.len() as u64).ok_or(WrongLength)?,
            Framing::Chunked => {
                let _ = write!(out.line, "{:x}\r\n", data.len());
                out.end = if is_last { b"\r\n0\r\n\r\n" } else { b"\r\n" };
            }
            Framing::Close => {}
        }
        out.put(data);
        Ok(match self.framing {
            Framing::Length(left) => left == 0,
            Framing::Empty | Framing::Chunked | Framing::Close => is_last,
        })
    }

    /// Writes the end of the body.
    pub(super) fn end(&self, trailers: Option<&HeaderMap>, out: &mut Outbox) -> Result<(), WrongLength> {
        match self.framing {
            Framing::Length(1..) => Err(WrongLength),
            Framing::Chunked => {
                fields::write_end(&mut out.line, trailers.filter(|_| self.takes_trailers));
                Ok(())
            }
            Framing::Empty | Framing::Length(0) | Framing::Close => Ok(()),
        }
    }

    /// Writes the beginning of the next chunk's size, which may have zeros before it (RFC 9112 §7.1).
    pub(super) fn write_zero(&self, out: &mut Outbox) {
        if self.framing == Framing::Chunked {
            out.line.push(b'0');
        }
    }
}

impl From<WrongLength> for io::Error {
    fn from(WrongLength: WrongLength) -> Self {
        Self::other("the answer's body has another length than it said")
    }
}
