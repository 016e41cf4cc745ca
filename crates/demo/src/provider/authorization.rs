//! The authorization endpoint: who is it, and back with a code. OpenID Connect Core §3.1.2.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::Deserialize;
use url::Url;

use super::{Grant, Shared, SignIn, User};

/// The authorization request.
#[derive(Debug, Deserialize)]
pub(super) struct Request {
    #[serde(default)]
    client_id: String,
    #[serde(default)]
    redirect_uri: String,
    #[serde(default)]
    response_type: String,
    #[serde(default)]
    scope: String,
    state: Option<String>,
    nonce: Option<String>,
    #[serde(default)]
    code_challenge: String,
    #[serde(default)]
    code_challenge_method: String,
    #[serde(default)]
    prompt: String,
    max_age: Option<i64>,
    #[serde(default)]
    acr_values: String,
    #[serde(default)]
    login_hint: String,
}

/// The user that was clicked on.
#[derive(Debug, Deserialize)]
pub(super) struct Choice {
    user: String,
}

#[derive(Template)]
#[template(path = "choose.html")]
struct ChoosePage<'a> {
    users: &'a [User],
    hint: &'a str,
    app: &'a str,
}

/// Answers at once where the browser is signed in and nothing asks for more; else shows who there is.
pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Query(request): Query<Request>,
    headers: HeaderMap,
) -> Response {
    let redirect_uri = match request.checked(&shared) {
        Ok(redirect_uri) => redirect_uri,
        Err(refusal) => return refusal,
    };
    let prompts = |value: &str| request.prompt.split(' ').any(|prompt| prompt == value);
    let fresh = |sign_in: &SignIn| request.max_age.is_none_or(|age| shared.now() - sign_in.auth_time <= age);
    let strong = |sign_in: &SignIn| {
        request.acr_values.is_empty() || request.acr_values().any(|acr| sign_in.acr.as_deref() == Some(acr))
    };
    let known = signed_in(&shared, &headers).filter(|sign_in| fresh(sign_in) && strong(sign_in));
    match known {
        Some(sign_in) if !prompts("login") && !prompts("select_account") => {
            request.grant(&shared, redirect_uri, sign_in).into_response()
        }
        _ if prompts("none") => request.failed(&shared, redirect_uri, "login_required").into_response(),
        _ => choose_page(&shared, &request, &redirect_uri),
    }
}

/// Signs the chosen user in and goes back to the client.
pub(super) async fn choose(
    State(shared): State<Arc<Shared>>,
    Query(request): Query<Request>,
    Form(choice): Form<Choice>,
) -> Response {
    let redirect_uri = match request.checked(&shared) {
        Ok(redirect_uri) => redirect_uri,
        Err(refusal) => return refusal,
    };
    let Some(User { id: user, .. }) = shared.user(&choice.user) else {
        return request.failed(&shared, redirect_uri, "access_denied").into_response();
    };
    let acr = request.acr_values().next().map(str::to_owned);
    let sign_in = SignIn { user, auth_time: shared.now(), acr };
    let Some(handle) = shared.sign_ins.put(sign_in.clone(), shared.now()) else {
        return request.failed(&shared, redirect_uri, "temporarily_unavailable").into_response();
    };
    ([(header::SET_COOKIE, cookie(&shared, &handle))], request.grant(&shared, redirect_uri, sign_in)).into_response()
}

