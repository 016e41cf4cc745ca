//! A request on its way to an HTTP/1.1 upstream: its head, then its body as it comes.

use std::io::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body::{Body as _, Frame};
use tokio::io::AsyncWrite;

use super::broken::Broken;
use super::head::{self, RequestFraming};
use crate::client_address::Told;
use crate::http1::fields;
use crate::http1::outbox::Outbox;
use crate::upstream::body::RequestBody;

/// What is still to be sent of a request.
#[derive(Debug)]
pub(super) struct Outgoing {
    out: Outbox,
    /// Where more comes from.
    body: Option<RequestBody>,
    /// How the body has ended, until all that came before is written: with these trailers, or broken.
    ending: Option<Result<Option<HeaderMap>, Broken>>,
    framing: RequestFraming,
}

impl Outgoing {
    /// Begins with the head; `line` is a buffer to be used.
    pub(super) fn new(request: &Request<RequestBody>, told: &Told, line: Vec<u8>) -> Self {
        let framing = RequestFraming::of(request);
        let mut out = Outbox::new(line);
        head::write(request, told, framing, &mut out.line);
        Self { out, body: None, ending: None, framing }
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
        self.body.take_if(|_| self.out.taken() == 0)
    }

    /// Returns whether nothing was written.
    pub(super) const fn has_begun(&self) -> bool {
        self.out.taken() > 0
    }

    /// Returns how many bytes the upstream took so far.
    pub(super) const fn taken(&self) -> u64 {
        self.out.taken()
    }

    /// Returns the buffer, for the next request.
    pub(super) fn into_line(self) -> Vec<u8> {
        self.out.into_line()
    }

    /// Sends as much as can be sent now; ready once all has gone.
    pub(super) fn poll<S>(&mut self, cx: &mut Context<'_>, mut stream: Pin<&mut S>) -> Poll<Result<(), Broken>>
    where
        S: AsyncWrite,
    {
        loop {
            ready!(self.out.poll_write(cx, stream.as_mut()))?;
            if let Some(ending) = self.ending.take() {
                self.finish(ending?.as_ref())?;
            } else if self.body.is_some() {
                // The body may be waiting for the answer to what lies in a buffer.
                let _later = self.out.poll_flush(cx, stream.as_mut())?;
                ready!(self.poll_body(cx)?);
            } else {
                return self.out.poll_flush(cx, stream).map_err(Broken::Io);
            }
        }
    }

    /// Takes what there is of the body. Few long writes cost less than many short ones, for both sides of the connection.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Broken> {
        let mut taken = 0;
        while let Some(body) = self.body.as_mut().filter(|_| taken < MOST_AT_ONCE && self.out.has_room()) {
            let frame = match Pin::new(body).poll_frame(cx) {
                Poll::Ready(frame) => frame,
                Poll::Pending if taken == 0 => return Ok(Poll::Pending),
                Poll::Pending => break,
            };
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => {
                    taken += data.len();
                    self.take(data)?;
                }
                Some(Ok(Err(frame))) => self.end(Ok(frame.into_trailers().ok())),
                Some(Err(error)) => self.end(Err(error.into())),
                None => self.end(Ok(None)),
            }
        }
        // No chunk is empty but the last one.
        if self.framing == RequestFraming::Chunked && taken > 0 {
            write!(self.out.line, "{taken:x}\r\n")?;
            self.out.end = b"\r\n";
        }
        Ok(Poll::Ready(()))
    }

    fn take(&mut self, data: Bytes) -> Result<(), Broken> {
        match &mut self.framing {
            _ if data.is_empty() => return Ok(()),
            RequestFraming::Empty => return Err(Broken::RequestLength),
            RequestFraming::Length(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or(Broken::RequestLength)?;
                if *left == 0 {
                    self.body = None;
                }
            }
            RequestFraming::Chunked => {}
        }
        self.out.put(data);
        Ok(())
    }

    fn end(&mut self, ending: Result<Option<HeaderMap>, Broken>) {
        self.body = None;
        self.ending = Some(ending);
    }

    fn finish(&mut self, trailers: Option<&HeaderMap>) -> Result<(), Broken> {
        match self.framing {
            RequestFraming::Empty | RequestFraming::Length(0) => {}
            RequestFraming::Length(_) => return Err(Broken::RequestLength),
            RequestFraming::Chunked => fields::write_end(&mut self.out.line, trailers),
        }
        Ok(())
    }
}

/// How much of a body is written in one go: once it is taken, the client may send as much again, and it is held here.
const MOST_AT_ONCE: usize = 128 * 1024;
