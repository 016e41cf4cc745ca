//! HTTP/2 as far as the load generator needs it (RFC 9113): one request over and over, answers told apart by their length.

use std::io::{Read as _, Write as _};

use integration::Result;

use super::{Answered, Ask, Stream};
use crate::site::upstream::GRPC;

/// A connection with as many requests at once as were sent and not received.
#[derive(Debug)]
pub(crate) struct Http2 {
    stream: Stream,
    next: u32,
    /// The first request names its headers; the others point at what the first left in the table (RFC 7541 §2.3.2).
    first: Option<Vec<u8>>,
    others: Vec<u8>,
    body: &'static [u8],
    open: Vec<(u32, Answered)>,
    buffer: Vec<u8>,
    from: usize,
    to: usize,
    received: u32,
}

impl Http2 {
    pub(super) fn new(mut stream: Stream, ask: &Ask, secure: bool) -> Result<Self> {
        let mut hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        let mut settings = Vec::new();
        for (setting, value) in [(ENABLE_PUSH, 0), (INITIAL_WINDOW_SIZE, WINDOW)] {
            settings.extend(u16::to_be_bytes(setting));
            settings.extend(u32::to_be_bytes(value));
        }
        frame(&mut hello, SETTINGS, 0, 0, &settings);
        frame(&mut hello, WINDOW_UPDATE, 0, 0, &(WINDOW - DEFAULT_WINDOW).to_be_bytes());
        stream.write_all(&hello)?;
        let (first, others) = header_blocks(ask, secure);
        let body = if ask.grpc { &GRPC[..] } else { &[] };
        Ok(Self {
            stream,
            next: 1,
            first: Some(first),
            others,
            body,
            open: Vec::new(),
            buffer: vec![0; 64 << 10],
            from: 0,
            to: 0,
            received: 0,
        })
    }

    pub(super) fn send(&mut self) -> Result<()> {
        let (mut bytes, first) = (Vec::with_capacity(2048), self.first.take());
        let block = first.as_ref().unwrap_or(&self.others);
        let end = if self.body.is_empty() { END_STREAM } else { 0 };
        frame(&mut bytes, HEADERS, END_HEADERS | end, self.next, block);
        if !self.body.is_empty() {
            frame(&mut bytes, DATA, END_STREAM, self.next, self.body);
        }
        self.open.push((self.next, Answered { status: None, bytes: 0 }));
        self.next += 2;
        Ok(self.stream.write_all(&bytes)?)
    }

    pub(super) fn receive(&mut self) -> Result<Answered> {
        loop {
            let (kind, flags, stream, length) = self.frame()?;
            match kind {
                SETTINGS if flags & ACK == 0 => self.reply(SETTINGS, length)?,
                PING if flags & ACK == 0 => self.reply(PING, length)?,
                RST_STREAM => return Err("a stream was reset".into()),
                GOAWAY => return Err("the connection was ended".into()),
                _ => {}
            }
            let payload = self.buffer.get(self.from..self.from + length).unwrap_or_default();
            if let Some(at) = self.open.iter().position(|(open, _)| *open == stream) {
                let answered = self.open.get_mut(at).map(|(_, answered)| answered).ok_or("no stream")?;
                match kind {
                    // A table that changed its size says so first (RFC 7541 §4.2).
                    HEADERS if answered.status.is_none() => {
                        answered.status = payload.iter().find(|byte| **byte & 0xe0 != 0x20).and_then(status);
                    }
                    DATA => answered.bytes += length,
                    _ => {}
                }
                if matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0 {
                    let (_, answered) = self.open.swap_remove(at);
                    self.taken(kind, length)?;
                    return Ok(answered);
                }
            }
            self.taken(kind, length)?;
        }
    }

    /// Reads until a whole frame is there; returns its type, flags, stream and length, and leaves its payload at `from`.
    fn frame(&mut self) -> Result<(u8, u8, u32, usize)> {
        loop {
            if let Some([a, b, c, kind, flags, s, t, u, v, rest @ ..]) = self.buffer.get(self.from..self.to) {
                let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
                if rest.len() >= length {
                    self.from += 9;
                    return Ok((*kind, *flags, u32::from_be_bytes([*s, *t, *u, *v]), length));
                }
            }
            self.buffer.copy_within(self.from..self.to, 0);
            (self.from, self.to) = (0, self.to - self.from);
            match self.stream.read(self.buffer.get_mut(self.to..).unwrap_or_default())? {
                0 => return Err("the connection ended before the answer did".into()),
                read => self.to += read,
            }
        }
    }

    /// Passes the payload, and opens the connection's window again before it is used up.
    fn taken(&mut self, kind: u8, length: usize) -> Result<()> {
        self.from += length;
        if kind == DATA {
            self.received += u32::try_from(length)?;
        }
        if self.received > WINDOW / 2 {
            let mut update = Vec::new();
            frame(&mut update, WINDOW_UPDATE, 0, 0, &self.received.to_be_bytes());
            self.stream.write_all(&update)?;
            self.received = 0;
        }
        Ok(())
    }

    fn reply(&mut self, kind: u8, length: usize) -> Result<()> {
        let mut reply = Vec::new();
        let echoed =
            if kind == PING { self.buffer.get(self.from..self.from + length).unwrap_or_default() } else { &[] };
        frame(&mut reply, kind, ACK, 0, echoed);
        Ok(self.stream.write_all(&reply)?)
    }
}

/// Returns the header block of a connection's first request and that of all others.
fn header_blocks(ask: &Ask, secure: bool) -> (Vec<u8>, Vec<u8>) {
    // RFC 7541 appendix A: 2 and 3 are GET and POST, 6 and 7 http and https, 1 names `:authority`, 4 `:path`.
    let fixed = [0x80 | if ask.grpc { 3 } else { 2 }, 0x80 | if secure { 7 } else { 6 }];
    let mut first = fixed.to_vec();
    for (name, value) in [(1, &ask.host), (4, &ask.path)] {
        first.push(0x40 | name);
        string(&mut first, value);
    }
    let headers = ask.headers();
    for (name, value) in &headers {
        first.push(0x40);
        string(&mut first, name);
        string(&mut first, value);
    }
    let mut others = fixed.to_vec();
    // What was added last has the first number behind the static table's 61.
    others.extend((0..headers.len() + 2).rev().filter_map(|age| u8::try_from(62 + age).ok()).map(|index| 0x80 | index));
    (first, others)
}

/// Appends a string that is not compressed (RFC 7541 §5.2).
fn string(into: &mut Vec<u8>, value: &str) {
    let mut length = value.len();
    if length < 127 {
        into.push(length as u8);
    } else {
        into.push(127);
        length -= 127;
        while length >= 128 {
            into.push(length as u8 | 0x80);
            length >>= 7;
        }
        into.push(length as u8);
    }
    into.extend(value.as_bytes());
}

fn frame(into: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    into.extend(u32::try_from(payload.len()).unwrap_or_default().to_be_bytes().iter().skip(1));
    into.extend([kind, flags]);
    into.extend(stream.to_be_bytes());
    into.extend(payload);
}

/// Returns the status that an entry of the static table stands for.
const fn status(byte: &u8) -> Option<u16> {
    match byte {
        0x88 => Some(200),
        0x89 => Some(204),
        0x8c => Some(400),
        0x8d => Some(404),
        0x8e => Some(500),
        _ => None,
    }
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ENABLE_PUSH: u16 = 2;
const INITIAL_WINDOW_SIZE: u16 = 4;
const DEFAULT_WINDOW: u32 = 65_535;
const WINDOW: u32 = (1 << 31) - 1;
