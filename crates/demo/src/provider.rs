//! An OpenID provider for demonstrations and tests: correct, small, and open to whoever can click on a name.
//!
//! Discovery, key set, authorization code with PKCE (S256 only), refresh tokens, userinfo, revocation and RP-initiated
//! logout. There are no passwords, and nothing outlives the process.

mod authorization;
mod key;
mod ledger;
mod refresh;
mod sign_out;
mod token;

use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use identity::{Clock, Secret};
use rustls::ServerConfig;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use self::{key::SigningKey, ledger::Ledger};
use crate::DemoError;
use crate::server::{Server, Tasks, bind};

/// Somebody who can sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The subject, and what is shown beside the name.
    pub id: String,
    /// The display name.
    pub name: String,
    /// The e-mail address; verified.
    pub email: String,
    /// The groups.
    pub groups: Vec<String>,
}

/// An application that sends users here.
#[derive(Clone, Debug)]
pub struct Client {
    /// The client id.
    pub id: String,
    /// The client secret.
    pub secret: Secret,
    /// Where codes may be sent, compared whole. After sign-out, any URL of the same origins is accepted.
    pub redirect_uris: Vec<String>,
    /// How long its ID and access tokens are good. Whoever wants to go on then has a refresh token, or comes again.
    pub token_life: Duration,
}

/// A running provider.
#[derive(Debug)]
pub struct Provider {
    shared: Arc<Shared>,
    server: Server,
}

/// What the endpoints share.
#[derive(Debug)]
struct Shared {
    issuer: String,
    users: RwLock<Vec<User>>,
    clients: Vec<Client>,
    clock: Arc<dyn Clock>,
    key: SigningKey,
    codes: Ledger<Grant>,
    access: Ledger<Access>,
    offline: Ledger<Offline>,
    held: Arc<tokio::sync::RwLock<()>>,
    sign_ins: Ledger<SignIn>,
}

/// What an authorization code stands for.
#[derive(Clone, Debug)]
struct Grant {
    client: String,
    redirect_uri: String,
    challenge: String,
    nonce: Option<String>,
    scopes: Vec<String>,
    sign_in: SignIn,
}

/// What a refresh token stands for.
#[derive(Clone, Debug)]
struct Offline {
    client: String,
    scopes: Vec<String>,
    sign_in: SignIn,
    /// The one that is good; those before it are spent.
    secret: String,
}

/// What an access token opens.
#[derive(Clone, Debug)]
struct Access {
    user: String,
    until: i64,
    scopes: Vec<String>,
}

/// A browser that has signed in here.
#[derive(Clone, Debug)]
struct SignIn {
    user: String,
    auth_time: i64,
    /// How strongly, by the word of whoever asked: nothing is proved here.
    acr: Option<String>,
}

impl Provider {
    /// Starts a provider on a free port of 127.0.0.1; the address is also its issuer.
    ///
    /// The issuer holds the address rather than a name, because programs, unlike browsers, need not resolve
    /// `idp.localhost`, and `localhost` may mean `::1` first.
    ///
    /// # Errors
    /// No port can be bound, or no key be made.
    pub async fn start(
        users: Vec<User>,
        clients: Vec<Client>,
        tls: Option<Arc<ServerConfig>>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, DemoError> {
        let listener = bind().await.map_err(DemoError::Bind)?;
        let shared = Arc::new(Shared {
            issuer: issuer(&listener, tls.is_some()).map_err(DemoError::Bind)?,
            users: RwLock::new(users),
            clients,
            clock,
            key: SigningKey::generate()?,
            codes: Ledger::new(CODE_SECONDS),
            access: Ledger::new(ACCESS_SECONDS),
            offline: Ledger::new(SIGN_IN_SECONDS),
            held: Arc::default(),
            sign_ins: Ledger::new(SIGN_IN_SECONDS),
        });
        let router = router(Arc::clone(&shared));
        let server = Server::http(listener, tls, router, Tasks::default()).map_err(DemoError::Bind)?;
        Ok(Self { shared, server })
    }

    /// Returns the issuer, which is also the URL of the provider.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.shared.issuer
    }

