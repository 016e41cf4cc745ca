//! How much is logged, changed while the process runs.

use audit::{Event, EventKind};
use axum::body::Bytes;
use axum::extract::State as Extract;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::{Value, json};

use super::guard::Operator;
use super::{Console, refusal};
use crate::telemetry;

/// Tells what is logged.
pub(super) async fn show() -> Response {
    match telemetry::level() {
        Some(level) => Json(json!({ "log_level": level })).into_response(),
        None => not_ours(),
    }
}

/// Changes what is logged, until it is changed again or the process ends.
pub(super) async fn change(
    Extract(Console { state, .. }): Extract<Console>,
    Extension(operator): Extension<Operator>,
    // One that is too large is no level either.
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let asked = body.ok().and_then(|body| serde_json::from_slice::<Value>(&body).ok());
    let Some(level) = asked.as_ref().and_then(|asked| asked.get("log_level")?.as_str()) else {
        let message = r#"send `{"log_level": "info"}`, or a filter such as `info,proxy=debug`"#;
        return refusal(StatusCode::BAD_REQUEST, "body_malformed", message, &[]);
    };
    let Some(filter) = Some(level).filter(|level| is_described(level)).and_then(telemetry::filter) else {
        let message = "the filter cannot be read: write a level such as `info`, or `info,proxy=debug`";
        return refusal(StatusCode::UNPROCESSABLE_ENTITY, "log_level_unreadable", message, &[]);
    };
    if telemetry::level().is_none() {
        return not_ours();
    }
    let (actor, details) = (operator.to_string(), [("log_level", level)]);
    let event = Event { details: &details, ..Operator::event(EventKind::Admin, &actor, "log-level-changed") };
    if let Err(response) = state.note(&event) {
        return *response;
    }
    if !telemetry::change_level(level, filter) {
        return not_ours();
    }
    tracing::warn!(log.level = level, %operator, "log level changed");
    Json(json!({ "log_level": level })).into_response()
}

/// Returns whether a filter is a level, then levels of modules, as the description says. What else can be read (spans,
/// fields, a module alone) may turn off all of the log by a slip of the pen.
fn is_described(filter: &str) -> bool {
    let is_level = |text: &str| ["off", "error", "warn", "info", "debug", "trace"].contains(&text);
    let is_name = |text: &str| {
        let is_word = |byte: u8| byte == b'_' || byte.is_ascii_lowercase() || byte.is_ascii_digit();
        (1..=32).contains(&text.len()) && text.bytes().all(is_word) && !text.starts_with(|c: char| c.is_ascii_digit())
    };
    let is_module = |text: &str| text.split("::").count() <= 5 && text.split("::").all(is_name);
    let mut parts = filter.split(',');
    parts.next().is_some_and(is_level)
        && parts.all(|part| part.split_once('=').is_some_and(|(module, level)| is_module(module) && is_level(level)))
}

fn not_ours() -> Response {
    let message = "the log of this process was started by the program around it: change it there";
    refusal(StatusCode::CONFLICT, "log_not_ours", message, &[])
}

#[cfg(test)]
mod tests;
