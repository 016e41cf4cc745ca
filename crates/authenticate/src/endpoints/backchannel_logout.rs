//! `/.portcullis/backchannel_logout`: a provider says that a session has ended.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{Request, StatusCode};
use serde_json::json;
use tokio::time::timeout;

use super::answer::{self, Query};
use super::{Endpoint, EventKind, Shared};
use crate::handoff::sha256;
use crate::{Session, StoreError};

/// Why nothing was ended.
enum Refusal {
    Invalid(String),
    Store { error: StoreError, ended: Vec<Arc<Session>> },
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store { error, ended: Vec::new() }
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
        Err(Refusal::Store { error, ended }) => {
            let unavailable = json!({ "error": "temporarily_unavailable" });
            let response = answer::json(StatusCode::SERVICE_UNAVAILABLE, &unavailable);
            let error = Some(error.to_string().into());
            let response = answer::with_event(response, EventKind::Revoke, None, "store-unavailable", error);
            answer::with_ended(response, ended)
        }
    }
}

async fn end_sessions(shared: &Shared, request: Request<Body>) -> Result<Response, Refusal> {
    let invalid = |reason: &str| Refusal::Invalid(reason.to_owned());
    let form = form(request.into_body(), PATIENCE).await.map_err(invalid)?;
    let token = form.get("logout_token").ok_or_else(|| invalid("`logout_token` is missing"))?;
    let provider = shared
        .providers
        .iter()
        .find(|provider| provider.is_claimed_by(token))
        .ok_or_else(|| invalid("`iss` and `aud` name no provider and client of ours"))?;
    let logout = provider.verify_logout_token(token).await.map_err(Refusal::Invalid)?;
    let once = sha256(format!("{}\n{}", logout.issuer, logout.id).as_bytes());
    if shared.sessions.has_once(USED_TOKEN, &once).await? {
        return Err(invalid("this `jti` was used before"));
    }
    let mut ended = Vec::new();
    let (session, subject) = (logout.session.as_deref(), logout.subject.as_ref());
    if let Err(error) = shared.sessions.end_provider_session(&logout.issuer, session, subject, &mut ended).await {
        return Err(Refusal::Store { error, ended });
    }
    // Not before all have ended: when the store fails on the way, the provider asks again with the same token.
    if let Err(error) = shared.sessions.put_once(USED_TOKEN, &once, b"", USED_TOKENS_KEPT).await {
        return Err(Refusal::Store { error, ended });
    }
    let response = answer::json(StatusCode::OK, &json!({ "ended": ended.len() }));
    let mut ended = ended.into_iter();
    let response = answer::with_event(response, EventKind::Revoke, ended.next(), "backchannel-logout", None);
    Ok(answer::with_ended(response, ended))
}

/// Reads the form that a logout token comes in.
pub(super) async fn form(body: Body, patience: Duration) -> Result<Query, &'static str> {
    match timeout(patience, axum::body::to_bytes(body, MAX_BODY)).await {
        Ok(Ok(body)) => Ok(Query::parse(&body)),
        Ok(Err(_)) => Err("the body is too long, or broke off"),
        Err(_) => Err("the body did not come in time"),
    }
}

const USED_TOKEN: &str = "logout";
const MAX_BODY: usize = 64 * 1024;
/// How long a body may take. Anybody can send one: a slow one must not hold its connection.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Longer than a logout token is accepted after it was issued.
const USED_TOKENS_KEPT: Duration = Duration::from_secs(10 * 60);
