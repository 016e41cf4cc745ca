//! HTTP/1.1 as far as the load generator needs it: answers have a `Content-Length`.

use std::io::{Read as _, Write as _};

use integration::Result;

use super::{Answered, Ask, Stream};

/// A connection with one request at a time.
#[derive(Debug)]
pub(crate) struct Http1 {
    stream: Stream,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

impl Http1 {
    pub(super) fn new(stream: Stream, ask: &Ask) -> Self {
        Self { stream, request: ask.http1().into_bytes(), buffer: vec![0; 64 << 10] }
    }

    pub(super) fn send(&mut self) -> Result<()> {
        Ok(self.stream.write_all(&self.request)?)
    }

    pub(super) fn receive(&mut self) -> Result<Answered> {
        let mut filled = 0;
        let (end, status, length) = loop {
            filled += self.read(filled)?;
            if let Some(head) = parse(self.buffer.get(..filled).unwrap_or_default())? {
                break head;
            }
        };
        let mut left = length.saturating_sub(filled - end);
        while left > 0 {
            left = left.saturating_sub(self.read(0)?);
        }
        Ok(Answered { status: Some(status), bytes: length })
    }

    pub(super) fn ended(&self) -> Result<bool> {
        self.stream.unasked()
    }

    fn read(&mut self, at: usize) -> Result<usize> {
        match self.stream.read(self.buffer.get_mut(at..).unwrap_or_default())? {
            0 => Err("the connection ended before the answer did".into()),
            read => Ok(read),
        }
    }
}

/// Returns the head of the request, with further lines in it.
pub(super) fn head(ask: &Ask, more: &str) -> String {
    let headers: String = ask.headers().iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("GET {} HTTP/1.1\r\nhost: {}\r\n{headers}{more}\r\n", ask.path, ask.host)
}

/// Returns where the head ends, the status, and how long the body is; nothing while the head is incomplete.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<(usize, u16, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(end) = response.parse(bytes)? else { return Ok(None) };
    let status = response.code.unwrap_or_default();
    let length = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length.map_or(Ok("0"), |header| str::from_utf8(header.value))?.parse()?;
    Ok(Some((end, status, length)))
}
