//! The two directions of a stream, which are broken off when they are dropped before their end: what is cut short never
//! looks whole to the peer.

use bytes::Bytes;
use quinn::{RecvStream, SendStream, VarInt, WriteError};

/// The direction that sends.
#[derive(Debug)]
pub(super) struct Sending {
    stream: SendStream,
    is_finished: bool,
}

/// The direction that receives.
#[derive(Debug)]
pub(super) struct Receiving {
    stream: RecvStream,
    has_ended: bool,
}

impl Sending {
    pub(super) const fn new(stream: SendStream) -> Self {
        Self { stream, is_finished: false }
    }

    /// Returns the stream's number.
    pub(super) fn id(&self) -> u64 {
        VarInt::from(self.stream.id()).into_inner()
    }

    /// Sends `parts` as they are; waits while the peer takes nothing.
    pub(super) async fn write(&mut self, parts: &mut [Bytes]) -> Result<(), WriteError> {
        self.stream.write_all_chunks(parts).await
    }

    /// Says that all was sent.
    pub(super) fn finish(&mut self) {
        self.is_finished = true;
        // A peer that wants no more has said so, and needs no end.
        let _stopped = self.stream.finish();
    }
}

impl Receiving {
    pub(super) const fn new(stream: RecvStream) -> Self {
        Self { stream, has_ended: false }
    }

    pub(super) const fn get(&mut self) -> &mut RecvStream {
        &mut self.stream
    }

    /// The peer has sent all.
    pub(super) const fn end(&mut self) {
        self.has_ended = true;
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if !self.is_finished {
            // Otherwise quinn says that all was sent.
            let _ended = self.stream.reset(REQUEST_CANCELLED);
        }
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        if !self.has_ended {
            let _ended = self.stream.stop(REQUEST_CANCELLED);
        }
    }
}

/// RFC 9114 §8.1.
const REQUEST_CANCELLED: VarInt = VarInt::from_u32(0x010c);
