//! What spans tell, by the semantic conventions of OpenTelemetry for HTTP; what these have no name for begins with
//! `portcullis.`. Who somebody is stands in the audit record, which names the trace, and not here.

use jiff::Timestamp;
use tokio::time::Instant;

use super::context::{Context, SpanId};
use super::{Attempt, Trace};
use crate::otlp::message::{KeyValue, Link, Span, SpanKind, Status};

/// What became of a request.
#[derive(Clone, Copy, Debug)]
pub struct Served<'a> {
    /// The request id.
    pub request_id: &'a str,
    /// The method.
    pub method: &'a str,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// The host that was asked for.
    pub host: &'a str,
    /// The path in normal form.
    pub path: &'a str,
    /// `1.1` or `2`.
    pub version: &'static str,
    /// The client's address.
    pub client: std::net::IpAddr,
    /// The socket's peer.
    pub peer: std::net::IpAddr,
    /// The route, where one matched.
    pub route: Option<&'a str>,
    /// What was decided.
    pub decision: &'static str,
    /// By which rule.
    pub rule: Option<&'a str>,
    /// Why.
    pub reason: &'a str,
    /// The status that was sent; 0 where the client left before.
    pub status: u16,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Answered(u16),
    Failed(&'static str),
    /// It was given up.
    Broken,
}

/// Tells what time it was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    nanoseconds: u64,
    at: Instant,
}

impl Clock {
    pub(super) fn new(time: Timestamp, at: Instant) -> Self {
        Self { nanoseconds: u64::try_from(time.as_nanosecond()).unwrap_or_default(), at }
    }

    fn at(self, instant: Instant) -> u64 {
        let since = instant.saturating_duration_since(self.at).as_nanos();
        self.nanoseconds.saturating_add(u64::try_from(since).unwrap_or(u64::MAX))
    }
}

impl Trace {
    pub(super) fn server_span(&self, served: &Served<'_>) -> Span {
        let mut attributes = vec![
            KeyValue::text("http.request.method", served.method),
            KeyValue::text("url.scheme", served.scheme),
            KeyValue::text("url.path", served.path),
            KeyValue::text("server.address", served.host),
            KeyValue::text("client.address", served.client.to_string()),
            KeyValue::text("network.peer.address", served.peer.to_string()),
            KeyValue::text("network.protocol.version", served.version),
            KeyValue::text("portcullis.request.id", served.request_id),
            KeyValue::text("portcullis.decision", served.decision),
            KeyValue::text("portcullis.reason", served.reason),
        ];
        let more = [
            ("portcullis.route", served.route.map(str::to_owned)),
            ("portcullis.rule", served.rule.map(str::to_owned)),
            ("error.type", (served.status >= 500).then(|| served.status.to_string())),
        ];
        attributes.extend(more.into_iter().filter_map(|(key, text)| Some(KeyValue::text(key, text?))));
        if served.status != 0 {
            attributes.push(KeyValue::number("http.response.status_code", i64::from(served.status)));
        }
        // Of low cardinality: routes are of the configuration.
        let name = served.route.map_or_else(|| served.method.to_owned(), |route| format!("{} {route}", served.method));
        let link = |link: &Context| Link {
            trace_id: link.trace.to_vec(),
            span_id: link.span.bytes(),
            trace_state: text(link.state.as_ref()),
        };
        Span {
            parent_span_id: self.parent.map(SpanId::bytes).unwrap_or_default(),
            links: self.link.iter().map(link).collect(),
            status: (served.status >= 500).then_some(Status::ERROR),
            attributes,
            ..self.span(self.context.span, name, SpanKind::Server, self.clock.at)
        }
    }

    pub(super) fn phase_span(&self, id: SpanId, name: &str, began: Instant) -> Span {
        self.span(id, name.to_owned(), SpanKind::Internal, began)
    }

    pub(super) fn attempt_span(&self, attempt: &Attempt) -> Span {
        let (host, port) = address(&attempt.endpoint);
        let mut attributes =
            vec![KeyValue::text("http.request.method", &*attempt.method), KeyValue::text("server.address", host)];
        attributes.extend(port.map(|port| KeyValue::number("server.port", port)));
        if attempt.number > 1 {
            attributes.push(KeyValue::number("http.request.resend_count", i64::from(attempt.number - 1)));
        }
        let error = match attempt.outcome {
            Outcome::Answered(status) => {
                attributes.push(KeyValue::number("http.response.status_code", i64::from(status)));
                // For whoever calls, an answer that blames the caller is a failure, too.
                (status >= 400).then(|| status.to_string())
            }
            Outcome::Failed(reason) => Some(reason.to_owned()),
            Outcome::Broken => Some("_OTHER".to_owned()),
        };
        let status = error.is_some().then_some(Status::ERROR);
        attributes.extend(error.map(|error| KeyValue::text("error.type", error)));
        let span = self.span(attempt.id, attempt.method.clone(), SpanKind::Client, attempt.began);
        Span { attributes, status, ..span }
    }

    /// A span below that of the request, which ends now.
    fn span(&self, id: SpanId, name: String, kind: SpanKind, began: Instant) -> Span {
        Span {
            trace_id: self.context.trace.to_vec(),
            span_id: id.bytes(),
            parent_span_id: self.context.span.bytes(),
            trace_state: text(self.context.state.as_ref()),
            flags: u32::from(self.context.is_sampled),
            name,
            kind: kind.into(),
            start_time_unix_nano: self.clock.at(began),
            end_time_unix_nano: self.clock.at(Instant::now()),
            ..Span::default()
        }
    }
}

/// Splits `http://host:port` into host and port; anything else is a host.
fn address(endpoint: &str) -> (&str, Option<i64>) {
    let bare = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    match bare.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?))) {
        Some((host, port)) => (host.trim_start_matches('[').trim_end_matches(']'), Some(port)),
        None => (bare, None),
    }
}

fn text(state: Option<&http::HeaderValue>) -> String {
    state.and_then(|state| state.to_str().ok()).unwrap_or_default().to_owned()
}
