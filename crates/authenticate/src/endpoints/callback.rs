//! `/.portcullis/callback`: the provider's answer on the host of `authenticate.url`, and the ticket on an app's host.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::header::{ALLOW, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Method, Request};
use identity::{ProviderId, Secret};

use super::answer::{self, Query};
use super::attempt::{self, Leg};
use super::sign_in::{AwaitingProvider, AwaitingTicket, hand_over, to_provider};
use super::{Endpoint, EventKind, Shared};
use crate::handoff::{Ticket, sha256, sign_in_url};
use crate::oidc::{Attempt, Prompt, SignInError, SignedIn};
use crate::session::NewSession;
use crate::{Outcome, Session, StoreError};

/// Receives a ticket, or the answer of a provider.
pub(super) async fn receive(
    State(shared): State<Shared>,
    Extension(endpoint): Extension<Endpoint>,
    request: Request<Body>,
) -> Response {
    if request.method() != Method::GET {
        let mut response = answer::not_allowed(&shared, &endpoint);
        // RFC 9110 §15.5.6.
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        return response;
    }
    let query = Query::of(request.uri());
    if let Some(ticket) = query.get("ticket") {
        return receive_ticket(&shared, &endpoint, ticket, request.headers()).await;
    }
    if endpoint.origin != shared.config.url {
        let start_again = sign_in_url(shared.home(&endpoint.origin));
        return answer::sign_in_failed(&shared, &endpoint, &SignInError::TicketInvalid, &start_again);
    }
    receive_answer(&shared, &endpoint, &query, request.headers()).await
}

async fn receive_ticket(shared: &Shared, endpoint: &Endpoint, name: &str, headers: &HeaderMap) -> Response {
    match redeem_ticket(shared, endpoint, name, headers).await {
        Ok(response) => response,
        Err(error) => {
            let start_again = sign_in_url(shared.home(&endpoint.origin));
            answer::sign_in_failed(shared, endpoint, &error, &start_again)
        }
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
    let (handle, session) = shared.sessions.issue_handle(&sign_in, origin).await?.ok_or(SignInError::SessionEnded)?;
    // Without its handle here, no sign-out could end one that was there when it began, nor its programs.
    let ended = end_previous(shared, endpoint, &session, |_| awaiting.again, headers).await?;
    if awaiting.again {
        shared.sessions.drop_handles(headers, origin).await?;
    }
    let mut response = answer::redirect(&awaiting.return_to);
    response.headers_mut().append(SET_COOKIE, handle);
    if let Some(line) = attempt::forget(Leg::Ticket, origin, &ticket.attempt) {
        response.headers_mut().append(SET_COOKIE, line);
    }
    let response = answer::with_event(response, EventKind::SignIn, Some(session), "handed-over", None);
    Ok(answer::with_ended(response, ended))
}

async fn receive_answer(shared: &Shared, endpoint: &Endpoint, query: &Query, headers: &HeaderMap) -> Response {
    let start_again = sign_in_url(shared.home(&endpoint.origin));
    let failed = |error: &SignInError, retry: &str| answer::sign_in_failed(shared, endpoint, error, retry);
    let Some(state) = query.get("state") else { return failed(&SignInError::StateMissing, &start_again) };
    let id = state.split('.').next().unwrap_or_default();
    let now = shared.clock.now();
    let awaiting = attempt::kept::<AwaitingProvider>(&shared.keys, Leg::Provider, &endpoint.origin, id, headers, now)
        .filter(|awaiting| sha256(awaiting.state.as_bytes()) == sha256(state.as_bytes()));
    let Some(awaiting) = awaiting else { return failed(&SignInError::StateMismatch, &start_again) };
    let mut response = match sign_in(shared, endpoint, query, &awaiting, headers).await {
        Ok(response) => response,
        // Asked once more in the same way, the provider would give the same answer.
        Err(error @ SignInError::StepUpUnmet(_)) => {
            failed(&error, &awaiting.handoff.clone().with_prompt(Some(Prompt::Login)).retry_url())
        }
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
    headers: &HeaderMap,
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
        // Not every provider can let users choose an account; all can ask who it is (OpenID Connect Core §3.1.2.1).
        if code == "invalid_request" && awaiting.handoff.prompt == Some(Prompt::SelectAccount) {
            let handoff = awaiting.handoff.clone().with_prompt(Some(Prompt::Login));
            return to_provider(shared, endpoint, &handoff, provider, headers).await;
        }
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
    // A provider may leave out what it was asked for: what it says of the sign-in decides.
    if let Some(step_up) = &awaiting.handoff.step_up {
        step_up.check(identity.proof(), shared.clock.now())?;
    }
    let new = NewSession { identity, id_token: Some(id_token), refresh_token, provider_session };
    let sign_in = shared.sessions.create(new).await?;
    let (handle, session) =
        shared.sessions.issue_handle(&sign_in, &endpoint.origin).await?.ok_or(SignInError::SessionEnded)?;
    let is_beyond = |previous: &Session| awaiting.handoff.is_beyond(previous, shared.clock.now());
    let ended = end_previous(shared, endpoint, &session, is_beyond, headers).await?;
    if awaiting.again {
        shared.sessions.drop_handles(headers, &endpoint.origin).await?;
    }
    let mut response = hand_over(shared, &awaiting.handoff, &sign_in).await?;
    response.headers_mut().append(SET_COOKIE, handle);
    let response = answer::with_event(response, EventKind::SignIn, Some(session), "signed-in", None);
    Ok(answer::with_ended(response, ended))
}

/// Ends the session that this browser had on this host before when it was another user's, or when it will not do: its
/// handles are worth nothing any more (session fixation). One that the same user just made in another tab stays. Its programs go
/// on with the new session where that is of the same user at the same provider. Returns the sessions that were ended.
async fn end_previous(
    shared: &Shared,
    endpoint: &Endpoint,
    new: &Session,
    will_not_do: impl FnOnce(&Session) -> bool,
    headers: &HeaderMap,
) -> Result<Vec<Arc<Session>>, StoreError> {
    let sessions = &shared.sessions;
    let (previous, would_do) = match &endpoint.outcome {
        Outcome::Authenticated(previous) => (Some(Arc::clone(previous)), !will_not_do(previous)),
        Outcome::NotAuthenticated => (sessions.left_idle(headers, &endpoint.origin).await?, false),
        Outcome::Unavailable(error) => return Err(StoreError::Failed(error.to_string())),
    };
    let Some(previous) = previous else { return Ok(Vec::new()) };
    let (before, now) = (previous.identity(), new.identity());
    let same_user = before.id() == now.id();
    if same_user && (would_do || previous.id() == new.id()) {
        return Ok(Vec::new());
    }
    let goes_on = same_user && before.provider() == now.provider();
    let programs = if goes_on { sessions.replace(&previous, new).await? } else { sessions.end(&previous).await? };
    Ok(std::iter::once(previous).chain(programs).collect())
}

/// Longer than the attempt's cookie lives: when the note is gone, so is the cookie.
const STATE_LIFETIME: Duration = Duration::from_secs(15 * 60);
const MAX_ERROR_TEXT: usize = 300;
