//! The sample app: shows what it was told of the caller, and echoes over WebSocket. It has no sign-in of its own.

mod assertion;
mod echo;

use std::fmt;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use serde_json::{Map, Value, json};

pub use self::assertion::{Proxy, Unverified};
use crate::DemoError;
use crate::server::{Server, Tasks, bind};

/// A running sample app.
#[derive(Debug)]
pub struct Web {
    server: Server,
}

/// What the endpoints share.
struct Shared {
    proxy: Option<Proxy>,
    tasks: Tasks,
}

#[derive(Template)]
#[template(path = "who.html")]
struct WhoPage<'a> {
    host: &'a str,
    path: &'a str,
    method: &'a str,
    email: &'a str,
    assertion: &'a Result<Map<String, Value>, String>,
    headers: &'a [(String, String)],
}

#[derive(Template)]
#[template(path = "socket.html")]
struct SocketPage;

impl Web {
    /// Starts the app on a free port of 127.0.0.1. It checks assertions with the keys of `proxy`, if one is given.
    ///
    /// # Errors
    /// No port can be bound.
    pub async fn start(proxy: Option<Proxy>) -> Result<Self, DemoError> {
        let tasks = Tasks::default();
        let listener = bind().await.map_err(DemoError::Bind)?;
        let shared = Arc::new(Shared { proxy, tasks: tasks.clone() });
        let router = Router::new()
            .route("/echo", get(upgrade))
            .route("/socket", get(socket_page))
            .fallback(any(who))
            .with_state(shared);
        Ok(Self { server: Server::http(listener, None, router, tasks).map_err(DemoError::Bind)? })
    }

    /// Returns the server.
    #[must_use]
    pub const fn server(&self) -> &Server {
        &self.server
    }

    /// Stops the app.
    pub async fn shutdown(&self) {
        self.server.shutdown().await;
    }
}

/// Shows who the app was told the caller is: a page to browsers, JSON to everybody else.
async fn who(State(shared): State<Arc<Shared>>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let host = [text("x-forwarded-host"), text("host")].into_iter().find(|host| !host.is_empty()).unwrap_or("the app");
    let assertion = verified(&shared, text(ASSERTION), host).await;
    let listed = listed(&headers);
    let email = assertion.as_ref().ok().and_then(|claims| claims.get("email")?.as_str()).unwrap_or_default();
    if !text("accept").contains("text/html") {
        let told = json!({
            "method": method.as_str(),
            "host": host,
            "path": uri.path(),
            "assertion": assertion.as_ref().map_or_else(
                |problem| json!({ "verified": false, "problem": problem }),
                |claims| json!({ "verified": true, "claims": claims }),
            ),
            "headers": Map::from_iter(listed.into_iter().map(|(name, value)| (name, json!(value)))),
        });
        return (NO_STORE, Json(told)).into_response();
    }
    page(&WhoPage { host, path: uri.path(), method: method.as_str(), email, assertion: &assertion, headers: &listed })
}

async fn verified(shared: &Shared, token: &str, host: &str) -> Result<Map<String, Value>, String> {
    if token.is_empty() {
        return Err("No assertion came with this request: nobody is signed in here.".into());
    }
    let Some(proxy) = &shared.proxy else { return Err("An assertion came, and this app has no keys for it.".into()) };
    proxy.verify(token, host).await.map_err(|problem| format!("An assertion came and does not hold: {problem}."))
}

/// Lists the headers for display. Cookies are the caller's; the assertion is shown as its claims.
fn listed(headers: &HeaderMap) -> Vec<(String, String)> {
    let shown = headers.iter().filter(|(name, _)| **name != header::COOKIE && name.as_str() != ASSERTION);
    let mut listed: Vec<_> =
        shown.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())).collect();
    listed.sort();
    listed
}

async fn socket_page() -> Response {
    page(&SocketPage)
}

async fn upgrade(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    echo::upgrade(request, &shared.tasks)
}

fn page(template: &impl Template) -> Response {
    template.render().map_or_else(
        |_| StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        |html| (NO_STORE, Html(html)).into_response(),
    )
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("proxy", &self.proxy).finish_non_exhaustive()
    }
}

/// The header that the proxy puts its assertion in.
const ASSERTION: &str = "x-portcullis-jwt-assertion";

const NO_STORE: [(header::HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

#[cfg(test)]
mod tests;
