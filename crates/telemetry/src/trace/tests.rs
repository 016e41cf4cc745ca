//! The spans of a request, and whose trace they belong to.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};
use tokio::time::Instant;

use super::{ContinueFrom, Served, SpanCounts, Trace, Tracer, Traces};
use crate::{Otlp, Receiver};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn tracer(sample: f64, continue_from: ContinueFrom) -> (Arc<Tracer>, Arc<SpanCounts>) {
    // Nobody listens there.
    let receiver = Receiver { host: "127.0.0.1".into(), port: 1, tls: None };
    let otlp = Otlp { receiver, path: "/".into(), headers: Vec::new(), timeout: Duration::from_secs(1) };
    let counts = Arc::new(SpanCounts::default());
    let tracer = Tracer::start(Traces { otlp, sample, continue_from }, "test", Arc::clone(&counts)).unwrap();
    (Arc::new(tracer), counts)
}

fn begin(tracer: &Arc<Tracer>, is_trusted: bool) -> Arc<Trace> {
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", PARENT.parse().unwrap());
    let time = "2026-01-01T00:00:00Z".parse().unwrap();
    Trace::begin(tracer, &headers, is_trusted, time, Instant::now())
}

fn served() -> Served<'static> {
    Served {
        request_id: "7",
        method: "GET",
        scheme: "https",
        host: "app.test",
        path: "/",
        version: "2",
        client: "10.0.0.1".parse().unwrap(),
        peer: "127.0.0.1".parse().unwrap(),
        route: Some("app"),
        decision: "allow",
        rule: None,
        reason: "allow-rule-matched",
        status: 502,
    }
}

#[test]
fn a_trace_is_continued_for_whom_it_is_said_and_linked_for_others() {
    let continued = "0af7651916cd43dd8448eb211c80319c";
    for (from, is_trusted, expected) in [
        (ContinueFrom::TrustedProxies, true, true),
        (ContinueFrom::TrustedProxies, false, false),
        (ContinueFrom::Anybody, false, true),
        (ContinueFrom::Nobody, true, false),
    ] {
        let (tracer, _) = tracer(1.0, from);
        let trace = begin(&tracer, is_trusted);
        assert_eq!(trace.id() == continued, expected, "{from:?} {is_trusted}");
        let span = trace.server_span(&served());
        assert_eq!(span.parent_span_id.is_empty(), !expected);
        assert_eq!(
            span.links.iter().map(|link| link.span_id.len()).collect::<Vec<_>>(),
            vec![8; usize::from(!expected)]
        );
    }
}

#[test]
fn a_caller_that_is_not_continued_cannot_have_its_trace_sampled() {
    let (tracer, counts) = tracer(0.0, ContinueFrom::TrustedProxies);
    let trace = begin(&tracer, false);
    drop(trace.phase("policy"));
    trace.end(&served());
    assert!(trace.spans().ended.is_empty());
    let mut headers = HeaderMap::new();
    trace.attempt(1, &Method::GET, &"http://10.0.0.1:80".into()).tell(&mut headers);
    assert!(headers["traceparent"].to_str().unwrap().ends_with("-00"));
    tracer.finish();
    assert_eq!((counts.sent(), counts.dropped()), (0, 0));
    assert!(begin(&tracer, true).context.is_sampled);
}

#[test]
fn phases_and_attempts_are_spans_below_that_of_the_request() {
    let (tracer, _) = tracer(1.0, ContinueFrom::Nobody);
    let trace = begin(&tracer, true);
    drop(trace.phase("policy"));
    let endpoint = "http://[::1]:8080".into();
    trace.attempt(1, &Method::GET, &endpoint).failed("connect");
    let second = trace.attempt(2, &Method::GET, &endpoint);
    let mut headers = HeaderMap::new();
    second.tell(&mut headers);
    second.answered(StatusCode::OK);
    drop(trace.attempt(3, &Method::GET, &endpoint));
    let spans = std::mem::take(&mut trace.spans().ended);
    let attribute = |place: usize, key: &str| {
        spans[place].attributes.iter().find(|attribute| attribute.key == key).map(|found| format!("{:?}", found.value))
    };
    assert_eq!(spans.iter().map(|span| &*span.name).collect::<Vec<_>>(), ["policy", "GET", "GET", "GET"]);
    let server = trace.server_span(&served());
    assert!(spans.iter().all(|span| span.parent_span_id == server.span_id && span.trace_id == server.trace_id));
    assert!(spans.iter().all(|span| span.start_time_unix_nano <= span.end_time_unix_nano));
    assert!(attribute(1, "error.type").unwrap().contains("connect"));
    assert!(attribute(2, "http.response.status_code").unwrap().contains("200"));
    assert!(attribute(2, "http.request.resend_count").unwrap().contains('1') && attribute(2, "error.type").is_none());
    assert!(attribute(2, "server.address").unwrap().contains("\"::1\""));
    assert!(attribute(3, "error.type").unwrap().contains("_OTHER"));
    // The upstream is called by the span of the attempt.
    let id = u64::from_be_bytes(spans[2].span_id.clone().try_into().unwrap());
    assert_eq!(headers["traceparent"], format!("00-{}-{id:016x}-01", trace.id()));
    assert_eq!((server.name.as_str(), server.status.unwrap().code), ("GET app", 2));
}
