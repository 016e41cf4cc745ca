//! Frames of HTTP/3 (RFC 9114 §7) on one stream: what a body is made of passes as it comes, the rest is gathered up to a
//! limit, and what is unknown is skipped.

use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::AsyncReadExt as _;
use tokio::task::coop;

use super::broken::Broken;
use super::stream::Receiving;

/// What a stream brings.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// A part of a body.
    Data(Bytes),
    /// A header section, or trailers.
    Headers(Bytes),
    /// The peer's settings.
    Settings(Bytes),
    /// Requests from this stream on are not looked at.
    GoAway(u64),
    /// A push is not to come. None was allowed.
    CancelPush,
    /// Another one that HTTP/3 knows, and that no server may send to us.
    Other,
}

/// Reads frames.
#[derive(Debug)]
pub(super) struct Frames {
    stream: Receiving,
    read: BytesMut,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between two frames.
    Between,
    /// In a part of a body, of which so much is to come.
    Data(u64),
    /// In a frame that nobody knows.
    Unknown(u64),
}

/// What comes next.
enum Step {
    Frame(Frame),
    Again,
    Read,
}

impl Frames {
    pub(super) fn new(stream: Receiving) -> Self {
        Self { stream, read: BytesMut::new(), state: State::Between }
    }

    /// Reads the number by which a stream of one direction says what it is for.
    pub(super) fn poll_kind(&mut self, cx: &mut Context<'_>) -> Poll<Result<u64, Broken>> {
        loop {
            if let Some((kind, length)) = number(&self.read) {
                let _kind = self.read.split_to(length);
                return Poll::Ready(Ok(kind));
            }
            if !ready!(self.poll_fill(cx))? {
                return Poll::Ready(Err(Broken::Closed));
            }
        }
    }

    /// Returns the next frame; `None` where the stream ends between two.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, Broken>> {
        loop {
            match self.step()? {
                Step::Frame(frame) => return Poll::Ready(Ok(Some(frame))),
                Step::Again => {}
                Step::Read => {
                    if !ready!(self.poll_fill(cx))? {
                        let is_whole = self.state == State::Between && self.read.is_empty();
                        return Poll::Ready(if is_whole { Ok(None) } else { Err(Broken::Closed) });
                    }
                }
            }
        }
    }

    /// Does what can be done with what was read.
    fn step(&mut self) -> Result<Step, Broken> {
        match &mut self.state {
            State::Between => self.begin(),
            State::Data(0) | State::Unknown(0) => {
                self.state = State::Between;
                Ok(Step::Again)
            }
            State::Data(_) | State::Unknown(_) if self.read.is_empty() => Ok(Step::Read),
            State::Data(left) => {
                let length = part(&self.read, left);
                Ok(Step::Frame(Frame::Data(take(&mut self.read, length))))
            }
            State::Unknown(left) => {
                self.read.advance(part(&self.read, left));
                Ok(Step::Again)
            }
        }
    }

    /// Begins a frame, or takes one that is gathered.
    fn begin(&mut self) -> Result<Step, Broken> {
        let Some((kind, length, head)) = self.head() else { return Ok(Step::Read) };
        let then = match kind {
            DATA => State::Data(length),
            HEADERS | CANCEL_PUSH | SETTINGS | PUSH_PROMISE | GOAWAY | MAX_PUSH_ID => {
                return self.gather(kind, length, head);
            }
            // RFC 9114 §7.2.8: frames of HTTP/2 that HTTP/3 does not have.
            0x02 | 0x06 | 0x08 | 0x09 => return Err(Broken::Invalid("a frame of HTTP/2")),
            _ => State::Unknown(length),
        };
        let _head = self.read.split_to(head);
        self.state = then;
        // One that is empty has its place like any other.
        Ok(if then == State::Data(0) { Step::Frame(Frame::Data(Bytes::new())) } else { Step::Again })
    }

    fn gather(&mut self, kind: u64, length: u64, head: usize) -> Result<Step, Broken> {
        let length = usize::try_from(length).ok().filter(|length| *length <= MAX_SECTION).ok_or(Broken::TooLarge)?;
        if self.read.len() < head + length {
            return Ok(Step::Read);
        }
        let _head = self.read.split_to(head);
        let content = self.read.split_to(length).freeze();
        Ok(Step::Frame(match kind {
            HEADERS => Frame::Headers(content),
            SETTINGS => Frame::Settings(content),
            GOAWAY => match number(&content) {
                Some((id, length)) if length == content.len() => Frame::GoAway(id),
                _ => return Err(Broken::Invalid("a GOAWAY frame without an identifier")),
            },
            CANCEL_PUSH => Frame::CancelPush,
            _ => Frame::Other,
        }))
    }

    /// Returns what the next frame is, how long, and how many bytes say so.
    fn head(&self) -> Option<(u64, u64, usize)> {
        let (kind, first) = number(&self.read)?;
        let (length, second) = number(self.read.get(first..)?)?;
        Some((kind, length, first + second))
    }

    /// Reads more; ready with whether there was more.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Broken>> {
        // A peer that always sends more must not use up the turns of others.
        let turn = ready!(coop::poll_proceed(cx));
        self.read.reserve(ROOM);
        let reading = pin!(self.stream.get().read_buf(&mut self.read));
        let read = ready!(reading.poll(cx))?;
        turn.made_progress();
        if read == 0 {
            self.stream.end();
        }
        Poll::Ready(Ok(read > 0))
    }
}

