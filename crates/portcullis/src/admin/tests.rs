//! Who is answered, and what.

use std::net::IpAddr;
use std::sync::Arc;

use audit::Log;
use prometheus_client::registry::Registry;
use tokio::sync::mpsc;

use super::guard::is_own;
use super::{InForce, State};
use crate::tables::{TableMetrics, Tables};

#[test]
fn names_other_than_ours_are_refused() {
    let own = Some("10.0.0.5".parse::<IpAddr>().unwrap());
    for host in ["localhost", "LOCALHOST:9901", "127.0.0.1:9901", "127.9.9.9", "[::1]:9901", "10.0.0.5:9901"] {
        assert!(is_own(host, own), "{host}");
    }
    for host in [
        "evil.com",
        "localhost.evil.com",
        "10.0.0.6",
        "10.0.0.5.evil.com",
        "",
        "[::2]",
        "user@localhost@evil",
        "user@localhost",
    ] {
        assert!(!is_own(host, own), "{host}");
    }
}

#[test]
fn a_state_that_starts_or_drains_is_not_ready() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::open(&audit::Config { dir: folder.path().join("audit"), ..audit::Config::default() }).unwrap();
    let mut registry = Registry::default();
    let tables = Arc::new(Tables::new(TableMetrics::register(&mut registry)));
    let in_force = InForce { revision: "r".to_owned(), shown: serde_json::Value::Null, token: None };
    let state = State::new(registry, in_force, log.clone(), tables, mpsc::channel(1).0);
    assert_eq!(state.readiness().0, 503);
    state.serving();
    assert_eq!(state.readiness().0, 200);
    log.close();
    assert_eq!(state.readiness(), (axum::http::StatusCode::SERVICE_UNAVAILABLE, "audit log unavailable"));
    state.draining();
    assert_eq!(state.readiness(), (axum::http::StatusCode::SERVICE_UNAVAILABLE, "draining"));
}
