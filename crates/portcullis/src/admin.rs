//! The listener for operators: health, readiness and metrics. It has no sign-in and decides nothing.

use std::error::Error as _;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use audit::Log;
use axum::Router;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{RawQuery, Request, State as Extract};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::IncomingStream;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// What the admin listener tells.
#[derive(Debug)]
pub(crate) struct State {
    registry: Registry,
    revision: String,
    audit: Log,
    phase: AtomicU8,
    /// What is wrong with which certificate file; the last good one serves.
    certificates: Mutex<Vec<String>>,
}

const STARTING: u8 = 0;
const SERVING: u8 = 1;
const DRAINING: u8 = 2;

impl State {
    pub(crate) const fn new(registry: Registry, revision: String, audit: Log) -> Self {
        Self { registry, revision, audit, phase: AtomicU8::new(STARTING), certificates: Mutex::new(Vec::new()) }
    }

    pub(crate) fn serving(&self) {
        self.phase.store(SERVING, Ordering::Relaxed);
    }

    pub(crate) fn draining(&self) {
        self.phase.store(DRAINING, Ordering::Relaxed);
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
    let audit = match state.audit.check() {
        Ok(()) => "audit log: good".to_owned(),
        Err(error) => {
            let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
            format!("audit log: requests are refused, because: {error}{source}")
        }
    };
    (status, format!("{phase}\nrevision: {}\n{certificates}\n{audit}\n", state.revision)).into_response()
}

async fn metrics(Extract(state): Extract<Arc<State>>) -> Response {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &state.registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[cfg(test)]
mod tests;
