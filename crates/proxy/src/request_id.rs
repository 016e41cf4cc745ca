//! The name of one request: in our answers, in the upstream's log, in the audit record.

use http::HeaderValue;
use jiff::Timestamp;
use uuid::Builder;
use uuid::fmt::Hyphenated;

/// A UUID of version 7 (RFC 9562 §5.7): sorts by time, cannot be guessed from another.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(
    // Invariant: ASCII. Held as a header because that is where it goes on every request, at the cost of a reference.
    HeaderValue,
);

impl RequestId {
    /// Makes an id. Never taken from the request: a client could make two of its requests look like one.
    pub(crate) fn new(now: Timestamp) -> Self {
        let mut random = [0; 10];
        // Should the source of randomness ever fail, ids repeat within a millisecond, and nothing else depends on them.
        let _ = aws_lc_rs::rand::fill(&mut random);
        let milliseconds = u64::try_from(now.as_millisecond()).unwrap_or_default();
        let id = Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid();
        let mut text = [0; Hyphenated::LENGTH];
        let text = id.hyphenated().encode_lower(&mut text);
        Self(HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("")))
    }

    /// Returns the text.
    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// Returns the value of an `X-Request-Id` header.
    pub(crate) const fn as_header(&self) -> &HeaderValue {
        &self.0
    }
}
