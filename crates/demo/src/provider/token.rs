//! The token endpoint, and userinfo. OpenID Connect Core §3.1.3 and §5.3.

use std::sync::Arc;

use aws_lc_rs::{constant_time, digest};
use axum::Json;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use serde::Deserialize;
use serde_json::json;
use url::form_urlencoded;

use super::{Client, Grant, Shared, TOKEN_SECONDS, key};

/// The token request.
#[derive(Debug, Deserialize)]
pub(super) struct Request {
    #[serde(default)]
    grant_type: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    redirect_uri: String,
    #[serde(default)]
    code_verifier: String,
    client_id: Option<String>,
    client_secret: Option<String>,
}

/// Gives tokens for a code.
pub(super) async fn exchange(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Form(request): Form<Request>,
) -> Response {
    let Some(client) = authenticated(&shared, &headers, &request) else {
        let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"demo\"")];
        return (StatusCode::UNAUTHORIZED, challenge, error("invalid_client")).into_response();
    };
    if request.grant_type != "authorization_code" {
        return (StatusCode::BAD_REQUEST, error("unsupported_grant_type")).into_response();
    }
    // The code is gone whatever comes of it: RFC 6749 §4.1.2.
    match shared.codes.take(&request.code, shared.now()).filter(|grant| redeems(grant, client, &request)) {
        Some(grant) => tokens(&shared, &grant)
            .map_or_else(|| StatusCode::SERVICE_UNAVAILABLE.into_response(), IntoResponse::into_response),
        None => (StatusCode::BAD_REQUEST, error("invalid_grant")).into_response(),
    }
}

/// Returns the claims of the access token's user.
pub(super) async fn userinfo(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    match bearer.and_then(|token| shared.access.get(token, shared.now())) {
        Some(access) => (NO_STORE, Json(access.user.claims(&access.scopes))).into_response(),
        None => {
            let challenge = [(header::WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"")];
            (StatusCode::UNAUTHORIZED, challenge).into_response()
        }
    }
}

fn redeems(grant: &Grant, client: &Client, request: &Request) -> bool {
    let verifier = digest::digest(&digest::SHA256, request.code_verifier.as_bytes());
    grant.client == client.id
        && grant.redirect_uri == request.redirect_uri
        && grant.challenge == BASE64_URL_SAFE_NO_PAD.encode(verifier)
}

fn tokens(shared: &Shared, grant: &Grant) -> Option<impl IntoResponse + use<>> {
    let now = shared.now();
    let access_token = shared.access.put(grant.access.clone(), now)?;
    let mut claims = grant.access.user.claims(&grant.access.scopes);
    claims.extend([
        ("iss".to_owned(), json!(shared.issuer)),
        ("aud".to_owned(), json!(grant.client)),
        ("iat".to_owned(), json!(now)),
        ("exp".to_owned(), json!(now + TOKEN_SECONDS)),
        ("auth_time".to_owned(), json!(grant.sign_in.auth_time)),
        ("at_hash".to_owned(), json!(key::half_hash(&access_token))),
    ]);
    claims.extend(grant.sign_in.acr.as_ref().map(|acr| ("acr".to_owned(), json!(acr))));
    claims.extend(grant.nonce.as_ref().map(|nonce| ("nonce".to_owned(), json!(nonce))));
    let answer = json!({
        "access_token": access_token,
        "token_type": "Bearer",
        "expires_in": TOKEN_SECONDS,
        "scope": grant.access.scopes.join(" "),
        "id_token": shared.key.sign(&claims)?,
    });
    Some((NO_STORE, Json(answer)))
}

/// Finds the client whose id and secret came, in the header or in the body but not in both: RFC 6749 §2.3.
fn authenticated<'a>(shared: &'a Shared, headers: &HeaderMap, request: &Request) -> Option<&'a Client> {
    let (id, secret) = match (headers.get(header::AUTHORIZATION), &request.client_secret) {
        (Some(value), None) => basic(value.to_str().ok()?)?,
        (None, Some(secret)) => (request.client_id.clone()?, secret.clone()),
        (Some(_), Some(_)) | (None, None) => return None,
    };
    let client = shared.client(&id)?;
    constant_time::verify_slices_are_equal(client.secret.expose().as_bytes(), secret.as_bytes()).ok().map(|()| client)
}

/// Reads `Basic`, whose halves are form-encoded: RFC 6749 §2.3.1.
fn basic(value: &str) -> Option<(String, String)> {
    let text = String::from_utf8(BASE64_STANDARD.decode(value.strip_prefix("Basic ")?).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let decoded = |half: &str| form_urlencoded::parse(half.as_bytes()).next().map(|(text, _)| text.into_owned());
    Some((decoded(id)?, decoded(secret)?))
}

fn error(code: &'static str) -> impl IntoResponse {
    (NO_STORE, Json(json!({ "error": code })))
}

const NO_STORE: [(header::HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];
