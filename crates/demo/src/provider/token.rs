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
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{Access, Client, Grant, Offline, Shared, SignIn, key, refresh};

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
    #[serde(default)]
    refresh_token: String,
    #[serde(flatten)]
    credentials: Credentials,
}

/// Who asks, where the body says so.
#[derive(Debug, Deserialize)]
pub(super) struct Credentials {
    client_id: Option<String>,
    client_secret: Option<String>,
}

/// What tokens are about.
struct Told<'a> {
    scopes: &'a [String],
    sign_in: &'a SignIn,
    nonce: Option<&'a str>,
    refresh_token: Option<String>,
}

/// Gives tokens for a code or a refresh token.
pub(super) async fn exchange(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Form(request): Form<Request>,
) -> Response {
    let Some(client) = request.credentials.client(&shared, &headers) else { return refuse_client() };
    let _held = shared.held.read().await;
    let tokens = match request.grant_type.as_str() {
        "authorization_code" => for_code(&shared, client, &request),
        "refresh_token" => refresh::exchange(&shared, client, &request.refresh_token).map(|(offline, next)| {
            // OpenID Connect Core §12.2: no nonce, and the time of the sign-in stays.
            let Offline { scopes, sign_in, .. } = &offline;
            tokens(&shared, client, Told { scopes, sign_in, nonce: None, refresh_token: Some(next) })
        }),
        _ => return (StatusCode::BAD_REQUEST, error("unsupported_grant_type")).into_response(),
    };
    match tokens {
        Some(Some(tokens)) => (NO_STORE, Json(tokens)).into_response(),
        Some(None) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        None => (StatusCode::BAD_REQUEST, error("invalid_grant")).into_response(),
    }
}

/// Returns the claims of the access token's user.
pub(super) async fn userinfo(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let claims = bearer
        .and_then(|token| shared.access.get(token, shared.now()))
        .filter(|access| shared.now() < access.until)
        .and_then(|access| Some(shared.user(&access.user)?.claims(&access.scopes)));
    match claims {
        Some(claims) => (NO_STORE, Json(claims)).into_response(),
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

/// Redeems a code, which is gone whatever comes of it: RFC 6749 §4.1.2.
fn for_code(shared: &Shared, client: &Client, request: &Request) -> Option<Option<Value>> {
    let grant = shared.codes.take(&request.code, shared.now()).filter(|grant| redeems(grant, client, request))?;
    let Grant { scopes, sign_in, nonce, .. } = &grant;
    let is_offline = scopes.iter().any(|scope| scope == "offline_access");
    let refresh_token = is_offline.then(|| refresh::give(shared, client, scopes, sign_in)).flatten();
    Some(tokens(shared, client, Told { scopes, sign_in, nonce: nonce.as_deref(), refresh_token }))
}

fn tokens(shared: &Shared, client: &Client, told: Told<'_>) -> Option<Value> {
    let Told { scopes, sign_in, nonce, refresh_token } = told;
    let (now, life) = (shared.now(), client.token_life.as_secs());
    let until = now.saturating_add_unsigned(life);
    let access = Access { user: sign_in.user.clone(), until, scopes: scopes.to_vec() };
    let access_token = shared.access.put(access, now)?;
    let mut claims = shared.user(&sign_in.user)?.claims(scopes);
    claims.extend([
        ("iss".to_owned(), json!(shared.issuer)),
        ("aud".to_owned(), json!(client.id)),
        ("iat".to_owned(), json!(now)),
        ("exp".to_owned(), json!(until)),
        ("auth_time".to_owned(), json!(sign_in.auth_time)),
        ("at_hash".to_owned(), json!(key::half_hash(&access_token))),
    ]);
    claims.extend(sign_in.acr.as_ref().map(|acr| ("acr".to_owned(), json!(acr))));
    claims.extend(nonce.map(|nonce| ("nonce".to_owned(), json!(nonce))));
    let mut answer = json!({
        "access_token": access_token,
        "token_type": "Bearer",
        "expires_in": life,
        "scope": scopes.join(" "),
        "id_token": shared.key.sign(&claims)?,
    });
    if let (Some(answer), Some(token)) = (answer.as_object_mut(), refresh_token) {
        answer.insert("refresh_token".to_owned(), json!(token));
    }
    Some(answer)
}

impl Credentials {
    /// Finds the client whose id and secret came, in the header or in the body but not in both: RFC 6749 §2.3.
    pub(super) fn client<'a>(&self, shared: &'a Shared, headers: &HeaderMap) -> Option<&'a Client> {
        let (id, secret) = match (headers.get(header::AUTHORIZATION), &self.client_secret) {
            (Some(value), None) => basic(value.to_str().ok()?)?,
            (None, Some(secret)) => (self.client_id.clone()?, secret.clone()),
            (Some(_), Some(_)) | (None, None) => return None,
        };
        let client = shared.client(&id)?;
        let (expected, secret) = (client.secret.expose().as_bytes(), secret.as_bytes());
        constant_time::verify_slices_are_equal(expected, secret).ok().map(|()| client)
    }
}

/// Tells a client that it did not prove who it is.
pub(super) fn refuse_client() -> Response {
    let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"demo\"")];
    (StatusCode::UNAUTHORIZED, challenge, error("invalid_client")).into_response()
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