    /// Answers no token request until the value is dropped: a provider that is slow.
    pub async fn hold(&self) -> impl Drop + use<> {
        Arc::clone(&self.shared.held).write_owned().await
    }

    /// Says this of the user from now on, also to those who refresh what they were told before.
    pub fn change(&self, user: User) {
        let mut users = self.shared.users.write().unwrap_or_else(PoisonError::into_inner);
        match users.iter_mut().find(|known| known.id == user.id) {
            Some(known) => *known = user,
            None => users.push(user),
        }
    }

    /// Knows the user no more: nobody is told anything of them, and nothing is refreshed.
    pub fn remove(&self, user: &str) {
        self.shared.users.write().unwrap_or_else(PoisonError::into_inner).retain(|known| known.id != user);
    }

    /// Stops the provider.
    pub async fn shutdown(&self) {
        self.server.shutdown().await;
    }
}

impl User {
    /// Makes a user with an address at `example.com`.
    #[must_use]
    pub fn new(id: &str, name: &str, groups: &[&str]) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            email: format!("{id}@example.com"),
            groups: groups.iter().copied().map(Into::into).collect(),
        }
    }

    /// Tells whether a `login_hint` means this user.
    fn answers_to(&self, hint: &str) -> bool {
        self.id == hint || self.email == hint
    }

    /// Returns the claims that `scopes` ask for.
    fn claims(&self, scopes: &[String]) -> serde_json::Map<String, Value> {
        let mut claims = serde_json::Map::from_iter([("sub".to_owned(), json!(self.id))]);
        let asked = |scope: &str| scopes.iter().any(|s| s == scope);
        if asked("profile") {
            claims.insert("name".into(), json!(self.name));
            claims.insert("preferred_username".into(), json!(self.id));
            claims.insert("groups".into(), json!(self.groups));
        }
        if asked("email") {
            claims.insert("email".into(), json!(self.email));
            claims.insert("email_verified".into(), json!(true));
        }
        claims
    }
}

impl Shared {
    fn now(&self) -> i64 {
        self.clock.now().as_second()
    }

    fn user(&self, id: &str) -> Option<User> {
        self.users().into_iter().find(|user| user.id == id)
    }

    fn users(&self) -> Vec<User> {
        self.users.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn client(&self, id: &str) -> Option<&Client> {
        self.clients.iter().find(|client| client.id == id)
    }
}

fn issuer(listener: &TcpListener, tls: bool) -> io::Result<String> {
    let scheme = if tls { "https" } else { "http" };
    Ok(format!("{scheme}://{}", listener.local_addr()?))
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/jwks", get(keys))
        .route("/authorize", get(authorization::show).post(authorization::choose))
        .route("/token", axum::routing::post(token::exchange))
        .route("/revoke", axum::routing::post(refresh::revoke))
        .route("/userinfo", get(token::userinfo).post(token::userinfo))
        .route("/end_session", get(sign_out::end_session).post(sign_out::end_session_form))
        .with_state(shared)
}

/// OpenID Connect Discovery 1.0 §3.
async fn discovery(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let issuer = &shared.issuer;
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "revocation_endpoint": format!("{issuer}/revoke"),
        "end_session_endpoint": format!("{issuer}/end_session"),
        "jwks_uri": format!("{issuer}/jwks"),
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "code_challenge_methods_supported": ["S256"],
        "prompt_values_supported": ["none", "login", "select_account", "consent"],
        "claims_supported": [
            "iss", "sub", "aud", "exp", "iat", "auth_time", "acr", "nonce", "at_hash", "name", "preferred_username", "email",
            "email_verified", "groups",
        ],
        "authorization_response_iss_parameter_supported": true,
        "claims_parameter_supported": false,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
    }))
}

async fn keys(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(shared.key.public_set())
}

/// RFC 6749 §4.1.2 asks for at most ten minutes; a browser needs less than one.
const CODE_SECONDS: i64 = 60;
/// The longest `token_life` for access tokens.
const ACCESS_SECONDS: i64 = 24 * 60 * 60;
const SIGN_IN_SECONDS: i64 = 12 * 60 * 60;

#[cfg(test)]
mod tests;
