//! The answers of our own paths: pages, redirects, JSON, and the headers that all of them carry.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderValue, StatusCode};
use identity::{Origin, Scheme};

use super::{Endpoint, Event, EventKind, Shared};
use crate::oidc::SignInError;
use crate::{Config, Session};

/// A page that says what went wrong.
#[derive(Debug)]
pub(super) struct Fault<'a> {
    pub(super) status: StatusCode,
    pub(super) title: &'a str,
    pub(super) message: &'a str,
    pub(super) code: &'a str,
    pub(super) retry_url: Option<&'a str>,
}

/// The query of a request; of a parameter that came twice, neither counts.
#[derive(Debug)]
pub(super) struct Query(HashMap<String, Option<String>>);

impl Query {
    /// Reads the query.
    pub(super) fn of(uri: &http::Uri) -> Self {
        Self::parse(uri.query().unwrap_or_default().as_bytes())
    }

    /// Reads `application/x-www-form-urlencoded`.
    pub(super) fn parse(form: &[u8]) -> Self {
        let mut parameters = HashMap::new();
        for (name, value) in url::form_urlencoded::parse(form) {
            parameters
                .entry(name.into_owned())
                .and_modify(|known| *known = None)
                .or_insert_with(|| Some(value.into_owned()));
        }
        Self(parameters)
    }

    /// Returns a parameter that is there once and not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_deref().filter(|value| !value.is_empty())
    }
}

/// Makes a page.
pub(super) fn page(status: StatusCode, document: String) -> Response {
    (status, [(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"))], document).into_response()
}

/// Makes the page that says what went wrong.
pub(super) fn fault(config: &Config, request_id: &str, fault: &Fault<'_>) -> Response {
    let document = pages::Fault {
        status: fault.status.as_u16(),
        title: fault.title,
        message: fault.message,
        code: fault.code,
        request_id,
        retry_url: fault.retry_url,
    }
    .render(&config.look);
    let mut response = page(fault.status, document);
    if fault.status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}

/// Makes the page of a sign-in that failed, and the event that says why.
pub(super) fn sign_in_failed(shared: &Shared, endpoint: &Endpoint, error: &SignInError, retry_url: &str) -> Response {
    let message = error.message();
    let failed = Fault {
        status: error.status(),
        title: "Sign-in failed",
        message: &message,
        code: error.reason(),
        retry_url: Some(retry_url),
    };
    let response = fault(&shared.config, &endpoint.request_id, &failed);
    with_event(response, EventKind::SignIn, None, error.reason(), Some(error.to_string().into()))
}

/// Makes the page for when the session store does not answer.
pub(super) fn store_unavailable(shared: &Shared, endpoint: &Endpoint) -> Response {
    let unavailable = Fault {
        status: StatusCode::SERVICE_UNAVAILABLE,
        title: "Not available",
        message: "Sessions cannot be read at the moment. Try again shortly.",
        code: "store-unavailable",
        retry_url: None,
    };
    fault(&shared.config, &endpoint.request_id, &unavailable)
}

/// Sends the browser elsewhere, with GET.
pub(super) fn redirect(location: &str) -> Response {
    HeaderValue::try_from(location).map_or_else(
        |_| StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        |location| (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response(),
    )
}

/// Makes JSON.
pub(super) fn json(status: StatusCode, value: &serde_json::Value) -> Response {
    let json = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (status, json, Body::from(value.to_string())).into_response()
}

/// Notes on an answer what it did.
pub(super) fn with_event(
    mut response: Response,
    kind: EventKind,
    session: Option<Arc<Session>>,
    reason: &'static str,
    error: Option<Arc<str>>,
) -> Response {
    response.extensions_mut().insert(Event { kind, session, ended: Vec::new(), reason, error });
    response
}

/// Notes on an answer which further sessions ended with what it did.
pub(super) fn with_ended(mut response: Response, ended: impl IntoIterator<Item = Arc<Session>>) -> Response {
    if let Some(event) = response.extensions_mut().get_mut::<Event>() {
        event.ended.extend(ended);
    }
    response
}

/// Adds the headers that all of our answers carry.
pub(super) fn guarded(config: &Config, origin: &Origin, mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static(referrer_policy(origin)));
    if let Ok(policy) = HeaderValue::try_from(config.look.content_security_policy()) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// On cleartext, browsers send no `Sec-Fetch-Site`, and with `no-referrer` the `Origin` of a form is `null`: sign-out
/// could not tell our own form from a stranger's.
const fn referrer_policy(origin: &Origin) -> &'static str {
    match origin.scheme() {
        Scheme::Https => "no-referrer",
        Scheme::Http => "same-origin",
    }
}

/// Answers 404.
pub(super) async fn not_found(State(shared): State<Shared>, Extension(endpoint): Extension<Endpoint>) -> Response {
    std::future::ready(missing(&shared, &endpoint)).await
}

/// Makes the 404 page.
pub(super) fn missing(shared: &Shared, endpoint: &Endpoint) -> Response {
    let missing = Fault {
        status: StatusCode::NOT_FOUND,
        title: "Page not found",
        message: "There is no such page.",
        code: "not-found",
        retry_url: None,
    };
    fault(&shared.config, &endpoint.request_id, &missing)
}

/// Answers 405.
pub(super) async fn method_not_allowed(
    State(shared): State<Shared>,
    Extension(endpoint): Extension<Endpoint>,
) -> Response {
    std::future::ready(not_allowed(&shared, &endpoint)).await
}

/// Makes the 405 page.
pub(super) fn not_allowed(shared: &Shared, endpoint: &Endpoint) -> Response {
    let not_allowed = Fault {
        status: StatusCode::METHOD_NOT_ALLOWED,
        title: "Method not allowed",
        message: "This page cannot be asked in this way.",
        code: "method-not-allowed",
        retry_url: None,
    };
    fault(&shared.config, &endpoint.request_id, &not_allowed)
}
