//! What is read of a log that has written something.

use std::sync::Arc;

use audit::{Config, Event, EventKind, Log};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use telemetry::Shippers;

#[test]
fn the_counters_of_the_log_are_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { dir: folder.path().join("audit"), ..Config::default() };
    let log = Log::open(&config).unwrap();
    let mut registry = Registry::default();
    super::register(&mut registry, log.clone(), Arc::new(Shippers::new(config)));
    log.note(&Event::new("2026-01-01T00:00:00Z".parse().unwrap(), EventKind::Reload, "sighup", "accepted")).unwrap();
    log.flush().unwrap();
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    for line in [
        "portcullis_audit_records_total 1",
        "portcullis_audit_failures_total 0",
        "portcullis_audit_segment 1",
        "portcullis_audit_waiting_bytes 0",
        "portcullis_audit_accepting 1",
        "portcullis_audit_commit_seconds_count 1",
        "portcullis_audit_commit_seconds_bucket{le=\"+Inf\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
}
