//! The listener for operators: health, metrics, what is in force, reload, sessions.

mod exposition;
mod guard;
mod log_level;
mod sessions;
mod sign_in_metrics;
mod socket;
mod status;
mod views;

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use audit::{Event, Log};
use axum::extract::State as Extract;
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post};
use axum::{Extension, Json, Router};
use identity::Secret;
use prometheus_client::registry::Registry;
use proxy::Server;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};

use self::guard::{Ends, Operator};
pub(crate) use self::sessions::user;
use self::sign_in_metrics::SessionCount;
use self::socket::Socket;
use crate::config::Config;
use crate::reload;
use crate::tables::Tables;

/// What the admin listener tells.
#[derive(Debug)]
pub(crate) struct State {
    registry: Registry,
    audit: Log,
    phase: AtomicU8,
    in_force: Mutex<InForce>,
    /// Why another configuration was not taken.
    refused: Mutex<Vec<String>>,
    reloads: mpsc::Sender<reload::Request>,
    /// What is wrong with which certificate file; the last good one serves.
    certificates: Mutex<Vec<String>>,
    tables: Arc<Tables>,
    sessions: SessionCount,
}

/// What operators are told of the configuration in force, and what they have to show.
#[derive(Clone, Debug)]
pub(crate) struct InForce {
    pub(crate) revision: String,
    pub(crate) shown: Value,
    pub(crate) token: Option<Secret>,
}

impl InForce {
    pub(crate) fn of(config: &Config) -> Self {
        let (revision, shown) = (config.proxy.revision.clone(), config.shown.clone());
        Self { revision, shown, token: config.admin.token.clone() }
    }
}

/// What the handlers share.
#[derive(Clone, Debug)]
struct Console {
    state: Arc<State>,
    server: Arc<Server>,
}

const STARTING: u8 = 0;
const SERVING: u8 = 1;
const DRAINING: u8 = 2;

impl State {
    pub(crate) fn new(
        registry: Registry,
        in_force: InForce,
        audit: Log,
        tables: Arc<Tables>,
        reloads: mpsc::Sender<reload::Request>,
    ) -> Self {
        Self {
            registry,
            audit,
            phase: AtomicU8::new(STARTING),
            in_force: Mutex::new(in_force),
            refused: Mutex::new(Vec::new()),
            reloads,
            certificates: Mutex::new(Vec::new()),
            tables,
            sessions: SessionCount::default(),
        }
    }

    pub(crate) fn serving(&self) {
        self.phase.store(SERVING, Ordering::Relaxed);
    }

    pub(crate) fn draining(&self) {
        self.phase.store(DRAINING, Ordering::Relaxed);
    }

    /// Another configuration is in force.
    pub(crate) fn reloaded(&self, in_force: InForce) {
        *lock(&self.in_force) = in_force;
        self.refused(Vec::new());
        self.certificates(Vec::new());
    }

    /// A configuration was refused, for these reasons.
    pub(crate) fn refused(&self, problems: Vec<String>) {
        *lock(&self.refused) = problems;
    }

    /// Takes over what is wrong with certificate files after they were read again; nothing when all are good.
    pub(crate) fn certificates(&self, problems: Vec<String>) {
        *lock(&self.certificates) = problems;
    }

    fn in_force(&self) -> InForce {
        lock(&self.in_force).clone()
    }

    /// Records what an operator is about to do. Where it cannot be recorded, it must not be done.
    fn note(&self, event: &Event<'_>) -> Result<(), Box<Response>> {
        let unavailable = |error: audit::AuditError| {
            refusal(StatusCode::SERVICE_UNAVAILABLE, "audit_unavailable", &error.to_string(), &[])
        };
        let revision = lock(&self.in_force).revision.clone();
        let event = Event { revision: Some(revision.into()), ..event.clone() };
        self.audit.note(&event).map_err(unavailable).map_err(Box::new)
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

/// Serves until `stopped` turns true.
pub(crate) async fn serve(
    listener: TcpListener,
    state: Arc<State>,
    server: Arc<Server>,
    mut stopped: watch::Receiver<bool>,
) {
    let listener = Socket::new(listener, Arc::clone(&server));
    let service = router(Console { state, server }).into_make_service_with_connect_info::<Ends>();
    let stop = async move {
        // The sender gone means the same.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    if let Err(error) = axum::serve(listener, service).with_graceful_shutdown(stop).await {
        tracing::error!(error = %error, "the admin listener failed");
    }
}

fn router(console: Console) -> Router {
    Router::new()
        .route("/metrics", get(status::metrics))
        .route("/config", get(views::config))
        .route("/routes", get(views::routes))
        .route("/upstreams", get(views::upstreams))
        .route("/sessions", guarded(get(sessions::list).delete(sessions::revoke_all_of_user)))
        .route("/sessions/{id}", guarded(delete(sessions::revoke)))
        .route("/reload", guarded(post(reload)))
        .route("/log_level", guarded(get(log_level::show).put(log_level::change)))
        .route("/openapi.json", get(openapi))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(status::readyz))
        .fallback(async || refusal(StatusCode::NOT_FOUND, "not_found", "there is no such path; see /openapi.json", &[]))
        .method_not_allowed_fallback(async || {
            let message = "the path takes another method; see /openapi.json";
            refusal(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message, &[])
        })
        .layer(middleware::from_fn_with_state(console.clone(), guard::admit))
        .with_state(console)
}

/// Keeps what changes something from web pages. A method that a path does not take is refused as such.
fn guarded(methods: MethodRouter<Console>) -> MethodRouter<Console> {
    methods.route_layer(middleware::from_fn(guard::refuse_other_pages))
}

/// Reads the configuration again, and answers once it is in force or refused.
async fn reload(
    Extract(Console { state, .. }): Extract<Console>,
    Extension(operator): Extension<Operator>,
) -> Response {
    let (asked, reloaded) = oneshot::channel();
    let draining =
        || refusal(StatusCode::SERVICE_UNAVAILABLE, "draining", "the process ends: nothing is reloaded", &[]);
    let request = reload::Request { actor: operator.to_string(), reply: asked };
    if state.reloads.send(request).await.is_err() {
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

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], include_str!("admin/openapi.json")).into_response()
}

fn refusal(status: StatusCode, error: &str, message: &str, problems: &[String]) -> Response {
    (status, Json(json!({ "error": error, "message": message, "problems": problems }))).into_response()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