impl Request {
    /// Returns where the answer goes, or the answer that a faulty request gets.
    #[expect(clippy::result_large_err, reason = "both arms are answers; neither is kept")]
    fn checked(&self, shared: &Shared) -> Result<Url, Response> {
        let registered = |uri: &Url| {
            shared.client(&self.client_id).is_some_and(|client| client.redirect_uris.iter().any(|u| u == uri.as_str()))
                && uri.as_str() == self.redirect_uri
        };
        // RFC 6749 §4.1.2.1: a user is never sent to an address that the client did not register.
        let Some(uri) = Url::parse(&self.redirect_uri).ok().filter(registered) else {
            return Err(refuse("The application that sent you here, or where it wants you back, is not known."));
        };
        let error = if self.response_type != "code" {
            "unsupported_response_type"
        } else if !self.scopes().any(|scope| scope == "openid") {
            "invalid_scope"
        } else if self.code_challenge_method != "S256" || self.code_challenge.len() != CHALLENGE_LENGTH {
            "invalid_request"
        } else {
            return Ok(uri);
        };
        Err(self.failed(shared, uri, error).into_response())
    }

    fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scope.split(' ').filter(|scope| !scope.is_empty())
    }

    fn acr_values(&self) -> impl Iterator<Item = &str> {
        self.acr_values.split(' ').filter(|acr| !acr.is_empty())
    }

    fn grant(&self, shared: &Shared, redirect_uri: Url, sign_in: SignIn) -> Redirect {
        let grant = Grant {
            client: self.client_id.clone(),
            redirect_uri: self.redirect_uri.clone(),
            challenge: self.code_challenge.clone(),
            nonce: self.nonce.clone(),
            scopes: self.scopes().map(Into::into).collect(),
            sign_in,
        };
        match shared.codes.put(grant, shared.now()) {
            Some(code) => self.answer(shared, redirect_uri, "code", &code),
            None => self.failed(shared, redirect_uri, "temporarily_unavailable"),
        }
    }

    fn failed(&self, shared: &Shared, redirect_uri: Url, error: &str) -> Redirect {
        self.answer(shared, redirect_uri, "error", error)
    }

    fn answer(&self, shared: &Shared, mut redirect_uri: Url, name: &str, value: &str) -> Redirect {
        let mut query = redirect_uri.query_pairs_mut();
        query.append_pair(name, value);
        if let Some(state) = &self.state {
            query.append_pair("state", state);
        }
        // RFC 9207 §2: the client can tell which provider answered.
        query.append_pair("iss", &shared.issuer);
        drop(query);
        Redirect::to(redirect_uri.as_str())
    }
}

/// Finds the sign-in that the browser's cookie names.
pub(super) fn signed_in(shared: &Shared, headers: &HeaderMap) -> Option<SignIn> {
    shared.sign_ins.get(handle(headers)?, shared.now())
}

/// Returns the handle in the browser's cookie.
pub(super) fn handle(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies.flat_map(|line| line.split("; ")).find_map(|pair| pair.strip_prefix(COOKIE)?.strip_prefix('='))
}

fn cookie(shared: &Shared, handle: &str) -> String {
    let secure = if shared.issuer.starts_with("https:") { "; Secure" } else { "" };
    format!("{COOKIE}={handle}; Path=/; HttpOnly; SameSite=Lax{secure}")
}

fn choose_page(shared: &Shared, request: &Request, redirect_uri: &Url) -> Response {
    let page = ChoosePage {
        users: &shared.users(),
        hint: &request.login_hint,
        app: redirect_uri.host_str().unwrap_or(&request.client_id),
    };
    page.render().map_or_else(
        |_| StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        |html| (PAGE_HEADERS, Html(html)).into_response(),
    )
}

/// Refuses without sending the user on.
pub(super) fn refuse(message: &'static str) -> Response {
    (StatusCode::BAD_REQUEST, PAGE_HEADERS, message).into_response()
}

/// No `form-action`: browsers would apply it to the redirect back to the client.
pub(super) const PAGE_HEADERS: [(header::HeaderName, &str); 3] = [
    (header::CACHE_CONTROL, "no-store"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (header::REFERRER_POLICY, "no-referrer"),
];

const COOKIE: &str = "portcullis-demo-provider";

/// The length of a SHA-256 in base64url: RFC 7636 §4.2.
const CHALLENGE_LENGTH: usize = 43;
