//! A request on its way to an HTTP/1.1 upstream: its head, then its body as it comes.

use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http::header::{self, HeaderName, TRAILER};
use http::{HeaderMap, Request};
use http_body::Body as _;
use tokio::io::AsyncWrite;

use super::broken::Broken;
use super::head::{self, RequestFraming};
use crate::client_address::Told;
use crate::upstream::body::RequestBody;

/// What is still to be sent of a request.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// A head, or the size of a chunk: the first bytes to be written.
    line: Vec<u8>,
    written: usize,
    /// Data of the body, behind the line.
    data: Bytes,
    /// The end of a chunk, behind the data.
    end: &'static [u8],
    /// Where more comes from.
    body: Option<RequestBody>,
    framing: RequestFraming,
    /// The trailers that the request has announced: no others are sent (RFC 9112 §7.1.2).
    trailers: Vec<HeaderName>,
    /// How many bytes were taken in all.
    taken: u64,
    is_flushed: bool,
}

impl Outgoing {
    /// Begins with the head; `line` is a buffer to be used.
    pub(super) fn new(request: &Request<RequestBody>, told: &Told, mut line: Vec<u8>) -> Self {
        let framing = RequestFraming::of(request);
        line.clear();
        head::write(request, told, framing, &mut line);
        let trailers = match framing {
            RequestFraming::Chunked => {
                let announced = request.headers().get_all(TRAILER).iter().filter_map(|value| value.to_str().ok());
                announced.flat_map(|names| names.split(',')).filter_map(|name| name.trim().parse().ok()).collect()
            }
            RequestFraming::Empty | RequestFraming::Length(_) => Vec::new(),
        };
        Self {
            line,
            written: 0,
            data: Bytes::new(),
            end: b"",
            body: None,
            framing,
            trailers,
            taken: 0,
            is_flushed: true,
        }
    }

    /// Returns whether a body follows the head.
    pub(super) fn has_body(&self) -> bool {
        self.framing != RequestFraming::Empty
    }

    pub(super) fn set_body(&mut self, body: RequestBody) {
        self.body = Some(body);
    }

    /// Returns the body, where nothing of the request was written.
    pub(super) fn unsent(&mut self) -> Option<RequestBody> {
        self.body.take_if(|_| self.taken == 0)
    }

    /// Returns whether nothing was written.
    pub(super) const fn has_begun(&self) -> bool {
        self.taken > 0
    }

    /// Returns how many bytes the upstream took so far.
    pub(super) const fn taken(&self) -> u64 {
        self.taken
    }

    /// Returns the buffer, for the next request.
    pub(super) fn into_line(self) -> Vec<u8> {
        self.line
    }

    /// Sends as much as can be sent now; ready once all has gone.
    pub(super) fn poll<S>(&mut self, cx: &mut Context<'_>, mut stream: Pin<&mut S>) -> Poll<Result<(), Broken>>
    where
        S: AsyncWrite,
    {
        loop {
            ready!(self.poll_write(cx, stream.as_mut()))?;
            if self.body.is_some() {
                // The body may be waiting for the answer to what lies in a buffer.
                let _later = self.poll_flush(cx, stream.as_mut())?;
                ready!(self.poll_body(cx)?);
            } else {
                return self.poll_flush(cx, stream).map_err(Broken::Io);
            }
        }
    }

    fn poll_write<S: AsyncWrite>(&mut self, cx: &mut Context<'_>, mut stream: Pin<&mut S>) -> Poll<io::Result<()>> {
        loop {
            let line = self.line.get(self.written..).unwrap_or_default();
            if line.is_empty() && self.data.is_empty() && self.end.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let written = if self.data.is_empty() && self.end.is_empty() {
                ready!(stream.as_mut().poll_write(cx, line))?
            } else {
                let parts = [IoSlice::new(line), IoSlice::new(&self.data), IoSlice::new(self.end)];
                ready!(stream.as_mut().poll_write_vectored(cx, &parts))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
    }

    fn advance(&mut self, written: usize) {
        self.taken += written as u64;
        self.is_flushed = false;
        let of_line = written.min(self.line.len() - self.written);
        self.written += of_line;
        let of_data = (written - of_line).min(self.data.len());
        self.data.advance(of_data);
        self.end = self.end.get(written - of_line - of_data..).unwrap_or_default();
    }

    fn poll_flush<S: AsyncWrite>(&mut self, cx: &mut Context<'_>, stream: Pin<&mut S>) -> Poll<io::Result<()>> {
        if !self.is_flushed {
            ready!(stream.poll_flush(cx))?;
            self.is_flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Takes the next part of the body.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Broken> {
        let Some(body) = &mut self.body else { return Ok(Poll::Ready(())) };
        let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) else { return Ok(Poll::Pending) };
        self.line.clear();
        self.written = 0;
        match frame.transpose()? {
            None => self.finish(None)?,
            Some(frame) => match frame.into_data() {
                Ok(data) => self.take(data)?,
                Err(frame) => self.finish(frame.into_trailers().ok().as_ref())?,
            },
        }
        Ok(Poll::Ready(()))
    }

    fn take(&mut self, data: Bytes) -> Result<(), Broken> {
        match &mut self.framing {
            // No chunk is empty but the last one.
            _ if data.is_empty() => return Ok(()),
            RequestFraming::Empty => return Err(Broken::RequestLength),
            RequestFraming::Length(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or(Broken::RequestLength)?;
                if *left == 0 {
                    self.body = None;
                }
            }
            RequestFraming::Chunked => {
                write!(self.line, "{:x}\r\n", data.len())?;
                self.end = b"\r\n";
            }
        }
        self.data = data;
        Ok(())
    }

    fn finish(&mut self, trailers: Option<&HeaderMap>) -> Result<(), Broken> {
        self.body = None;
        match self.framing {
            RequestFraming::Empty | RequestFraming::Length(0) => {}
            RequestFraming::Length(_) => return Err(Broken::RequestLength),
            RequestFraming::Chunked => {
                self.line.extend_from_slice(b"0\r\n");
                let passes = |name: &HeaderName| self.trailers.contains(name) && !NO_TRAILERS.contains(name);
                for (name, value) in trailers.into_iter().flatten().filter(|(name, _)| passes(name)) {
                    head::line(&mut self.line, name, value);
                }
                self.line.extend_from_slice(b"\r\n");
            }
        }
        Ok(())
    }
}

/// What says something of the message as a whole comes too late behind it (RFC 9110 §6.5.1).
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
