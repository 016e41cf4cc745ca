//! The body of a request: the connection puts in what it reads, whoever forwards the request takes it out.
//!
//! There is room for one part. The next one is read when the last was taken and more is asked for, so that who takes
//! nothing holds the client back.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Buf as _, Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use super::Faulty;
use super::chunked::{Chunked, Next};

/// The body of a request.
#[derive(Debug)]
pub(crate) struct Body {
    source: Source,
    // What is still to be taken, where that is known.
    left: Option<u64>,
}

#[derive(Debug)]
enum Source {
    /// All of it came with the head, or there is none.
    Whole(Bytes),
    /// It is being read.
    Streamed(Arc<Feed>),
}

/// The place of one part between the connection and the body.
#[derive(Debug, Default)]
struct Feed(Mutex<Slot>);

#[derive(Debug, Default)]
struct Slot {
    part: Option<Result<Frame<Bytes>, Faulty>>,
    /// No more will come.
    has_ended: bool,
    is_wanted: bool,
    /// Nobody takes anything any more.
    is_dropped: bool,
    reader: Option<Waker>,
    connection: Option<Waker>,
}

/// What a body wants of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// The next part.
    More,
    /// Nothing yet.
    Nothing,
    /// Nothing ever: it was dropped.
    Never,
}

/// A body as its connection reads it.
#[derive(Debug)]
pub(super) struct Upload {
    feed: Arc<Feed>,
    left: Left,
    // Bytes of framing that may come without data.
    overhead: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Length(u64),
    Chunked(Chunked),
}

/// What comes next of a body.
#[derive(Debug)]
pub(super) enum Step {
    /// More must be read: about so many bytes.
    Read(usize),
    Data(Bytes),
    End(Option<HeaderMap>),
}

impl Body {
    /// The body of a request that came whole.
    pub(super) fn whole(data: Bytes) -> Self {
        Self { left: Some(data.len() as u64), source: Source::Whole(data) }
    }

