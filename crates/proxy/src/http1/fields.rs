//! Takes field lines apart: those of a request's head, and trailers (RFC 9112 §5).

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// What is wrong with a section of field lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// A line does not end with carriage return and line feed.
    LineEnd,
    /// A line begins with a space or tab: it continues the one before (`obs-fold`), or belongs to nobody.
    Folded,
    /// A line is no name, colon and value.
    Line,
    /// There are more lines than are taken.
    TooMany,
    /// The empty line that ends the section is not there.
    Unfinished,
}

/// Reads the lines from `start` up to the empty one; values share `bytes`. Returns where the section ends.
pub(crate) fn read(
    bytes: &Bytes,
    start: usize,
    most: usize,
    headers: &mut HeaderMap,
    mut seen: impl FnMut(&HeaderName, &HeaderValue),
) -> Result<usize, Wrong> {
    let mut at = start;
    let mut lines = 0;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let line = line(rest)?.ok_or(Wrong::Unfinished)?;
        let (from, next) = (at, at + line.len() + 2);
        match line.first() {
            None => return Ok(next),
            Some(b' ' | b'\t') => return Err(Wrong::Folded),
            Some(_) if lines == most => return Err(Wrong::TooMany),
            Some(_) => lines += 1,
        }
        let colon = memchr::memchr(b':', line).ok_or(Wrong::Line)?;
        let (name, value) = line.split_at_checked(colon).unwrap_or_default();
        // Takes nothing but the characters of a token: no space before the colon either.
        let name = HeaderName::from_bytes(name).map_err(|_| Wrong::Line)?;
        let value = value.get(1..).unwrap_or_default();
        let end = from + line.len() - trailing(value);
        let begin = (from + colon + 1 + leading(value)).min(end);
        // Takes no control characters: no carriage return, line feed or NUL (RFC 9110 §5.5).
        let value = HeaderValue::from_maybe_shared(bytes.slice(begin..end)).map_err(|_| Wrong::Line)?;
        seen(&name, &value);
        headers.try_append(name, value).map_err(|_| Wrong::TooMany)?;
        at = next;
    }
}

/// Returns the line that `bytes` begin with, without its end. A line feed alone ends none: programs that differ in it see
/// different heads.
pub(crate) fn line(bytes: &[u8]) -> Result<Option<&[u8]>, Wrong> {
    let Some(end) = memchr::memchr(b'\n', bytes) else { return Ok(None) };
    match bytes.get(..end) {
        Some([line @ .., b'\r']) => Ok(Some(line)),
        _ => Err(Wrong::LineEnd),
    }
}

/// Returns where a section ends that begins at 0: behind its first empty line, whatever ends the lines.
pub(crate) fn end(bytes: &[u8], looked_at: usize) -> Option<usize> {
    let from = looked_at.saturating_sub(2);
    memchr::memchr_iter(b'\n', bytes.get(from..)?).find_map(|at| match bytes.get(from + at + 1..) {
        Some([b'\n', ..]) => Some(from + at + 2),
        Some([b'\r', b'\n', ..]) => Some(from + at + 3),
        _ => None,
    })
}

/// Writes a line.
pub(crate) fn write(to: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    to.extend_from_slice(name.as_str().as_bytes());
    to.extend_from_slice(b": ");
    to.extend_from_slice(value.as_bytes());
    to.extend_from_slice(b"\r\n");
}

/// Writes the last chunk and the trailers, announced or not, but those that say something of the message as a whole: they
/// come too late behind it.
pub(crate) fn write_end(to: &mut Vec<u8>, trailers: Option<&HeaderMap>) {
    to.extend_from_slice(b"0\r\n");
    for (name, value) in trailers.into_iter().flatten().filter(|(name, _)| !NO_TRAILERS.contains(name)) {
        write(to, name, value);
    }
    to.extend_from_slice(b"\r\n");
}

fn leading(value: &[u8]) -> usize {
    value.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}

fn trailing(value: &[u8]) -> usize {
    value.iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}

/// RFC 9110 §6.5.1.
const NO_TRAILERS: [HeaderName; 12] = [
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::HOST,
    header::MAX_FORWARDS,
    header::SET_COOKIE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::TE,
];
