//! `/.portcullis/sign_in`: the way from an app's host to the host of `authenticate.url`, and from there to a provider.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::header::SET_COOKIE;
use http::{HeaderMap, Request, StatusCode};
use identity::ProviderId;
use serde::{Deserialize, Serialize};

use super::answer::{self, Query};
use super::attempt::{self, Leg};
use super::{CALLBACK_PATH, Endpoint, Shared};
use crate::handoff::{Handoff, Ticket, return_path, sha256, sign_in_url};
use crate::keys::random_token;
use crate::oidc::{Attempt, Prompt, Provider, SignInError};
use crate::session::SignInId;
use crate::{Outcome, SIGN_IN_PATH, Session, StepUp, StoreError};

/// What the app's host keeps in the browser while it waits for a ticket.
#[derive(Serialize, Deserialize)]
pub(super) struct AwaitingTicket {
    pub(super) return_to: String,
    pub(super) verifier: String,
    /// Somebody was signed in here when it began.
    #[serde(default)]
    pub(super) again: bool,
}

/// What the host of `authenticate.url` keeps in the browser while it waits for the provider.
#[derive(Serialize, Deserialize)]
pub(super) struct AwaitingProvider {
    pub(super) handoff: Handoff,
    pub(super) provider: String,
    pub(super) state: String,
    pub(super) nonce: String,
    pub(super) verifier: String,
    /// Somebody was signed in here when it began.
    #[serde(default)]
    pub(super) again: bool,
}

/// Starts sign-in, or goes on with one that an app's host handed over.
pub(super) async fn start(
    State(shared): State<Shared>,
    Extension(endpoint): Extension<Endpoint>,
    request: Request<Body>,
) -> Response {
    let query = Query::of(request.uri());
    match query.get("request") {
        None => on_app_host(&shared, &endpoint, &query, request.headers()),
        Some(sealed) if endpoint.origin == shared.config.url => {
            let start_again = sign_in_url(shared.home(&endpoint.origin));
            let Some(handoff) = Handoff::open(&shared.keys, sealed, shared.clock.now()) else {
                return answer::sign_in_failed(&shared, &endpoint, &SignInError::RequestInvalid, &start_again);
            };
            let chosen = query.get("provider");
            match on_sign_in_host(&shared, &endpoint, &handoff, sealed, chosen, request.headers()).await {
                Ok(response) => response,
                Err(error) => answer::sign_in_failed(&shared, &endpoint, &error, &handoff.retry_url()),
            }
        }
        Some(_) => answer::missing(&shared, &endpoint),
    }
}

fn on_app_host(shared: &Shared, endpoint: &Endpoint, query: &Query, headers: &HeaderMap) -> Response {
    let now = shared.clock.now();
    let return_to = match query.get("attempt") {
        Some(id) => attempt::kept::<AwaitingTicket>(&shared.keys, Leg::Ticket, &endpoint.origin, id, headers, now)
            .map_or_else(|| return_path(None), |earlier| earlier.return_to),
        None => return_path(query.get("return_to")),
    };
    let provider = match query.get("provider").map(|id| find(shared, id)).transpose() {
        Ok(provider) => provider.map(|provider| provider.id().clone()),
        Err(error) => return answer::sign_in_failed(shared, endpoint, &error, SIGN_IN_PATH),
    };
    let (id, verifier) = (attempt::new_id(now), random_token());
    let handoff = Handoff::new(&endpoint.origin, id.clone(), sha256(verifier.as_bytes()), now)
        .with_provider(provider.as_ref())
        .with_prompt(query.get("prompt").and_then(Prompt::parse))
        .with_step_up(StepUp::asked(query.get("max_age"), query.get("acr_values")));
    let sealed = handoff.seal(&shared.keys);
    let mut response = answer::redirect(&format!("{}{SIGN_IN_PATH}?request={sealed}", shared.config.url));
    let kept = AwaitingTicket { return_to, verifier, again: is_signed_in(endpoint) };
    for line in attempt::keep(&shared.keys, Leg::Ticket, &endpoint.origin, &id, kept, headers, now) {
        response.headers_mut().append(SET_COOKIE, line);
    }
    response
}

