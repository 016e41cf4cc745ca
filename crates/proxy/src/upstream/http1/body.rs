//! The body of a response as it comes from an HTTP/1.1 connection, which goes back to its pool when the body ends.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http_body::{Frame, SizeHint};

use super::Connection;
use super::broken::Broken;
use super::exchange::Upload;
use super::head::ResponseFraming;
use crate::http1::chunked::{Chunked, Next};

/// The body of a response.
#[derive(Debug)]
pub(crate) struct Body {
    // Gone once the body has ended.
    connection: Option<Box<Connection>>,
    left: Left,
    keeps_alive: bool,
    upload: Option<Upload>,
    // Why the body broke off, until it is told.
    broken: Option<Broken>,
}

/// What is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Length(u64),
    Chunked(Chunked),
    UntilClose,
}

impl Body {
    pub(super) fn new(
        connection: Box<Connection>,
        framing: ResponseFraming,
        keeps_alive: bool,
        upload: Option<Upload>,
    ) -> Self {
        let left = match framing {
            ResponseFraming::Length(length) => Left::Length(length),
            ResponseFraming::Chunked => Left::Chunked(Chunked::Size),
            ResponseFraming::Close => Left::UntilClose,
        };
        let mut body = Self { connection: Some(connection), left, keeps_alive, upload, broken: None };
        if body.left == Left::Length(0) {
            body.end();
        }
        body
    }

    /// Gives the connection back, where it may serve again.
    fn end(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        let keeps_alive = self.keeps_alive;
        match self.upload.take() {
            None if keeps_alive => connection.give_back(),
            None => {}
            // An upstream may answer before it has read all, and read on (RFC 9112 §9.5).
            Some(upload) => drop(tokio::spawn(async move {
                if let Some(half) = upload.end().await.filter(|_| keeps_alive) {
                    connection.rejoin(half);
                }
            })),
        }
    }

    /// Takes up to `most` bytes of what was read.
    fn take(&mut self, most: u64) -> Bytes {
        let Some(connection) = &mut self.connection else { return Bytes::new() };
        let length = usize::try_from(most).unwrap_or(usize::MAX).min(connection.read.len());
        if length > WORTH_SHARING {
            return connection.read.split_to(length).freeze();
        }
        // What was read stays ours to be filled again.
        let copy = connection.read.get(..length).map(Bytes::copy_from_slice).unwrap_or_default();
        connection.read.advance(length);
        copy
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        loop {
            let Some(connection) = &mut self.connection else { return Poll::Ready(None) };
            let most = match &mut self.left {
                Left::Length(left) => *left,
                Left::UntilClose => u64::MAX,
                Left::Chunked(chunked) => match chunked.next(&mut connection.read)? {
                    Next::Data(most) => most,
                    Next::Nothing => 0,
                    Next::End(trailers) => {
                        self.end();
                        return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
                    }
                },
            };
            if most > 0 && !connection.read.is_empty() {
                let data = self.take(most);
                match &mut self.left {
                    Left::Length(left) => *left -= data.len() as u64,
                    Left::Chunked(chunked) => chunked.took(data.len() as u64),
                    Left::UntilClose => {}
                }
                if self.left == Left::Length(0) {
                    self.end();
                }
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            let room = usize::try_from(most).unwrap_or(usize::MAX).clamp(LEAST_ROOM, MOST_ROOM);
            if !ready!(connection.poll_fill(cx, room))? {
                if self.left == Left::UntilClose {
                    self.end();
                    return Poll::Ready(None);
                }
                return Poll::Ready(Some(Err(Broken::Closed)));
            }
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if let Some(broken) = self.broken.take() {
            return Poll::Ready(Some(Err(broken)));
        }
        match ready!(self.poll_data(cx)) {
            Some(Err(broken)) => {
                self.upload.take().into_iter().for_each(Upload::give_up);
                self.connection = None;
                // A turn for what came before: once told, the stream downstream is reset with all that it has not sent.
                self.broken = Some(broken);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            frame => Poll::Ready(frame),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.connection.is_none() && self.broken.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.left {
            Left::Length(left) => SizeHint::with_exact(left),
            Left::Chunked(_) | Left::UntilClose if self.connection.is_none() => SizeHint::with_exact(0),
            Left::Chunked(_) | Left::UntilClose => SizeHint::default(),
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.upload.take().into_iter().for_each(Upload::give_up);
    }
}

/// What is longer is passed on as it is, and leaves a new buffer to be read into; what is shorter is copied.
const WORTH_SHARING: usize = 4 * 1024;
const LEAST_ROOM: usize = 8 * 1024;
const MOST_ROOM: usize = 64 * 1024;
