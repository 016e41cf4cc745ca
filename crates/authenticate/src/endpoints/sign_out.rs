//! `/.portcullis/sign_out` and `/.portcullis/signed_out`.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::header::{ORIGIN, SET_COOKIE};
use http::{HeaderMap, Request, StatusCode};
use identity::Origin;

use super::answer::{self, Fault};
use super::{Endpoint, EventKind, SIGN_OUT_PATH, SIGNED_OUT_PATH, Shared, account, attempt};
use crate::{Outcome, StoreError, cookie};

/// Asks whether to sign out: a GET, which any site can cause, ends nothing.
pub(super) async fn confirm(State(shared): State<Shared>, Extension(endpoint): Extension<Endpoint>) -> Response {
    std::future::ready(match &endpoint.outcome {
        Outcome::Authenticated(session) => {
            let user = account::display_name(session.identity());
            let document = pages::ConfirmSignOut { user, action: SIGN_OUT_PATH }.render(&shared.config.look);
            answer::page(StatusCode::OK, document)
        }
        Outcome::NotAuthenticated => answer::redirect(SIGNED_OUT_PATH),
        Outcome::Unavailable(_) => answer::store_unavailable(&shared, &endpoint),
    })
    .await
}

/// Ends the session everywhere, and at the provider where it has a place for that.
pub(super) async fn sign_out(
    State(shared): State<Shared>,
    Extension(endpoint): Extension<Endpoint>,
    request: Request<Body>,
) -> Response {
    if !is_from_own_page(request.headers(), &endpoint.origin) {
        let foreign = Fault {
            status: StatusCode::FORBIDDEN,
            title: "Not signed out",
            message: "Another site asked to sign you out. Open this page yourself to sign out.",
            code: "cross-site",
            retry_url: Some(SIGN_OUT_PATH),
        };
        let response = answer::fault(&shared.config, &endpoint.request_id, &foreign);
        let error = Some("a page of another site asked, or a client that does not say which page did".into());
        return answer::with_event(response, EventKind::SignOut, None, "cross-site", error);
    }
    let session = match &endpoint.outcome {
        Outcome::Authenticated(session) => session,
        Outcome::NotAuthenticated => {
            return forgetting(answer::redirect(SIGNED_OUT_PATH), &endpoint, request.headers());
        }
        Outcome::Unavailable(error) => return not_ended(&shared, &endpoint, error),
    };
    let tokens = shared.sessions.tokens(session).await.ok().flatten().unwrap_or_default();
    let programs = match shared.sessions.end(session).await {
        Ok(programs) => programs,
        Err(error) => return not_ended(&shared, &endpoint, &error),
    };
    let at_provider = match shared.providers.get(session.identity().provider()) {
        Some(provider) => {
            if let Some(refresh_token) = tokens.refresh_token {
                shared.sessions.store.refreshes().give_back(provider, refresh_token);
            }
            let signed_out = format!("{}{SIGNED_OUT_PATH}", shared.config.url);
            provider.end_session_url(tokens.id_token.as_ref(), &signed_out).await
        }
        None => None,
    };
    let response = answer::redirect(at_provider.as_ref().map_or(SIGNED_OUT_PATH, url::Url::as_str));
    let response = forgetting(response, &endpoint, request.headers());
    let response = answer::with_event(response, EventKind::SignOut, Some(session.clone()), "signed-out", None);
    answer::with_ended(response, programs)
}

/// Says that the user is signed out.
pub(super) async fn signed_out(State(shared): State<Shared>, Extension(endpoint): Extension<Endpoint>) -> Response {
    let document = pages::SignedOut { sign_in_url: shared.home(&endpoint.origin) }.render(&shared.config.look);
    std::future::ready(answer::page(StatusCode::OK, document)).await
}

fn not_ended(shared: &Shared, endpoint: &Endpoint, error: &StoreError) -> Response {
    let response = answer::store_unavailable(shared, endpoint);
    answer::with_event(response, EventKind::SignOut, None, "store-unavailable", Some(error.to_string().into()))
}

fn forgetting(mut response: Response, endpoint: &Endpoint, headers: &HeaderMap) -> Response {
    response.headers_mut().append(SET_COOKIE, cookie::clear(&endpoint.origin));
    for line in attempt::forget_all(&endpoint.origin, headers) {
        response.headers_mut().append(SET_COOKIE, line);
    }
    response
}

/// Returns whether a form of this very origin sent the request. `Sec-Fetch-Site` cannot be forged by a page; browsers
/// that do not send it send `Origin` with every POST. A request with neither is refused.
pub(super) fn is_from_own_page(headers: &HeaderMap, origin: &Origin) -> bool {
    match headers.get("sec-fetch-site") {
        Some(site) => site == "same-origin",
        None => headers.get(ORIGIN).is_some_and(|found| found.as_bytes() == origin.to_string().as_bytes()),
    }
}
