//! Which trace a request belongs to, as W3C Trace Context tells it: `traceparent` and `tracestate`.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

/// A span of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Context {
    // Invariant: neither this nor the span is all zeros.
    pub(super) trace: [u8; 16],
    pub(super) span: SpanId,
    pub(super) is_sampled: bool,
    /// What others keep with the trace.
    pub(super) state: Option<HeaderValue>,
}

/// Names a span within its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SpanId(pub(super) u64);

/// Which of our own traces are sampled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sampler {
    // Those whose random part is less are not.
    from: u64,
}

impl Sampler {
    /// Samples this part of all traces, from 0 to 1.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 2^56")]
    pub(super) fn new(ratio: f64) -> Self {
        Self { from: ((1.0 - ratio.clamp(0.0, 1.0)) * RANDOM_RANGE) as u64 }
    }

    /// Decides by the last seven bytes of the trace's id, as others who sample by a ratio do (W3C Trace Context Level 2,
    /// "random-trace-id"), so that one trace is whole or absent.
    fn takes(self, trace: [u8; 16]) -> bool {
        let [.., a, b, c, d, e, f, g] = trace;
        u64::from_be_bytes([0, a, b, c, d, e, f, g]) >= self.from
    }
}

impl Context {
    /// Begins a trace.
    pub(super) fn root(sampler: Sampler) -> Self {
        let mut random = [0; 24];
        // Without randomness ids may repeat, and traces of several requests look like one; nothing is decided by them.
        let _ = aws_lc_rs::rand::fill(&mut random);
        let [trace @ .., s0, s1, s2, s3, s4, s5, s6, s7] = random;
        let span = SpanId(u64::from_be_bytes([s0, s1, s2, s3, s4, s5, s6, s7]).max(1));
        let trace = if trace == [0; 16] { [1; 16] } else { trace };
        Self { trace, span, is_sampled: sampler.takes(trace), state: None }
    }

    /// Reads which span called; nothing where it is not told, or not as it must be.
    pub(super) fn read(headers: &HeaderMap) -> Option<Self> {
        let mut parents = headers.get_all(TRACEPARENT).iter();
        let (Some(parent), None) = (parents.next(), parents.next()) else { return None };
        let (trace, span, flags) = parse(parent.as_bytes())?;
        let state = state(headers);
        Some(Self { trace, span, is_sampled: flags & SAMPLED != 0, state })
    }

    /// Returns a span of the same trace.
    pub(super) fn child(&self) -> Self {
        let mut random = [0; 8];
        let _ = aws_lc_rs::rand::fill(&mut random);
        Self { span: SpanId(u64::from_be_bytes(random).max(1)), ..self.clone() }
    }

    /// Tells somebody who is called that this span calls.
    pub(super) fn write(&self, span: SpanId, headers: &mut HeaderMap) {
        let parent = format!("00-{}-{span}-{:02x}", self.trace_id(), u8::from(self.is_sampled));
        if let Ok(parent) = HeaderValue::try_from(parent) {
            headers.insert(TRACEPARENT, parent);
        }
        match &self.state {
            Some(state) => drop(headers.insert(TRACESTATE, state.clone())),
            None => drop(headers.remove(TRACESTATE)),
        }
    }

    pub(super) fn trace_id(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.trace))
    }
}

impl SpanId {
    /// Returns the id of the span with this number below it: another for each number (the finaliser of `SplitMix64` maps
    /// no two to one).
    pub(super) fn child(self, number: u64) -> Self {
        let mut id = self.0.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        id = (id ^ (id >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        id = (id ^ (id >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self((id ^ (id >> 31)).max(1))
    }

    pub(super) fn bytes(self) -> Vec<u8> {
        self.0.to_be_bytes().to_vec()
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Reads `traceparent` (§3.2): `00-<trace>-<span>-<flags>`, in lower case. A later version may have more behind it.
fn parse(text: &[u8]) -> Option<([u8; 16], SpanId, u8)> {
    let (known, more) = text.split_at_checked(LENGTH)?;
    let known = std::str::from_utf8(known).ok()?;
    let mut parts = known.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_shaped = [version, trace, span, flags].map(str::len) == [2, 32, 16, 2] && parts.next().is_none();
    let is_hex = known.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'));
    let ends = if version == "00" { more.is_empty() } else { more.first().is_none_or(|byte| *byte == b'-') };
    if !is_shaped || !is_hex || !ends || version == "ff" {
        return None;
    }
    let trace = u128::from_str_radix(trace, 16).ok().filter(|trace| *trace != 0)?;
    let span = u64::from_str_radix(span, 16).ok().filter(|span| *span != 0)?;
    Some((trace.to_be_bytes(), SpanId(span), u8::from_str_radix(flags, 16).ok()?))
}

/// Reads `tracestate` (§3.3), all its lines as one; what is longer than others have to pass on is left out whole.
fn state(headers: &HeaderMap) -> Option<HeaderValue> {
    let lines: Vec<_> = headers.get_all(TRACESTATE).iter().map(HeaderValue::as_bytes).collect();
    let joined = lines.join(&b","[..]);
    let members = joined.split(|byte| *byte == b',').count();
    let fits = !joined.is_empty() && joined.len() <= MAX_STATE && members <= MAX_MEMBERS;
    let is_text = joined.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
    if fits && is_text { HeaderValue::from_bytes(&joined).ok() } else { None }
}

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

const LENGTH: usize = 55;
const SAMPLED: u8 = 1;
const MAX_STATE: usize = 512;
const MAX_MEMBERS: usize = 32;

/// 2^56: seven bytes.
const RANDOM_RANGE: f64 = 72_057_594_037_927_936.0;

#[cfg(test)]
mod tests;