    /// A body of so many bytes, or in chunks, and what its connection reads it with.
    pub(super) fn streamed(length: Option<u64>) -> (Self, Upload) {
        let feed = Arc::new(Feed::default());
        let left = length.map_or(Left::Chunked(Chunked::Size), Left::Length);
        let upload = Upload { feed: Arc::clone(&feed), left, overhead: MAX_OVERHEAD };
        (Self { source: Source::Streamed(feed), left: length }, upload)
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Faulty;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Faulty>>> {
        let this = self.get_mut();
        let polled = match &mut this.source {
            Source::Whole(data) if data.is_empty() => return Poll::Ready(None),
            Source::Whole(data) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(data))))),
            Source::Streamed(feed) => feed.poll(cx),
        };
        if let (Poll::Ready(Some(Ok(frame))), Some(left)) = (&polled, &mut this.left) {
            *left = left.saturating_sub(frame.data_ref().map_or(0, |data| data.len() as u64));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match (&self.source, self.left) {
            (_, Some(left)) => left == 0,
            (Source::Whole(data), None) => data.is_empty(),
            (Source::Streamed(feed), None) => feed.has_ended(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self.left {
            Some(left) => SizeHint::with_exact(left),
            None if self.is_end_stream() => SizeHint::with_exact(0),
            None => SizeHint::default(),
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let Source::Streamed(feed) = &self.source {
            let mut slot = feed.lock();
            slot.is_dropped = true;
            slot.part = None;
            let connection = slot.connection.take();
            drop(slot);
            connection.into_iter().for_each(Waker::wake);
        }
    }
}

impl Feed {
    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_ended(&self) -> bool {
        let slot = self.lock();
        slot.has_ended && slot.part.is_none()
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Faulty>>> {
        let mut slot = self.lock();
        if let Some(part) = slot.part.take() {
            return Poll::Ready(Some(part));
        }
        if slot.has_ended {
            return Poll::Ready(None);
        }
        register(&mut slot.reader, cx);
        slot.is_wanted = true;
        // The connection that polls us looks by itself.
        let connection = slot.connection.take_if(|connection| !connection.will_wake(cx.waker()));
        drop(slot);
        connection.into_iter().for_each(Waker::wake);
        Poll::Pending
    }

    /// Puts a part in, or the end where there is none; who waits for it in another task is woken.
    fn put(&self, part: Option<Result<Frame<Bytes>, Faulty>>, ends: bool, cx: &Context<'_>) {
        let mut slot = self.lock();
        slot.part = part;
        slot.has_ended |= ends;
        slot.is_wanted = false;
        let reader = slot.reader.take_if(|reader| !reader.will_wake(cx.waker()));
        drop(slot);
        reader.into_iter().for_each(Waker::wake);
    }
}

impl Upload {
    /// Returns what the body wants, and has the task woken when that changes.
    pub(super) fn wants(&self, cx: &Context<'_>) -> Want {
        let mut slot = self.feed.lock();
        if slot.is_dropped {
            return Want::Never;
        }
        register(&mut slot.connection, cx);
        if slot.is_wanted { Want::More } else { Want::Nothing }
    }

    /// Takes the next part out of what was read.
    pub(super) fn next(&mut self, read: &mut BytesMut) -> Result<Step, Faulty> {
        let most = match &mut self.left {
            Left::Length(0) => return Ok(Step::End(None)),
            Left::Length(left) => *left,
            Left::Chunked(chunked) => {
                let before = read.len();
                let next = chunked.next(read)?;
                let framing = (before - read.len()) as u64;
                self.overhead = self.overhead.checked_sub(framing).ok_or(Faulty::TooLarge)?;
                match next {
                    Next::Data(most) => most,
                    Next::Nothing => return Ok(Step::Read(LEAST_ROOM)),
                    Next::End(trailers) => return Ok(Step::End(trailers)),
                }
            }
        };
        if read.is_empty() {
            return Ok(Step::Read(usize::try_from(most).unwrap_or(usize::MAX).clamp(LEAST_ROOM, MOST_ROOM)));
        }
        let data = take(read, most);
        let length = data.len() as u64;
        match &mut self.left {
            Left::Length(left) => *left -= length,
            Left::Chunked(chunked) => chunked.took(length),
        }
        // As much framing as one chunk for each byte would need.
        self.overhead = self.overhead.saturating_add(length.saturating_mul(8)).min(MAX_OVERHEAD);
        Ok(Step::Data(data))
    }

    /// Returns whether what is still to come is wanted, or may be little enough to be read all the same.
    pub(super) fn may_be_discarded(&self) -> bool {
        match self.left {
            Left::Length(left) => left <= MAX_DISCARDED || !self.feed.lock().is_dropped,
            Left::Chunked(_) => true,
        }
    }

    /// Hands a part to the body. Returns whether it was the last.
    pub(super) fn give(&self, data: Bytes, cx: &Context<'_>) -> bool {
        let ends = self.left == Left::Length(0);
        self.feed.put(Some(Ok(Frame::data(data))), ends, cx);
        ends
    }

    /// Tells the body that it has ended.
    pub(super) fn end(&self, trailers: Option<HeaderMap>, cx: &Context<'_>) {
        self.feed.put(trailers.map(|trailers| Ok(Frame::trailers(trailers))), true, cx);
    }

    /// Tells the body that it broke off.
    pub(super) fn fail(&self, faulty: Faulty, cx: &Context<'_>) {
        self.feed.put(Some(Err(faulty)), true, cx);
    }
}

impl Drop for Upload {
    /// A connection that is gone in the middle leaves nobody waiting for the rest.
    fn drop(&mut self) {
        let mut slot = self.feed.lock();
        if !slot.has_ended && !slot.is_dropped {
            slot.part = Some(Err(Faulty::Closed));
            slot.has_ended = true;
        }
        let reader = slot.reader.take();
        drop(slot);
        reader.into_iter().for_each(Waker::wake);
    }
}

fn register(place: &mut Option<Waker>, cx: &Context<'_>) {
    match place {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *place = Some(cx.waker().clone()),
    }
}

/// Takes up to `most` bytes of what was read.
fn take(read: &mut BytesMut, most: u64) -> Bytes {
    let length = usize::try_from(most).unwrap_or(usize::MAX).min(read.len());
    if length > WORTH_SHARING {
        return read.split_to(length).freeze();
    }
    let copy = read.get(..length).map(Bytes::copy_from_slice).unwrap_or_default();
    read.advance(length);
    copy
}

/// Sizes, extensions and line ends of chunks that may come before the data makes up for them: extensions of 4 KiB
/// for each byte of data would have us read for nothing.
const MAX_OVERHEAD: u64 = 128 * 1024;
/// How much of a body that nobody wants is read, so that its connection may serve again.
pub(super) const MAX_DISCARDED: u64 = 64 * 1024;

/// What is longer is passed on as it is, and leaves a new buffer to be read into; what is shorter is copied.
const WORTH_SHARING: usize = 4 * 1024;
const LEAST_ROOM: usize = 8 * 1024;
const MOST_ROOM: usize = 64 * 1024;

#[cfg(test)]
mod tests;
