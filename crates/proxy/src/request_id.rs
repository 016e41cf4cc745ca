//! The name of one request: in our answers, in the upstream's log, in the audit record.

use std::cell::RefCell;

use http::HeaderValue;
use jiff::Timestamp;
use uuid::Builder;
use uuid::fmt::Hyphenated;

/// A UUID of version 7 (RFC 9562 §5.7): sorts by time, cannot be guessed from another.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(
    // Invariant: ASCII.
    [u8; Hyphenated::LENGTH],
);

impl RequestId {
    /// Makes an id. Never taken from the request: a client could make two of its requests look like one.
    pub(crate) fn new(now: Timestamp) -> Self {
        let milliseconds = u64::try_from(now.as_millisecond()).unwrap_or_default();
        let random = RANDOM.with_borrow_mut(Random::take);
        let id = Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid();
        let mut text = [0; Hyphenated::LENGTH];
        id.hyphenated().encode_lower(&mut text);
        Self(text)
    }

    /// Returns the text.
    pub(crate) fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Returns the value of an `X-Request-Id` header.
    pub(crate) fn to_header(&self) -> HeaderValue {
        HeaderValue::from_bytes(&self.0).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

/// Random bytes for the next ids of one thread: the generator costs nearly as much for ten as for many.
struct Random {
    bytes: [u8; Self::BYTES],
    used: usize,
}

impl Random {
    const BYTES: usize = 32 * PER_ID;

    fn take(&mut self) -> [u8; PER_ID] {
        if self.used + PER_ID > Self::BYTES {
            // Should the source of randomness ever fail, ids repeat, and nothing else depends on them.
            let _ = aws_lc_rs::rand::fill(&mut self.bytes);
            self.used = 0;
        }
        let taken = self.bytes.get(self.used..self.used + PER_ID).and_then(|bytes| bytes.try_into().ok());
        self.used += PER_ID;
        taken.unwrap_or_default()
    }
}

thread_local! {
    static RANDOM: RefCell<Random> = const { RefCell::new(Random { bytes: [0; Random::BYTES], used: Random::BYTES }) };
}

/// What a UUID of version 7 takes beside the time.
const PER_ID: usize = 10;
