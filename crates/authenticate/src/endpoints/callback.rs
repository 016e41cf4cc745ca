//! `/.portcullis/callback`: the provider's answer on the host of `authenticate.url`, and the ticket on an app's host.

use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::header::SET_COOKIE;
use http::{HeaderMap, Method, Request};
use identity::{ProviderId, Secret};

use super::answer::{self, Query};
use super::attempt::{self, Leg};
use super::sign_in::{AwaitingProvider, AwaitingTicket, hand_over};
use super::{Endpoint, EventKind, Shared};
use crate::handoff::{Ticket, sha256, sign_in_url};
use crate::oidc::{Attempt, SignInError, SignedIn};
use crate::session::{NewSession, SignInId};
use crate::{Outcome, StoreError};

/// Receives a ticket, or the answer of a provider.
pub(super) async fn receive(
    State(shared): State<Shared>,
    Extension(endpoint): Extension<Endpoint>,
    request: Request<Body>,
) -> Response {
    if request.method() != Method::GET {
        return answer::not_allowed(&shared, &endpoint);
    }
    let query = Query::of(request.uri());
    if let Some(ticket) = query.get("ticket") {
        return receive_ticket(&shared, &endpoint, ticket, request.headers()).await;
    }
    if endpoint.origin != shared.config.url {
        return answer::sign_in_failed(&shared, &endpoint, &SignInError::TicketInvalid, &sign_in_url("/"));
    }
    receive_answer(&shared, &endpoint, &query, request.headers()).await
}

async fn receive_ticket(shared: &Shared, endpoint: &Endpoint, name: &str, headers: &HeaderMap) -> Response {
    match redeem_ticket(shared, endpoint, name, headers).await {
        Ok(response) => response,
        Err(error) => answer::sign_in_failed(shared, endpoint, &error, &sign_in_url("/")),
    }
}

async fn redeem_ticket(
    shared: &Shared,
    endpoint: &Endpoint,
    name: &str,
    headers: &HeaderMap,
) -> Result<Response, SignInError> {
    let now = shared.clock.now();
    let origin = &endpoint.origin;
    let ticket = Ticket::take(&shared.sessions, name, origin, now).await?.ok_or(SignInError::TicketInvalid)?;
    // Login CSRF: a stranger's ticket must not sign this browser in as the stranger.
    let awaiting = attempt::kept::<AwaitingTicket>(&shared.keys, Leg::Ticket, origin, &ticket.attempt, headers, now)
        .filter(|awaiting| ticket.is_for(&awaiting.verifier))
        .ok_or(SignInError::BrowserMismatch)?;
    let sign_in = ticket.sign_in().ok_or(SignInError::TicketInvalid)?;
    end_previous(shared, endpoint, &sign_in).await?;
    let (handle, session) = shared.sessions.issue_handle(&sign_in, origin).await?;
    let mut response = answer::redirect(&awaiting.return_to);
    response.headers_mut().append(SET_COOKIE, handle);
    if let Some(line) = attempt::forget(Leg::Ticket, origin, &ticket.attempt) {
        response.headers_mut().append(SET_COOKIE, line);
    }
    Ok(answer::with_event(response, EventKind::SignIn, Some(session), "handed-over", None))
}

async fn receive_answer(shared: &Shared, endpoint: &Endpoint, query: &Query, headers: &HeaderMap) -> Response {
    let start_again = sign_in_url("/");
    let failed = |error: &SignInError, retry: &str| answer::sign_in_failed(shared, endpoint, error, retry);
    let Some(state) = query.get("state") else { return failed(&SignInError::StateMissing, &start_again) };
    let id = state.split('.').next().unwrap_or_default();
    let now = shared.clock.now();
    let awaiting = attempt::kept::<AwaitingProvider>(&shared.keys, Leg::Provider, &endpoint.origin, id, headers, now)
        .filter(|awaiting| sha256(awaiting.state.as_bytes()) == sha256(state.as_bytes()));
    let Some(awaiting) = awaiting else { return failed(&SignInError::StateMismatch, &start_again) };
    let mut response = match sign_in(shared, endpoint, query, &awaiting).await {
        Ok(response) => response,
        Err(error) => failed(&error, &awaiting.handoff.retry_url()),
    };
    if let Some(line) = attempt::forget(Leg::Provider, &endpoint.origin, id) {
        response.headers_mut().append(SET_COOKIE, line);
    }
    response
}

async fn sign_in(
    shared: &Shared,
    endpoint: &Endpoint,
    query: &Query,
    awaiting: &AwaitingProvider,
) -> Result<Response, SignInError> {
    let provider = ProviderId::new(awaiting.provider.as_str())
        .ok()
        .and_then(|id| shared.providers.get(&id))
        .ok_or(SignInError::ProviderUnknown)?;
    // The cookie is forgotten with the answer, but a browser, or a thief of the URL, may come twice.
    let state = sha256(awaiting.state.as_bytes());
    if !shared.sessions.put_once("state", &state, b"", STATE_LIFETIME).await? {
        return Err(SignInError::StateReplayed);
    }
    provider.check_response_issuer(query.get("iss")).await?;
    if let Some(code) = query.get("error") {
        let bounded = |text: &str| text.chars().filter(|c| !c.is_control()).take(MAX_ERROR_TEXT).collect::<String>();
        let description = bounded(query.get("error_description").unwrap_or_default());
        return Err(SignInError::ProviderRefused { code: bounded(code), description });
    }
    let code = query.get("code").ok_or(SignInError::CodeMissing)?.to_owned();
    let secrets = Attempt {
        state: awaiting.state.clone(),
        nonce: Secret::new(awaiting.nonce.clone()),
        verifier: Secret::new(awaiting.verifier.clone()),
    };
    let SignedIn { identity, id_token, refresh_token, provider_session } = provider.redeem(&secrets, code).await?;
    let new = NewSession { identity, id_token: Some(id_token), refresh_token, provider_session };
    let sign_in = shared.sessions.create(new).await?;
    end_previous(shared, endpoint, &sign_in).await?;
    let (handle, session) = shared.sessions.issue_handle(&sign_in, &endpoint.origin).await?;
    let mut response = hand_over(shared, &awaiting.handoff, &sign_in).await?;
    response.headers_mut().append(SET_COOKIE, handle);
    Ok(answer::with_event(response, EventKind::SignIn, Some(session), "signed-in", None))
}

/// Ends the session that this browser had on this host before, so that its handle is worth nothing any more
/// (session fixation), and nobody stays signed in behind the back of the next user.
async fn end_previous(shared: &Shared, endpoint: &Endpoint, new: &SignInId) -> Result<(), StoreError> {
    match &endpoint.outcome {
        Outcome::Authenticated(previous) if shared.sessions.sign_in_of(previous).await.as_ref() != Some(new) => {
            shared.sessions.end(previous).await
        }
        Outcome::Authenticated(_) | Outcome::NotAuthenticated => Ok(()),
        Outcome::Unavailable(error) => Err(StoreError::Failed(error.to_string())),
    }
}

/// Longer than the attempt's cookie lives: when the note is gone, so is the cookie.
const STATE_LIFETIME: Duration = Duration::from_secs(15 * 60);
const MAX_ERROR_TEXT: usize = 300;