/// Begins a frame of so many bytes.
pub(super) fn begin(to: &mut Vec<u8>, kind: u64, length: usize) {
    write_number(to, kind);
    write_number(to, length as u64);
}

/// Writes a number in as many bytes as it takes (RFC 9000 §16).
pub(super) fn write_number(to: &mut Vec<u8>, value: u64) {
    let bytes = value.to_be_bytes();
    let (skipped, flags) = match value {
        0..0x40 => (7, 0),
        0x40..0x4000 => (6, 0x40),
        0x4000..0x4000_0000 => (4, 0x80),
        _ => (0, 0xc0),
    };
    let written = bytes.iter().skip(skipped).enumerate();
    to.extend(written.map(|(place, byte)| if place == 0 { byte | flags } else { *byte }));
}

/// Reads a number at the beginning, and how many bytes it has.
pub(super) fn number(from: &[u8]) -> Option<(u64, usize)> {
    let first = *from.first()?;
    let length = 1 << (first >> 6);
    let rest = from.get(1..length)?;
    let value = rest.iter().fold(u64::from(first & 0x3f), |value, byte| value << 8 | u64::from(*byte));
    Some((value, length))
}

/// Returns how much was read of a frame's rest, which is `left`.
fn part(read: &BytesMut, left: &mut u64) -> usize {
    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(read.len());
    *left -= length as u64;
    length
}

/// Takes so many bytes of what was read. Those of a few would hold all the room that was made for more, for as long as a
/// client does not take them.
fn take(read: &mut BytesMut, length: usize) -> Bytes {
    if length > WORTH_SHARING {
        return read.split_to(length).freeze();
    }
    let copy = read.get(..length).map(Bytes::copy_from_slice).unwrap_or_default();
    read.advance(length);
    copy
}

pub(super) const DATA: u64 = 0x00;
pub(super) const HEADERS: u64 = 0x01;
const CANCEL_PUSH: u64 = 0x03;
pub(super) const SETTINGS: u64 = 0x04;
const PUSH_PROMISE: u64 = 0x05;
const GOAWAY: u64 = 0x07;
const MAX_PUSH_ID: u64 = 0x0d;

/// Bytes of a header section as it is sent; decoded it may have as many.
pub(super) const MAX_SECTION: usize = 128 * 1024;

/// Room for what is read at a time.
const ROOM: usize = 16 * 1024;

/// Bytes that are worth to be shared rather than copied.
const WORTH_SHARING: usize = 4 * 1024;

#[cfg(test)]
mod tests;
