//! Sign-out that a client asks for, without asking the user again. OpenID Connect RP-Initiated Logout 1.0 §2.

use std::sync::Arc;

use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use url::Url;

use super::Shared;
use super::authorization::{PAGE_HEADERS, handle, refuse};

/// The logout request.
#[derive(Debug, Deserialize)]
pub(super) struct Request {
    post_logout_redirect_uri: Option<String>,
    state: Option<String>,
}

/// Ends the sign-in of the browser.
pub(super) async fn end_session(
    State(shared): State<Arc<Shared>>,
    Query(request): Query<Request>,
    headers: HeaderMap,
) -> Response {
    end(&shared, &request, &headers)
}

/// Does the same for a form.
pub(super) async fn end_session_form(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Form(request): Form<Request>,
) -> Response {
    end(&shared, &request, &headers)
}

fn end(shared: &Shared, request: &Request, headers: &HeaderMap) -> Response {
    if let Some(handle) = handle(headers) {
        shared.sign_ins.take(handle, shared.now());
    }
    let Some(uri) = &request.post_logout_redirect_uri else {
        return (PAGE_HEADERS, [(header::CONTENT_TYPE, "text/plain")], "You are signed out.").into_response();
    };
    let Some(mut uri) = Url::parse(uri).ok().filter(|uri| belongs_to_a_client(shared, uri)) else {
        return refuse("You are signed out. Where the application wants you next is not known.");
    };
    if let Some(state) = &request.state {
        uri.query_pairs_mut().append_pair("state", state);
    }
    Redirect::to(uri.as_str()).into_response()
}

fn belongs_to_a_client(shared: &Shared, uri: &Url) -> bool {
    let origins = shared.clients.iter().flat_map(|client| &client.redirect_uris).filter_map(|uri| Url::parse(uri).ok());
    origins.into_iter().any(|registered| registered.origin() == uri.origin())
}
