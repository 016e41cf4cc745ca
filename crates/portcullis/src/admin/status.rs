//! Readiness and metrics.

use axum::extract::{RawQuery, State as Extract};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::text::{encode_eof, encode_registry};

use super::exposition::{OPEN_METRICS, TEXT, as_text, asks_for_text};
use super::{Console, lock, sign_in_metrics};

/// Tells whether the process serves; with `verbose`, what is wrong.
pub(super) async fn readyz(Extract(Console { state, .. }): Extract<Console>, RawQuery(query): RawQuery) -> Response {
    let (status, phase) = state.readiness();
    let verbose =
        query.is_some_and(|query| query.split('&').any(|part| part == "verbose" || part.starts_with("verbose=")));
    if !verbose {
        return (status, format!("{phase}\n")).into_response();
    }
    let revision = state.in_force().revision;
    let configuration =
        told("configuration: the last good one serves, because:", "configuration: good", &lock(&state.refused));
    let certificates =
        told("certificates: the last good ones serve, because:", "certificates: good", &lock(&state.certificates));
    let tables = told("tables:", "tables: good", &state.tables.problems());
    let audit = match state.audit.check() {
        Ok(()) => "audit log: good".to_owned(),
        Err(error) => format!("audit log: requests are refused, because: {error}"),
    };
    (status, format!("{phase}\nrevision: {revision}\n{configuration}\n{certificates}\n{tables}\n{audit}\n"))
        .into_response()
}

/// Returns all metrics for Prometheus.
pub(super) async fn metrics(Extract(Console { state, server }): Extract<Console>, headers: HeaderMap) -> Response {
    let sign_in = sign_in_metrics::read(server.snapshot().authenticator().cloned(), &state.sessions).await;
    let mut text = String::new();
    let encoded = encode_registry(&mut text, &state.registry)
        .and_then(|()| encode_registry(&mut text, &sign_in))
        .and_then(|()| encode_eof(&mut text));
    match encoded {
        Ok(()) if asks_for_text(&headers) => ([(header::CONTENT_TYPE, TEXT)], as_text(&text)).into_response(),
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn told(bad: &str, good: &str, problems: &[String]) -> String {
    if problems.is_empty() { good.to_owned() } else { format!("{bad}\n  {}", problems.join("\n  ")) }
}
