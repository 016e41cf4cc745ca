//! The listener for operators: health, readiness and metrics. It has no sign-in and decides nothing.

use std::error::Error as _;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use audit::Log;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{RawQuery, Request, State as Extract};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::IncomingStream;
use axum::{Json, Router};
use prometheus_client::registry::Registry;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};

use crate::reload;
use crate::tables::Tables;

/// What the admin listener tells.
#[derive(Debug)]
pub(crate) struct State {
    registry: Registry,
    audit: Log,
    phase: AtomicU8,
    configuration: Mutex<Configuration>,
    reloads: mpsc::Sender<reload::Request>,
    /// What is wrong with which certificate file; the last good one serves.
    certificates: Mutex<Vec<String>>,
    tables: Arc<Tables>,
}

/// What serves, and what was not taken in its place.
#[derive(Debug)]
struct Configuration {
    revision: String,
    refused: Vec<String>,
}

const STARTING: u8 = 0;
const SERVING: u8 = 1;
const DRAINING: u8 = 2;

impl State {
    pub(crate) const fn new(
        registry: Registry,
        revision: String,
        audit: Log,
        tables: Arc<Tables>,
        reloads: mpsc::Sender<reload::Request>,
    ) -> Self {
        Self {
            registry,
            reloads,
            audit,
            phase: AtomicU8::new(STARTING),
            configuration: Mutex::new(Configuration { revision, refused: Vec::new() }),
            certificates: Mutex::new(Vec::new()),
            tables,
        }
    }

    pub(crate) fn serving(&self) {
        self.phase.store(SERVING, Ordering::Relaxed);
    }

    pub(crate) fn draining(&self) {
        self.phase.store(DRAINING, Ordering::Relaxed);
    }

    /// Another configuration is in force.
    pub(crate) fn reloaded(&self, revision: String) {
        *self.configuration() = Configuration { revision, refused: Vec::new() };
        self.certificates(Vec::new());
    }

    /// A configuration was refused, for these reasons.
    pub(crate) fn refused(&self, problems: Vec<String>) {
        self.configuration().refused = problems;
    }

    fn configuration(&self) -> MutexGuard<'_, Configuration> {
        self.configuration.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what is wrong with certificate files after they were read again; nothing when all are good.
    pub(crate) fn certificates(&self, problems: Vec<String>) {
        *self.certificates.lock().unwrap_or_else(PoisonError::into_inner) = problems;
    }

    fn readiness(&self) -> (StatusCode, &'static str) {
        match self.phase.load(Ordering::Relaxed) {
            // It would refuse every request; another instance may have a better disk.
            SERVING if self.audit.check().is_err() => (StatusCode::SERVICE_UNAVAILABLE, "audit log unavailable"),
            SERVING => (StatusCode::OK, "ready"),
            DRAINING => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
            _ => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
        }
    }
}

/// The address of our end of a connection: the one name besides loopback that the listener answers to.
#[derive(Clone, Copy, Debug)]
struct Own(Option<IpAddr>);

impl Connected<IncomingStream<'_, TcpListener>> for Own {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        Self(stream.io().local_addr().ok().map(|address| address.ip().to_canonical()))
    }
}

/// Serves until `stopped` turns true.
pub(crate) async fn serve(listener: TcpListener, state: Arc<State>, mut stopped: watch::Receiver<bool>) {
    let service = router(state).into_make_service_with_connect_info::<Own>();
    let stop = async move {
        // The sender gone means the same.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    if let Err(error) = axum::serve(listener, service).with_graceful_shutdown(stop).await {
        tracing::error!(error = %error, "the admin listener failed");
    }
}

fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/reload", post(reload))
        .layer(middleware::from_fn(refuse_other_pages))
        .layer(middleware::from_fn(refuse_foreign_hosts))
        .with_state(state)
}

