//! Refresh tokens: each is good once, and one that comes twice ends all that came of it. RFC 6749 §6, RFC 9700 §4.14.2.

use std::sync::Arc;

use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::token::{Credentials, refuse_client};
use super::{Client, Offline, Shared, SignIn, ledger};

/// What a revocation request says beside who asks.
#[derive(Debug, Deserialize)]
pub(super) struct Revocation {
    #[serde(default)]
    token: String,
    #[serde(flatten)]
    credentials: Credentials,
}

/// Gives a refresh token to whoever may have one; `None` when there is no randomness.
pub(super) fn give(shared: &Shared, client: &Client, scopes: &[String], sign_in: &SignIn) -> Option<String> {
    let secret = ledger::random()?;
    let offline = Offline {
        client: client.id.clone(),
        scopes: scopes.to_vec(),
        sign_in: sign_in.clone(),
        secret: secret.clone(),
    };
    let name = shared.offline.put(offline, shared.now())?;
    Some(format!("{name}.{secret}"))
}

/// Exchanges a refresh token for what it stands for and the next one.
pub(super) fn exchange(shared: &Shared, client: &Client, token: &str) -> Option<(Offline, String)> {
    let (name, secret) = token.split_once('.')?;
    let next = ledger::random()?;
    let offline = shared.offline.change(name, shared.now(), |offline| {
        let is_good =
            offline.client == client.id && offline.secret == secret && shared.user(&offline.sign_in.user).is_some();
        is_good.then(|| {
            offline.secret.clone_from(&next);
            offline.clone()
        })
    })?;
    Some((offline, format!("{name}.{next}")))
}

/// Forgets what a refresh token stands for: RFC 7009. A token that is not known is none any more, and that is no fault.
pub(super) async fn revoke(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Form(request): Form<Revocation>,
) -> Response {
    let Some(client) = request.credentials.client(&shared, &headers) else { return refuse_client() };
    if let Some((name, _)) = request.token.split_once('.')
        && shared.offline.get(name, shared.now()).is_some_and(|offline| offline.client == client.id)
    {
        shared.offline.take(name, shared.now());
    }
    std::future::ready(StatusCode::OK.into_response()).await
}
