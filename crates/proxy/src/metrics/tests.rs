//! What is exported.

use std::time::Duration;

use audit::Decision;
use prometheus_client::registry::Registry;

use super::{Metrics, Times};

#[test]
fn requests_are_counted_by_route_code_and_decision() {
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let route = metrics.route("app");
    let times = Times { policy: Some(Duration::from_micros(3)), upstream: None, total: Duration::from_millis(7) };
    route.record(Decision::Allow, 200, &times);
    route.record(Decision::Allow, 200, &times);
    for code in [418, 299, 298, 999] {
        route.record(Decision::Deny, code, &times);
    }
    route.stream_closed("session-ended");
    // Handles of a further configuration are of the same series.
    metrics.route("app").record(Decision::Allow, 200, &times);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    for line in [
        r#"portcullis_requests_total{route="app",code="200",decision="allow"} 3"#,
        r#"portcullis_requests_total{route="app",code="418",decision="deny"} 1"#,
        // Any other number an upstream can make up: it makes no series of its own.
        r#"portcullis_requests_total{route="app",code="2xx",decision="deny"} 2"#,
        r#"portcullis_requests_total{route="app",code="9xx",decision="deny"} 1"#,
        r#"portcullis_streams_closed_total{route="app",reason="session-ended"} 1"#,
        r#"portcullis_request_duration_seconds_count{route="app",stage="policy"} 7"#,
        r#"portcullis_request_duration_seconds_count{route="app",stage="upstream"} 0"#,
        r#"portcullis_request_duration_seconds_bucket{le="0.005",route="app",stage="total"} 0"#,
        r#"portcullis_request_duration_seconds_bucket{le="0.01",route="app",stage="total"} 7"#,
        r#"portcullis_request_duration_seconds_bucket{le="+Inf",route="app",stage="total"} 7"#,
        r#"portcullis_request_duration_seconds_sum{route="app",stage="total"} 0.049"#,
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[test]
fn the_series_of_a_route_go_with_the_last_configuration_that_has_it() {
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let series = || {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text.lines().filter(|line| line.contains(r#"route="app""#)).count()
    };
    let times = Times { policy: None, upstream: None, total: Duration::from_millis(7) };
    let before = metrics.route("app");
    for code in [200, 299] {
        before.record(Decision::Allow, code, &times);
    }
    before.shadow_differs(Decision::Allow, Decision::Deny);
    before.stream_closed("session-ended");
    drop(before.open_tunnel(super::Carries::Tls));
    let (next, all) = (metrics.route("app"), series());
    assert!(all > 4);
    drop(before);
    next.record(Decision::Allow, 200, &times);
    assert_eq!(series(), all);
    drop(next);
    assert_eq!(series(), 0);
    metrics.route("app").record(Decision::Allow, 200, &times);
}

#[test]
fn a_connection_is_open_until_it_is_dropped() {
    let mut registry = Registry::default();
    let listener = Metrics::register(&mut registry).listener("edge");
    let open = listener.open();
    let open_now = |expected: &str| {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(text.contains(&format!(r#"portcullis_connections_open{{listener="edge"}} {expected}"#)), "{text}");
    };
    open_now("1");
    drop(open);
    open_now("0");
}
