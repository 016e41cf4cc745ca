//! A body on its way into a stream, no faster than the peer takes it.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http::HeaderMap;
use http_body::Body;

/// What is still to be sent on a stream.
#[derive(Debug)]
pub(crate) struct Outflow<B> {
    body: B,
    stream: SendStream<Bytes>,
    /// What waits for room, and whether it is the last.
    held: Option<(Bytes, bool)>,
    // How many parts were sent.
    sent: u64,
    /// Why the stream is reset where the body breaks off and nobody says why.
    otherwise: Reason,
}

impl<B> Outflow<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Error + 'static,
{
    pub(crate) const fn new(body: B, stream: SendStream<Bytes>, otherwise: Reason) -> Self {
        Self { body, stream, held: None, sent: 0, otherwise }
    }

    /// Returns how many parts were sent.
    pub(crate) const fn sent(&self) -> u64 {
        self.sent
    }

    /// Returns how many parts were sent, where one waits because the peer takes no more.
    pub(crate) fn held_after(&self) -> Option<u64> {
        self.held.as_ref().map(|_| self.sent)
    }

    pub(crate) const fn body(&mut self) -> &mut B {
        &mut self.body
    }

    /// Goes on as far as possible; ready when all was sent.
    ///
    /// # Errors
    /// The peer has reset the stream, or the body broke off and the stream was reset.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        loop {
            if let Poll::Ready(reset) = self.stream.poll_reset(cx) {
                return Poll::Ready(Err(reset.map_or_else(|error| error, Into::into)));
            }
            if self.held.is_some() {
                ready!(self.poll_room(cx))?;
            }
            if let Some((data, is_last)) = self.held.take() {
                self.sent += 1;
                self.stream.send_data(data, is_last)?;
                if is_last {
                    return Poll::Ready(Ok(()));
                }
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => return Poll::Ready(self.stream.send_data(Bytes::new(), true)),
                Some(Err(error)) => {
                    self.reset(&error);
                    return Poll::Ready(Ok(()));
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.hold(data),
                    Err(frame) => return Poll::Ready(self.end(frame.into_trailers().unwrap_or_default())),
                },
            }
        }
    }

    /// Ends the stream with trailers; what waits is not sent.
    pub(crate) fn end(&mut self, trailers: HeaderMap) -> Result<(), h2::Error> {
        self.held = None;
        // Room that is not needed is somebody else's.
        self.stream.reserve_capacity(0);
        self.stream.send_trailers(trailers)
    }

    /// Resets the stream, for the reason that a stream was reset for that the body came by.
    pub(crate) fn reset(&mut self, error: &(dyn Error + 'static)) {
        let mut causes = std::iter::successors(Some(error), |&error| error.source());
        let reason = causes.find_map(|error| error.downcast_ref::<h2::Error>()?.reason());
        self.stream.send_reset(reason.filter(|reason| *reason != Reason::NO_ERROR).unwrap_or(self.otherwise));
    }

    fn hold(&mut self, data: Bytes) {
        let is_last = self.body.is_end_stream();
        if !data.is_empty() {
            // Asked for only with data at hand, and as little as says that there is some: what one stream is given of the
            // connection's window, the others have not.
            self.stream.reserve_capacity(1);
        } else if !is_last {
            return;
        }
        self.held = Some((data, is_last));
    }

    /// Waits until the peer takes what is held.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        let needs_none = self.held.as_ref().is_some_and(|(data, _)| data.is_empty());
        while !needs_none && self.stream.capacity() == 0 {
            match ready!(self.stream.poll_capacity(cx)) {
                Some(room) => room.map(drop)?,
                // It has ended, one way or the other.
                None => return Poll::Ready(Err(Reason::STREAM_CLOSED.into())),
            }
        }
        Poll::Ready(Ok(()))
    }
}
