//! Our own paths on every route's host, and those on the host of `authenticate.url`.

mod account;
mod answer;
mod attempt;
mod backchannel_logout;
mod callback;
mod connect;
mod sign_in;
mod sign_out;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::{any, get, post};
use http::{Request, StatusCode};
use identity::{ClientAddress, Clock, Origin};
use tower::ServiceExt as _;

use crate::keys::Keys;
use crate::oidc::Providers;
use crate::session::Sessions;
use crate::{Config, Outcome, Session};

/// Where the challenge of a browser leads: `/.portcullis/sign_in?return_to=/path` on the same host, with
/// `&provider=ID` where the route names one.
pub const SIGN_IN_PATH: &str = "/.portcullis/sign_in";

/// Where a program sends its user's browser, to be given a session of its own.
const CONNECT_PATH: &str = "/.portcullis/connect";

/// Where a program redeems the code that it was brought, and where it ends its session.
const CONNECT_SESSION_PATH: &str = "/.portcullis/connect/session";

/// Returns whether a path begins a sign-in: nobody gets that far whom no route of the host would let in.
#[must_use]
pub fn begins_sign_in(path: &str) -> bool {
    [SIGN_IN_PATH, CONNECT_PATH, CONNECT_SESSION_PATH].contains(&path)
}

/// What the proxy knows of a request for one of our own paths.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The origin that was asked, as the configuration names it.
    pub origin: Origin,
    /// Who asks.
    pub outcome: Outcome,
    /// From where.
    pub address: ClientAddress,
    /// The request id, for error pages.
    pub request_id: Arc<str>,
    /// Whether programs may ask for sessions on this host: it has a tunnel.
    pub programs: bool,
    /// The routes that this user may open from here; filled only for the user's own page.
    pub apps: Vec<App>,
}

/// An app on the user's own page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// The route's name.
    pub name: String,
    /// Where to open it.
    pub url: String,
}

/// What an answer did, for the audit record: an extension of the response.
#[derive(Clone, Debug)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// Whose session it is about, where there is one.
    pub session: Option<Arc<Session>>,
    /// Further sessions that it ended: each has a record of its own in the audit log.
    pub ended: Vec<Arc<Session>>,
    /// A stable kebab-case code: `signed-in`, `state-mismatch`, `token-invalid`...
    pub reason: &'static str,
    /// What exactly went wrong, for the log and the audit record; no token, no claim.
    pub error: Option<Arc<str>>,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A sign-in ended, well or badly: `Event::error` tells.
    SignIn,
    /// A user signed out, or could not: `Event::error` tells.
    SignOut,
    /// A provider ended sessions (back-channel logout), or tried to: `Event::error` tells.
    Revoke,
}

/// What all endpoints share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) config: Arc<Config>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) providers: Arc<Providers>,
}

impl Shared {
    /// Returns the path to begin with on a host. That of `authenticate.url` may have nothing but our own pages.
    fn home(&self, origin: &Origin) -> &'static str {
        if *origin == self.config.url { ACCOUNT_PATH } else { "/" }
    }
}

/// Builds the router of our own paths, once for each configuration.
pub(crate) fn router(shared: Shared) -> Router {
    Router::new()
        .route(ACCOUNT_PATH, get(account::page))
        .route(SIGN_IN_PATH, get(sign_in::start))
        // Any method: the answer to HEAD and POST is ours to give, and must not redeem a code (S-43).
        .route(CALLBACK_PATH, any(callback::receive))
        .route(SIGN_OUT_PATH, get(sign_out::confirm).post(sign_out::sign_out))
        .route(SIGNED_OUT_PATH, get(sign_out::signed_out))
        .route(CONNECT_PATH, get(connect::ask).post(connect::confirm))
        .route(CONNECT_SESSION_PATH, post(connect::redeem).delete(connect::end))
        .route("/.portcullis/user", get(account::user))
        .route("/.portcullis/backchannel_logout", post(backchannel_logout::receive))
        .route("/.well-known/portcullis/jwks.json", get(account::jwks))
        .fallback(answer::not_found)
        .method_not_allowed_fallback(answer::method_not_allowed)
        .with_state(shared)
}

/// Answers a request for one of our own paths.
pub(crate) async fn serve(
    router: &Router,
    config: &Config,
    endpoint: Endpoint,
    mut request: Request<Body>,
) -> Response {
    let response = if request.uri().query().is_some_and(|query| query.len() > MAX_QUERY) {
        let fault = answer::Fault {
            status: StatusCode::URI_TOO_LONG,
            title: "Address too long",
            message: "The address of this page is too long.",
            code: "query-too-long",
            retry_url: None,
        };
        answer::fault(config, &endpoint.request_id, &fault)
    } else {
        request.extensions_mut().insert(endpoint.clone());
        match router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    };
    answer::guarded(config, &endpoint.origin, response)
}

/// Where the provider sends the browser on the host of `authenticate.url`, and that one on the app's host.
pub(crate) const CALLBACK_PATH: &str = "/.portcullis/callback";
const ACCOUNT_PATH: &str = "/.portcullis/";
const SIGN_OUT_PATH: &str = "/.portcullis/sign_out";
const SIGNED_OUT_PATH: &str = "/.portcullis/signed_out";
/// Codes and sealed requests take well below a quarter of it.
const MAX_QUERY: usize = 16 * 1024;

#[cfg(test)]
pub(crate) mod tests;
