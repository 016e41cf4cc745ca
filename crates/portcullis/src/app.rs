//! Opens what a configuration needs, in the order in which it can fail without harm.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use audit::AuditError;
use authenticate::{AuthenticateError, StoreError};
use identity::SystemClock;
use prometheus_client::registry::Registry;
use proxy::{BuildError, Metrics, ServeError, Server};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::admin::{InForce, State};
use crate::assembly::Assembly;
use crate::audit_metrics;
use crate::config::{Config, Watched};
use crate::refreshes::RefreshMetrics;
use crate::reload::{Hangups, ReloadMetrics, Request};
use crate::span_metrics;
use crate::tables::{TableMetrics, Tables};

/// Everything opened and bound; nothing is accepted yet.
#[derive(Debug)]
pub struct App {
    pub(crate) server: Arc<Server>,
    pub(crate) assembly: Assembly,
    pub(crate) admin: TcpListener,
    pub(crate) state: Arc<State>,
    pub(crate) reload_metrics: ReloadMetrics,
    pub(crate) reload_requests: mpsc::Receiver<Request>,
    pub(crate) watched: Watched,
    pub(crate) hangups: Hangups,
    pub(crate) drain_timeout: Duration,
    pub(crate) bound: Bound,
}

/// Where to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Name and address of each listener, in the order of the configuration.
    pub listeners: Vec<(String, SocketAddr)>,
    /// The admin listener.
    pub admin: SocketAddr,
    /// The configuration that serves.
    pub revision: String,
}

/// Why a checked configuration cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The session store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Keys or providers cannot be used.
    #[error(transparent)]
    Authenticate(#[from] AuthenticateError),
    /// The audit log cannot be written.
    #[error("{0}; make the folder writable, or set `audit.dir`")]
    Audit(#[from] AuditError),
    /// Records cannot be sent to their receivers.
    #[error("audit records cannot be sent: {0}; see to the files of `audit.dir` whose names begin with `.audit-`")]
    Shipping(io::Error),
    /// No thread can be had that sends traces.
    #[error("requests cannot be traced: {0}; raise the limit of threads, or remove `telemetry.traces`")]
    Tracing(io::Error),
    /// Routes or upstreams cannot be used.
    #[error("{}", lines(.0))]
    Routes(Vec<BuildError>),
    /// Listeners cannot be bound.
    #[error("{}", lines(.0))]
    Listeners(Vec<ServeError>),
    /// It is set for the life of the process.
    #[error("`{0}` cannot change while the process runs: restart it, or write what was there")]
    NeedsRestart(&'static str),
    /// The process ends.
    #[error("the configuration was not made: the process ends")]
    Stopped,
    /// The admin listener cannot be bound.
    #[error("the admin listener cannot bind `{address}`: {source}; stop what uses it, or set `admin.address`")]
    Admin {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

impl App {
    /// Opens and binds.
    ///
    /// `handed_over` are sockets that are listened on already.
    ///
    /// # Errors
    /// The first thing that cannot be opened. Nothing was accepted before.
    pub async fn build(config: Config, handed_over: Vec<std::net::TcpListener>) -> Result<Self, StartError> {
        // Two providers of cryptography in one process would let a dependency choose the weaker; the first one wins, and
        // an embedding program may have installed it already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut registry = Registry::default();
        let metrics = Arc::new(Metrics::register(&mut registry));
        let tables = Arc::new(Tables::new(TableMetrics::register(&mut registry)));
        tables.ready(&config.tables).await;
        tables.follow(config.tables.clone());
        let (admin_address, drain_timeout, watched) =
            (config.admin.address, config.drain_timeout, config.warnings.watched().clone());
        let in_force = InForce::of(&config);
        let sinks = config.sinks.clone();
        let refreshes = RefreshMetrics::register(&mut registry);
        let (assembly, snapshot) =
            Assembly::start(config, metrics, refreshes, Arc::clone(&tables), Arc::new(SystemClock))?;

        // Ports last: whoever can connect is served.
        let server = Server::bind(snapshot, handed_over).map_err(StartError::Listeners)?;
        let unbound = |source| StartError::Admin { address: admin_address, source };
        let admin = TcpListener::bind(admin_address).await.map_err(unbound)?;
        let revision = server.snapshot().revision().to_owned();
        let bound = Bound {
            listeners: server.addresses(),
            admin: admin.local_addr().map_err(unbound)?,
            revision: revision.clone(),
        };
        let (reloads, reload_requests) = mpsc::channel(1);
        let shippers = assembly.shippers();
        shippers.follow(shippers.prepare(sinks).map_err(StartError::Shipping)?);
        span_metrics::register(&mut registry, Arc::clone(assembly.spans()));
        audit_metrics::register(&mut registry, assembly.audit().clone(), Arc::clone(shippers));
        let reload_metrics = ReloadMetrics::register(&mut registry, &revision);
        let server = Arc::new(server);
        server.register(&mut registry);
        let state = Arc::new(State::new(registry, in_force, assembly.audit().clone(), tables, reloads));
        Ok(Self {
            server,
            assembly,
            admin,
            state,
            reload_metrics,
            reload_requests,
            watched,
            // Before anybody is told that it serves, and may ask for a reload.
            hangups: Hangups::new(),
            drain_timeout,
            bound,
        })
    }
}

fn lines<E: std::fmt::Display>(errors: &[E]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
