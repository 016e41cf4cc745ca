//! The body of a response as it comes from a stream.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::SizeHint;

use super::broken::Broken;
use super::frame::{Frame, Frames};
use super::upload::Upload;
use super::{Slot, message};

type Part = http_body::Frame<Bytes>;

/// The body of a response.
#[derive(Debug)]
pub(crate) struct Body {
    frames: Frames,
    /// Bytes to come, where the response said how many.
    left: Option<u64>,
    /// What came with the head.
    next: Option<Result<Part, Broken>>,
    has_ended: bool,
    upload: Option<Upload>,
    /// Held until the end of both directions.
    slot: Option<Slot>,
}

impl Body {
    pub(super) const fn new(frames: Frames, left: Option<u64>, upload: Option<Upload>) -> Self {
        Self { frames, left, next: None, has_ended: false, upload, slot: None }
    }

    /// Looks whether the beginning, or the end, is there already.
    pub(super) fn look(&mut self, cx: &mut Context<'_>) {
        if let Poll::Ready(part) = self.poll_part(cx) {
            self.next = part;
        }
    }

    /// Says which connection the body comes from.
    pub(super) fn of(mut self, slot: Slot) -> Self {
        self.slot = Some(slot);
        self
    }

    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Part, Broken>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let part = loop {
            match ready!(self.frames.poll_next(cx)) {
                Ok(Some(Frame::Data(data))) if data.is_empty() => {}
                Ok(frame) => break self.take(frame, cx).transpose(),
                Err(broken) => break Some(Err(broken)),
            }
        };
        if let Some(Err(broken)) = &part {
            self.has_ended = true;
            self.upload = None;
            self.slot.iter().filter(|_| broken.is_of_peer()).for_each(Slot::retire);
        }
        Poll::Ready(part)
    }

    fn take(&mut self, frame: Option<Frame>, cx: &mut Context<'_>) -> Result<Option<Part>, Broken> {
        match frame {
            Some(Frame::Data(data)) => {
                if let Some(left) = &mut self.left {
                    // RFC 9114 §4.1.2.
                    *left = left.checked_sub(data.len() as u64).ok_or(OTHER_LENGTH)?;
                }
                Ok(Some(Part::data(data)))
            }
            Some(Frame::Headers(section)) => {
                let trailers = message::read_trailers(&section)?;
                if let Poll::Ready(Ok(Some(_))) = self.frames.poll_next(cx) {
                    return Err(Broken::Invalid("a frame behind the trailers"));
                }
                self.end()?;
                Ok(Some(Part::trailers(trailers)))
            }
            None => {
                self.end()?;
                Ok(None)
            }
            Some(Frame::Settings(_) | Frame::GoAway(_) | Frame::CancelPush | Frame::Other) => {
                Err(Broken::Invalid("a frame that has no place in a response"))
            }
        }
    }

    fn end(&mut self) -> Result<(), Broken> {
        if self.left.is_some_and(|left| left > 0) {
            return Err(OTHER_LENGTH);
        }
        self.has_ended = true;
        if let (Some(slot), Some(upload)) = (self.slot.take(), self.upload.take()) {
            upload.detach(slot);
        }
        Ok(())
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Part, Broken>>> {
        match self.next.take() {
            Some(next) => Poll::Ready(Some(next)),
            None => self.poll_part(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.has_ended && self.next.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let waiting = match &self.next {
            Some(Ok(part)) => part.data_ref().map_or(0, Bytes::len) as u64,
            Some(Err(_)) | None => 0,
        };
        match self.left {
            Some(left) => SizeHint::with_exact(left + waiting),
            None if self.has_ended => SizeHint::with_exact(waiting),
            None => SizeHint::default(),
        }
    }
}

const OTHER_LENGTH: Broken = Broken::Invalid("the body has another length than it said");
