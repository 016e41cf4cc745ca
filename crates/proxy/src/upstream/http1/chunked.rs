//! Takes chunks apart (RFC 9112 §7.1).

use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use httparse::{EMPTY_HEADER, Status};

use super::broken::Broken;
use super::head::{MAX_HEAD, MAX_HEADERS};

/// Where a body stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunked {
    /// Before the size of a chunk.
    Size,
    /// So many bytes before the end of a chunk's data.
    Data(u64),
    /// Before the line end behind a chunk's data.
    DataEnd,
    /// Behind the last chunk.
    Trailers,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// More must be read.
    Nothing,
    /// Data may be taken, so many bytes at most.
    Data(u64),
    /// The body has ended; with trailers, where there are any.
    End(Option<HeaderMap>),
}

impl Chunked {
    /// Goes on in what was read, up to data or the end.
    pub(super) fn next(&mut self, read: &mut BytesMut) -> Result<Next, Broken> {
        loop {
            match *self {
                Self::Size => {
                    let Some(line) = take_line(read)? else { return Ok(Next::Nothing) };
                    *self = match size(&line)? {
                        0 => Self::Trailers,
                        size => Self::Data(size),
                    };
                }
                Self::Data(0) => *self = Self::DataEnd,
                Self::Data(left) => return Ok(if read.is_empty() { Next::Nothing } else { Next::Data(left) }),
                Self::DataEnd => match (read.first(), read.get(1)) {
                    (Some(b'\r'), Some(b'\n')) => {
                        read.advance(2);
                        *self = Self::Size;
                    }
                    (None, _) | (Some(b'\r'), None) => return Ok(Next::Nothing),
                    _ => return Err(Broken::Framing("a chunk is longer than it says")),
                },
                Self::Trailers => return trailers(read),
            }
        }
    }

    /// Notes that so many bytes of data were taken.
    pub(super) const fn took(&mut self, bytes: u64) {
        if let Self::Data(left) = self {
            *left = left.saturating_sub(bytes);
        }
    }
}

/// Takes a line without its end. A line feed alone ends none: programs that differ in it see different chunks.
fn take_line(read: &mut BytesMut) -> Result<Option<Bytes>, Broken> {
    let Some(end) = memchr::memchr(b'\n', read) else {
        return if read.len() > MAX_SIZE_LINE { Err(Broken::Framing("a chunk's size is too long")) } else { Ok(None) };
    };
    let line = end.checked_sub(1).and_then(|last| read.get(..end).filter(|line| line.get(last) == Some(&b'\r')));
    let line = line.ok_or(Broken::Framing("a chunk's size ends without a carriage return"))?;
    let line = Bytes::copy_from_slice(line.get(..end - 1).unwrap_or_default());
    read.advance(end + 1);
    Ok(Some(line))
}

/// Reads a size; extensions behind it say nothing to us.
fn size(line: &[u8]) -> Result<u64, Broken> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (number, rest) = line.split_at_checked(digits).unwrap_or_default();
    let rest = rest.trim_ascii_start();
    let wrong = Broken::Framing("a chunk's size is no number");
    if !(rest.is_empty() || rest.starts_with(b";")) || rest.contains(&b'\r') {
        return Err(wrong);
    }
    std::str::from_utf8(number).ok().and_then(|number| u64::from_str_radix(number, 16).ok()).ok_or(wrong)
}

fn trailers(read: &mut BytesMut) -> Result<Next, Broken> {
    if read.starts_with(b"\r\n") {
        read.advance(2);
        return Ok(Next::End(None));
    }
    let mut lines = [EMPTY_HEADER; MAX_HEADERS];
    let Status::Complete((used, lines)) = httparse::parse_headers(read, &mut lines)? else {
        return if read.len() > MAX_HEAD { Err(Broken::TooLarge) } else { Ok(Next::Nothing) };
    };
    let mut trailers = HeaderMap::with_capacity(lines.len());
    for line in lines {
        let wrong = || Broken::Framing("a trailer is none");
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| wrong())?;
        trailers.append(name, HeaderValue::from_bytes(line.value).map_err(|_| wrong())?);
    }
    read.advance(used);
    Ok(Next::End(Some(trailers).filter(|trailers| !trailers.is_empty())))
}

/// Of a chunk's size with its extensions.
const MAX_SIZE_LINE: usize = 4096;

#[cfg(test)]
mod tests;
