//! The user's own page, who one is as JSON, and the public keys of our assertions.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, StatusCode};
use identity::Identity;
use jiff::Timestamp;
use serde_json::json;

use super::answer;
use super::{ACCOUNT_PATH, Endpoint, SIGN_OUT_PATH, Shared};
use crate::handoff::sign_in_url;
use crate::{Outcome, Session, StoreError};

/// Shows the user's own page.
pub(super) async fn page(State(shared): State<Shared>, Extension(endpoint): Extension<Endpoint>) -> Response {
    match &endpoint.outcome {
        Outcome::Authenticated(session) => match account(&shared, &endpoint, session).await {
            Ok(document) => answer::page(StatusCode::OK, document),
            Err(_) => answer::store_unavailable(&shared, &endpoint),
        },
        Outcome::NotAuthenticated => answer::redirect(&sign_in_url(ACCOUNT_PATH)),
        Outcome::Unavailable(_) => answer::store_unavailable(&shared, &endpoint),
    }
}

/// Says who is signed in.
pub(super) async fn user(Extension(endpoint): Extension<Endpoint>) -> Response {
    std::future::ready(match &endpoint.outcome {
        Outcome::Authenticated(session) => {
            let identity = session.identity();
            let user = json!({
                "id": identity.id(),
                "email": identity.email(),
                "name": identity.name(),
                "groups": identity.groups(),
                "provider": identity.provider().as_str(),
                "session": {
                    "id": session.id().as_str(),
                    "created": session.created().to_string(),
                    "expires": session.expires().to_string(),
                },
            });
            answer::json(StatusCode::OK, &user)
        }
        Outcome::NotAuthenticated => {
            let sign_in = format!("{}{}", endpoint.origin, sign_in_url("/"));
            let nobody = json!({
                "error": "unauthenticated",
                "sign_in": sign_in,
                "request_id": &*endpoint.request_id,
            });
            let mut response = answer::json(StatusCode::UNAUTHORIZED, &nobody);
            // RFC 9110 §15.5.2.
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            response
        }
        Outcome::Unavailable(_) => {
            let unavailable = json!({ "error": "store-unavailable", "request_id": &*endpoint.request_id });
            answer::json(StatusCode::SERVICE_UNAVAILABLE, &unavailable)
        }
    })
    .await
}

/// Publishes the keys with which upstreams verify our assertions.
pub(super) async fn jwks(State(shared): State<Shared>) -> Response {
    std::future::ready(answer::json(StatusCode::OK, shared.keys.jwks())).await
}

/// Returns what a person is called on our pages.
pub(super) fn display_name(identity: &Identity) -> &str {
    [identity.name(), identity.email()]
        .into_iter()
        .find(|text| !text.is_empty())
        .unwrap_or_else(|| identity.subject().as_str())
}

async fn account(shared: &Shared, endpoint: &Endpoint, current: &Session) -> Result<String, StoreError> {
    let identity = current.identity();
    let sessions: Vec<_> = shared
        .sessions
        .of_user(identity)
        .await?
        .iter()
        .map(|session| pages::AccountSession {
            created: readable(session.created),
            expires: readable(session.expires),
            current: session.id == *current.id(),
            program: session.is_program,
        })
        .collect();
    let apps: Vec<_> =
        endpoint.apps.iter().map(|app| pages::AppLink { name: app.name.clone(), url: app.url.clone() }).collect();
    let provider = shared.providers.get(identity.provider());
    let page = pages::Account {
        name: display_name(identity),
        email: identity.email(),
        groups: identity.groups(),
        provider: provider.map_or(identity.provider().as_str(), |provider| &provider.config().name),
        sessions: &sessions,
        apps: &apps,
        sign_out: SIGN_OUT_PATH,
    };
    Ok(page.render(&shared.config.look))
}

pub(super) fn readable(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}
