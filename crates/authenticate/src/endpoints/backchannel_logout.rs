//! `/.portcullis/backchannel_logout`: a provider says that a session has ended.

use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{Request, StatusCode};
use serde_json::json;

use super::answer::{self, Query};
use super::{Endpoint, EventKind, Shared};
use crate::StoreError;
use crate::handoff::sha256;

/// Why nothing was ended.
enum Refusal {
    Invalid(String),
    Store,
}

impl From<StoreError> for Refusal {
    fn from(_: StoreError) -> Self {
        Self::Store
    }
}

/// Ends the sessions that a logout token names (OpenID Connect Back-Channel Logout 1.0 §2.5 to §2.8).
pub(super) async fn receive(
    State(shared): State<Shared>,
    Extension(endpoint): Extension<Endpoint>,
    request: Request<Body>,
) -> Response {
    if endpoint.origin != shared.config.url {
        return answer::missing(&shared, &endpoint);
    }
    match end_sessions(&shared, request).await {
        Ok(response) => response,
        Err(Refusal::Invalid(reason)) => {
            let refused = json!({ "error": "invalid_request", "error_description": reason });
            let response = answer::json(StatusCode::BAD_REQUEST, &refused);
            answer::with_event(response, EventKind::Revoke, None, "logout-token-invalid", Some(reason.into()))
        }
        Err(Refusal::Store) => {
            answer::json(StatusCode::SERVICE_UNAVAILABLE, &json!({ "error": "temporarily_unavailable" }))
        }
    }
}

async fn end_sessions(shared: &Shared, request: Request<Body>) -> Result<Response, Refusal> {
    let invalid = |reason: &str| Refusal::Invalid(reason.to_owned());
    let body = axum::body::to_bytes(request.into_body(), MAX_BODY)
        .await
        .map_err(|_| invalid("the body is too long, or broke off"))?;
    let form = Query::parse(&body);
    let token = form.get("logout_token").ok_or_else(|| invalid("`logout_token` is missing"))?;
    let provider = shared
        .providers
        .iter()
        .find(|provider| provider.is_claimed_by(token))
        .ok_or_else(|| invalid("`iss` and `aud` name no provider and client of ours"))?;
    let logout = provider.verify_logout_token(token).await.map_err(Refusal::Invalid)?;
    let once = sha256(format!("{}\n{}", logout.issuer, logout.id).as_bytes());
    if !shared.sessions.put_once("logout", &once, b"", USED_TOKENS_KEPT).await? {
        return Err(invalid("this `jti` was used before"));
    }
    let ended = shared
        .sessions
        .end_provider_session(&logout.issuer, logout.session.as_deref(), logout.subject.as_ref())
        .await?;
    let response = answer::json(StatusCode::OK, &json!({ "ended": ended.len() }));
    Ok(answer::with_event(response, EventKind::Revoke, ended.into_iter().next(), "backchannel-logout", None))
}

const MAX_BODY: usize = 64 * 1024;
/// Longer than a logout token is accepted after it was issued.
const USED_TOKENS_KEPT: Duration = Duration::from_secs(10 * 60);
