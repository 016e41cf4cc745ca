//! The trace of one request: which trace it belongs to, and the spans of its phases and of its attempts upstream.

mod context;
mod export;
mod span;

use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderMap;
use jiff::Timestamp;
use tokio::time::Instant;

pub use self::export::{SpanCounts, Tracer, Traces};
pub use self::span::Served;

use self::context::{Context, SpanId};
use self::span::{Clock, Outcome};
use crate::otlp::message::Span;

/// Whose traces are continued. Who continues one decides whether it is sampled, and joins what they want joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContinueFrom {
    /// Those of peers among `trusted_proxies` of the listener.
    #[default]
    TrustedProxies,
    /// Those of all callers.
    Anybody,
    /// Nobody's.
    Nobody,
}

/// The trace of one request, shared by those who work on it.
#[derive(Debug)]
pub struct Trace {
    tracer: Arc<Tracer>,
    context: Context,
    // The span of the caller, where its trace is continued.
    parent: Option<SpanId>,
    // The trace of a caller that is not continued.
    link: Option<Context>,
    clock: Clock,
    id: String,
    // Locked for moments, by one task after another.
    spans: Mutex<Spans>,
}

#[derive(Debug, Default)]
struct Spans {
    begun: u64,
    ended: Vec<Span>,
}

/// A phase of the request, until it is dropped.
#[derive(Debug)]
#[must_use = "a phase ends when it is dropped"]
pub struct Phase {
    trace: Arc<Trace>,
    name: &'static str,
    began: Instant,
}

/// An attempt to get a response from an upstream, until it is dropped.
#[derive(Debug)]
#[must_use = "an attempt ends when it is dropped"]
pub struct Attempt {
    trace: Arc<Trace>,
    id: SpanId,
    number: u32,
    method: String,
    endpoint: Arc<str>,
    began: Instant,
    outcome: Outcome,
}

impl Trace {
    /// Begins with the head of a request that arrived at `time`. `is_trusted` says whether its peer is a trusted proxy.
    #[must_use]
    pub fn begin(
        tracer: &Arc<Tracer>,
        headers: &HeaderMap,
        is_trusted: bool,
        time: Timestamp,
        started: Instant,
    ) -> Arc<Self> {
        let told = Context::read(headers);
        let continues = match tracer.continue_from() {
            ContinueFrom::TrustedProxies => is_trusted,
            ContinueFrom::Anybody => true,
            ContinueFrom::Nobody => false,
        };
        let (context, parent, link) = match told {
            Some(told) if continues => (told.child(), Some(told.span), None),
            link => (Context::root(tracer.sampler()), None, link),
        };
        let id = context.trace_id();
        let clock = Clock::new(time, started);
        Arc::new(Self { tracer: Arc::clone(tracer), context, parent, link, clock, id, spans: Mutex::default() })
    }

    /// Returns the id of the trace, as hexadecimal digits.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Begins a phase.
    pub fn phase(self: &Arc<Self>, name: &'static str) -> Phase {
        Phase { trace: Arc::clone(self), name, began: Instant::now() }
    }

    /// Begins an attempt to get a response from an endpoint; the first has the number 1.
    pub fn attempt(self: &Arc<Self>, number: u32, method: &http::Method, endpoint: &Arc<str>) -> Attempt {
        let id = self.next_id();
        Attempt {
            trace: Arc::clone(self),
            id,
            number,
            method: method.to_string(),
            endpoint: Arc::clone(endpoint),
            began: Instant::now(),
            outcome: Outcome::Broken,
        }
    }

    /// Ends with what became of the request.
    pub fn end(&self, served: &Served<'_>) {
        if self.context.is_sampled {
            let mut spans = std::mem::take(&mut self.spans().ended);
            spans.push(self.server_span(served));
            self.tracer.take(spans);
        }
    }

    fn next_id(&self) -> SpanId {
        let mut spans = self.spans();
        spans.begun += 1;
        self.context.span.child(spans.begun)
    }

    fn keep(&self, span: impl FnOnce() -> Span) {
        if self.context.is_sampled {
            let span = span();
            self.spans().ended.push(span);
        }
    }

    fn spans(&self) -> std::sync::MutexGuard<'_, Spans> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Phase {
    fn drop(&mut self) {
        let id = self.trace.next_id();
        self.trace.keep(|| self.trace.phase_span(id, self.name, self.began));
    }
}

impl Attempt {
    /// Tells the upstream which span called it. What the caller said of a trace is replaced.
    pub fn tell(&self, headers: &mut HeaderMap) {
        self.trace.context.write(self.id, headers);
    }

    /// Ends with the head of a response.
    pub fn answered(mut self, status: http::StatusCode) {
        self.outcome = Outcome::Answered(status.as_u16());
    }

    /// Ends without a response, for this reason.
    pub fn failed(mut self, reason: &'static str) {
        self.outcome = Outcome::Failed(reason);
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.trace.keep(|| self.trace.attempt_span(self));
    }
}

#[cfg(test)]
mod tests;