async fn on_sign_in_host(
    shared: &Shared,
    endpoint: &Endpoint,
    handoff: &Handoff,
    sealed: &str,
    chosen: Option<&str>,
    headers: &HeaderMap,
) -> Result<Response, SignInError> {
    let wanted = handoff.provider();
    match &endpoint.outcome {
        Outcome::Unavailable(error) => return Err(StoreError::Failed(error.to_string()).into()),
        Outcome::Authenticated(session)
            if fits(session, wanted.as_ref()) && !handoff.is_beyond(session, shared.clock.now()) =>
        {
            if let Some(sign_in) = shared.sessions.sign_in_of(session).await {
                return hand_over(shared, handoff, &sign_in).await;
            }
        }
        Outcome::Authenticated(_) | Outcome::NotAuthenticated => {}
    }
    let mut providers = shared.providers.iter();
    let provider = match (&wanted, chosen, providers.next(), providers.next()) {
        (Some(wanted), ..) => find(shared, wanted.as_str())?,
        (None, Some(chosen), ..) => find(shared, chosen)?,
        (None, None, Some(only), None) => only,
        (None, None, ..) => return Ok(chooser(shared, handoff, sealed)),
    };
    to_provider(shared, endpoint, handoff, provider, headers).await
}

const fn is_signed_in(endpoint: &Endpoint) -> bool {
    matches!(endpoint.outcome, Outcome::Authenticated(_))
}

fn fits(session: &Session, wanted: Option<&ProviderId>) -> bool {
    wanted.is_none_or(|wanted| wanted == session.identity().provider())
}

fn find<'a>(shared: &'a Shared, id: &str) -> Result<&'a Provider, SignInError> {
    ProviderId::new(id)
        .ok()
        .and_then(|id| shared.providers.get(&id))
        .map(AsRef::as_ref)
        .ok_or(SignInError::ProviderUnknown)
}

fn chooser(shared: &Shared, handoff: &Handoff, sealed: &str) -> Response {
    let providers: Vec<_> = shared
        .providers
        .iter()
        .map(|provider| {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.append_pair("request", sealed).append_pair("provider", provider.id().as_str());
            pages::ProviderLink {
                name: provider.config().name.clone(),
                url: format!("{SIGN_IN_PATH}?{}", query.finish()),
            }
        })
        .collect();
    let origin = handoff.origin();
    let app = origin.as_ref().map(identity::Origin::host).unwrap_or_default();
    answer::page(StatusCode::OK, pages::SignIn { app, providers: &providers }.render(&shared.config.look))
}

/// Sends the browser to the provider, with secrets of this attempt in a cookie.
pub(super) async fn to_provider(
    shared: &Shared,
    endpoint: &Endpoint,
    handoff: &Handoff,
    provider: &Provider,
    headers: &HeaderMap,
) -> Result<Response, SignInError> {
    let now = shared.clock.now();
    let id = attempt::new_id(now);
    let secrets = Attempt::new(&id);
    let url = provider.authorization_url(&secrets, handoff.prompt, handoff.step_up.as_ref()).await?;
    let kept = AwaitingProvider {
        handoff: handoff.clone(),
        provider: provider.id().to_string(),
        state: secrets.state.clone(),
        nonce: secrets.nonce.expose().to_owned(),
        verifier: secrets.verifier.expose().to_owned(),
        again: is_signed_in(endpoint),
    };
    let mut response = answer::redirect(url.as_str());
    for line in attempt::keep(&shared.keys, Leg::Provider, &endpoint.origin, &id, kept, headers, now) {
        response.headers_mut().append(SET_COOKIE, line);
    }
    Ok(response)
}

/// Sends the browser back to the app's host with a ticket for it.
pub(super) async fn hand_over(shared: &Shared, handoff: &Handoff, sign_in: &SignInId) -> Result<Response, SignInError> {
    let origin = handoff.origin().ok_or(SignInError::RequestInvalid)?;
    let ticket = Ticket::issue(&shared.sessions, handoff, sign_in, shared.clock.now()).await?;
    Ok(answer::redirect(&format!("{origin}{CALLBACK_PATH}?ticket={ticket}")))
}
