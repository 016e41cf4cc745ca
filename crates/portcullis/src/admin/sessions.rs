//! Sessions, for operators: who is signed in, and who no longer is.

use std::collections::HashMap;
use std::sync::Arc;

use audit::{Event, EventKind};
use authenticate::{Authenticator, Session, StoreError};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, State as Extract};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::{Value, json};

use super::guard::Operator;
use super::{Console, refusal};

/// Lists live sessions, those of one `user` (id or e-mail address) or all, the newest first.
pub(super) async fn list(Extract(console): Extract<Console>, Query(query): Query<HashMap<String, String>>) -> Response {
    match of_user(&console, query.get("user").map(String::as_str)).await {
        Ok((_, sessions)) => {
            let shown: Vec<_> = sessions.iter().take(MAX_LISTED).map(|session| shown(session)).collect();
            Json(json!({ "sessions": shown, "total": sessions.len() })).into_response()
        }
        Err(response) => *response,
    }
}

/// Ends one session, and closes what it has open.
pub(super) async fn revoke(
    Extract(console): Extract<Console>,
    Extension(operator): Extension<Operator>,
    id: Result<Path<String>, PathRejection>,
) -> Response {
    let authenticator = match sign_in(&console) {
        Ok(authenticator) => authenticator,
        Err(response) => return *response,
    };
    let none = || refusal(StatusCode::NOT_FOUND, "no_session", "no live session has this id", &[]);
    // What is no UTF-8 is no id.
    let Ok(Path(id)) = id else { return none() };
    match authenticator.session(&id).await {
        Ok(Some(session)) => end(&console, &authenticator, &operator, &[session]).await,
        Ok(None) => none(),
        Err(error) => unavailable(&error),
    }
}

/// Ends all sessions of one `user`.
pub(super) async fn revoke_all_of_user(
    Extract(console): Extract<Console>,
    Extension(operator): Extension<Operator>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let Some(user) = query.get("user").filter(|user| !user.is_empty()) else {
        let message = "name whose sessions are to end: `?user=` with an id or an e-mail address";
        return refusal(StatusCode::BAD_REQUEST, "user_required", message, &[]);
    };
    match of_user(&console, Some(user)).await {
        Ok((authenticator, sessions)) => end(&console, &authenticator, &operator, &sessions).await,
        Err(response) => *response,
    }
}

async fn end(
    console: &Console,
    authenticator: &Authenticator,
    operator: &Operator,
    sessions: &[Arc<Session>],
) -> Response {
    let actor = operator.to_string();
    let sessions = match with_programs(authenticator, sessions).await {
        Ok(sessions) => sessions,
        Err(error) => return unavailable(&error),
    };
    let mut revoked = Vec::new();
    for session in &sessions {
        let event = Event {
            user: Some(user(session)),
            session: Some(session.id().as_str().into()),
            ..Operator::event(EventKind::Revoke, &actor, "session-revoked")
        };
        // What cannot be recorded is not done.
        if let Err(response) = console.state.note(&event) {
            return *response;
        }
        if let Err(error) = authenticator.revoke(session).await {
            return unavailable(&error);
        }
        tracing::info!(session.hash = session.id().as_str(), subject.id = session.identity().id(), %operator, "session revoked");
        revoked.push(shown(session));
    }
    Json(json!({ "revoked": revoked })).into_response()
}

/// Adds the sessions of programs that come of some, each before that one: every session that ends has its record.
async fn with_programs(
    authenticator: &Authenticator,
    sessions: &[Arc<Session>],
) -> Result<Vec<Arc<Session>>, StoreError> {
    let mut all: Vec<Arc<Session>> = Vec::new();
    for session in sessions {
        let programs = authenticator.programs_of(session).await?;
        for session in programs.into_iter().chain([Arc::clone(session)]) {
            if all.iter().all(|known| known.id() != session.id()) {
                all.push(session);
            }
        }
    }
    Ok(all)
}

async fn of_user(
    console: &Console,
    user: Option<&str>,
) -> Result<(Arc<Authenticator>, Vec<Arc<Session>>), Box<Response>> {
    let authenticator = sign_in(console)?;
    let mut sessions = authenticator.sessions().await.map_err(|error| Box::new(unavailable(&error)))?;
    if let Some(user) = user {
        sessions.retain(|session| session.identity().id() == user || session.identity().email() == user);
    }
    Ok((authenticator, sessions))
}

fn sign_in(console: &Console) -> Result<Arc<Authenticator>, Box<Response>> {
    let message = "nobody can sign in: the configuration has no `authenticate`";
    let snapshot = console.server.snapshot();
    let nobody = || Box::new(refusal(StatusCode::NOT_FOUND, "no_sign_in", message, &[]));
    snapshot.authenticator().cloned().ok_or_else(nobody)
}

fn unavailable(error: &StoreError) -> Response {
    refusal(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", &error.to_string(), &[])
}

pub(crate) fn user(session: &Session) -> audit::User<'_> {
    let identity = session.identity();
    audit::User {
        id: identity.id().into(),
        email: identity.email().into(),
        groups: std::borrow::Cow::Borrowed(identity.groups()),
        provider: identity.provider().as_str().into(),
    }
}

fn shown(session: &Session) -> Value {
    let identity = session.identity();
    json!({
        "id": session.id().as_str(),
        "user": { "id": identity.id(), "email": identity.email(), "provider": identity.provider().as_str() },
        "created": session.created().to_string(),
        "expires": session.expires().to_string(),
        "last_seen": session.last_seen().to_string(),
        "program": session.is_program(),
    })
}

/// More are counted, not listed: ask for one user's.
const MAX_LISTED: usize = 1000;
