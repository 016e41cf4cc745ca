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
use crate::telemetry::{self, LevelError};

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
    let filter = match telemetry::filter(level) {
        Ok(filter) => filter,
        Err(LevelError::Unreadable(error)) => {
            let message = format!("the filter cannot be read: {error}; write `info`, or `info,proxy=debug`");
            return refusal(StatusCode::UNPROCESSABLE_ENTITY, "log_level_unreadable", &message, &[]);
        }
        Err(LevelError::NotOurs) => return not_ours(),
    };
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

fn not_ours() -> Response {
    let message = "the log of this process was started by the program around it: change it there";
    refusal(StatusCode::CONFLICT, "log_not_ours", message, &[])
}
