//! Takes chunks apart (RFC 9112 §7.1).

use bytes::{Buf as _, Bytes, BytesMut};
use http::HeaderMap;

use super::{Faulty, fields};

/// Where a body stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chunked {
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
pub(crate) enum Next {
    /// More must be read.
    Nothing,
    /// Data may be taken, so many bytes at most.
    Data(u64),
    /// The body has ended; with trailers, where there are any.
    End(Option<HeaderMap>),
}

impl Chunked {
    /// Goes on in what was read, up to data or the end.
    pub(crate) fn next(&mut self, read: &mut BytesMut) -> Result<Next, Faulty> {
        loop {
            match *self {
                Self::Size => {
                    let Some(size) = take_line(read)? else { return Ok(Next::Nothing) };
                    *self = match size {
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
                    _ => return Err(Faulty::Framing("a chunk is longer than it says")),
                },
                Self::Trailers => return trailers(read),
            }
        }
    }

    /// Notes that so many bytes of data were taken.
    pub(crate) const fn took(&mut self, bytes: u64) {
        if let Self::Data(left) = self {
            *left = left.saturating_sub(bytes);
        }
    }
}

/// Takes a line without its end. A line feed alone ends none: programs that differ in it see different chunks.
fn take_line(read: &mut BytesMut) -> Result<Option<u64>, Faulty> {
    let line = fields::line(read).map_err(|_| Faulty::Framing("a chunk's size ends without a carriage return"))?;
    match line {
        None if read.len() > MAX_SIZE_LINE => Err(Faulty::Framing("a chunk's size is too long")),
        None => Ok(None),
        Some(line) => {
            let (size, used) = (size(line)?, line.len() + 2);
            read.advance(used);
            Ok(Some(size))
        }
    }
}

/// Reads a size; extensions behind it say nothing to us. Spaces alone are no extension (RFC 9112 §7.1.1).
fn size(line: &[u8]) -> Result<u64, Faulty> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (number, rest) = line.split_at_checked(digits).unwrap_or_default();
    let wrong = Faulty::Framing("a chunk's size is no number");
    if !(rest.is_empty() || rest.trim_ascii_start().starts_with(b";")) || !rest.iter().copied().all(is_text) {
        return Err(wrong);
    }
    std::str::from_utf8(number).ok().and_then(|number| u64::from_str_radix(number, 16).ok()).ok_or(wrong)
}

/// Returns whether a byte may stand in an extension: no control character but the tab.
const fn is_text(byte: u8) -> bool {
    byte == b'\t' || byte >= b' ' && byte != 0x7f
}

fn trailers(read: &mut BytesMut) -> Result<Next, Faulty> {
    if read.starts_with(b"\r\n") {
        read.advance(2);
        return Ok(Next::End(None));
    }
    let Some(end) = fields::end(read, 0) else {
        return if read.len() > MAX_TRAILERS { Err(Faulty::TooLarge) } else { Ok(Next::Nothing) };
    };
    let section = read.get(..end).map(Bytes::copy_from_slice).unwrap_or_default();
    let mut trailers = HeaderMap::new();
    let read_all = fields::read(&section, 0, MAX_TRAILER_LINES, &mut trailers, |_, _| {});
    read_all.map_err(|_| Faulty::Framing("a trailer is none"))?;
    read.advance(end);
    Ok(Next::End(Some(trailers)))
}

/// Of a chunk's size with its extensions.
const MAX_SIZE_LINE: usize = 4096;

/// Bytes of trailers.
const MAX_TRAILERS: usize = 64 * 1024;

/// Lines of trailers.
const MAX_TRAILER_LINES: usize = 100;

#[cfg(test)]
mod tests;