/// Refuses names: a page in an operator's browser can have its own name point here (DNS rebinding, S-81), but cannot
/// make the browser send an address that is ours.
async fn refuse_foreign_hosts(ConnectInfo(own): ConnectInfo<Own>, request: Request, next: Next) -> Response {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok()).filter(|_| hosts.next().is_none());
    if host.is_some_and(|host| is_own(host, own)) {
        return next.run(request).await;
    }
    let message = "refused: reach the admin listener by its address or as localhost\n";
    (StatusCode::MISDIRECTED_REQUEST, message).into_response()
}

fn is_own(host: &str, Own(own): Own) -> bool {
    let Ok(authority) = host.parse::<axum::http::uri::Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    match name.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback() || Some(address.to_canonical()) == own,
        Err(_) => name.eq_ignore_ascii_case("localhost"),
    }
}

async fn readyz(Extract(state): Extract<Arc<State>>, RawQuery(query): RawQuery) -> Response {
    let (status, phase) = state.readiness();
    let verbose =
        query.is_some_and(|query| query.split('&').any(|part| part == "verbose" || part.starts_with("verbose=")));
    if !verbose {
        return (status, format!("{phase}\n")).into_response();
    }
    let certificates = state.certificates.lock().unwrap_or_else(PoisonError::into_inner).join("\n  ");
    let certificates = if certificates.is_empty() {
        "certificates: good".to_owned()
    } else {
        format!("certificates: the last good ones serve, because:\n  {certificates}")
    };
    let tables = state.tables.problems().join("\n  ");
    let tables = if tables.is_empty() { "tables: good".to_owned() } else { format!("tables:\n  {tables}") };
    let audit = match state.audit.check() {
        Ok(()) => "audit log: good".to_owned(),
        Err(error) => {
            let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
            format!("audit log: requests are refused, because: {error}{source}")
        }
    };
    let configuration = {
        let Configuration { revision, refused } = &*state.configuration();
        if refused.is_empty() {
            format!("revision: {revision}\nconfiguration: good")
        } else {
            let problems = refused.join("\n  ");
            format!("revision: {revision}\nconfiguration: the last good one serves, because:\n  {problems}")
        }
    };
    (status, format!("{phase}\n{configuration}\n{certificates}\n{tables}\n{audit}\n")).into_response()
}

async fn metrics(Extract(state): Extract<Arc<State>>) -> Response {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &state.registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Reads the configuration again, and answers once it is in force or refused.
async fn reload(Extract(state): Extract<Arc<State>>) -> Response {
    let (asked, reloaded) = oneshot::channel();
    let draining =
        || refusal(StatusCode::SERVICE_UNAVAILABLE, "draining", "the process ends: nothing is reloaded", &[]);
    if state.reloads.send(asked).await.is_err() {
        return draining();
    }
    match reloaded.await {
        Ok(Ok(revision)) => Json(json!({ "revision": revision })).into_response(),
        Ok(Err(problems)) => {
            let message = "the configuration cannot be used; the last good one serves";
            refusal(StatusCode::UNPROCESSABLE_ENTITY, "configuration_refused", message, &problems)
        }
        Err(_) => draining(),
    }
}

/// Refuses to change anything for a web page in an operator's browser. Such a page can send requests here, but none with
/// this content type unless it is allowed to first (a CORS preflight), and no preflight is answered.
async fn refuse_other_pages(request: Request, next: Next) -> Response {
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let content = request.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let is_json =
        content.is_some_and(|content| content.split(|byte| *byte == b';').next() == Some(b"application/json"));
    if changes && !is_json {
        let message = "send `Content-Type: application/json`, which no web page of another origin can";
        return refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type_required", message, &[]);
    }
    next.run(request).await
}

fn refusal(status: StatusCode, error: &str, message: &str, problems: &[String]) -> Response {
    (status, Json(json!({ "error": error, "message": message, "problems": problems }))).into_response()
}

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[cfg(test)]
mod tests;
