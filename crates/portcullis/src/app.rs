//! Opens what a configuration needs, in the order in which it can fail without harm.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use audit::{AuditError, Log};
use authenticate::{AuthenticateError, Authenticator, Keys, Store, StoreError};
use identity::{Clock, SystemClock};
use prometheus_client::registry::Registry;
use proxy::{BuildError, Metrics, ServeError, Server, Snapshot};
use tokio::net::TcpListener;

use crate::admin::State;
use crate::config::Config;

/// Everything opened and bound; nothing is accepted yet.
#[derive(Debug)]
pub struct App {
    pub(crate) server: Arc<Server>,
    pub(crate) snapshot: Arc<ArcSwap<Snapshot>>,
    pub(crate) audit: Log,
    pub(crate) admin: TcpListener,
    pub(crate) state: Arc<State>,
    pub(crate) certificate_files: Vec<PathBuf>,
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
    /// Routes or upstreams cannot be used.
    #[error("{}", lines(.0))]
    Routes(Vec<BuildError>),
    /// Listeners cannot be bound.
    #[error("{}", lines(.0))]
    Listeners(Vec<ServeError>),
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
    /// # Errors
    /// The first thing that cannot be opened. Nothing was accepted before.
    pub async fn build(config: Config) -> Result<Self, StartError> {
        // Two providers of cryptography in one process would let a dependency choose the weaker; the first one wins, and
        // an embedding program may have installed it already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let mut registry = Registry::default();
        let metrics = Arc::new(Metrics::register(&mut registry));

        // The store before the keys, which it may keep; both before the log, so that a start that fails for lack of
        // them leaves no empty segment behind.
        let authenticator = match config.sign_in {
            Some(sign_in) => {
                let store = Arc::new(Store::open(&sign_in.store)?);
                let keys = Arc::new(Keys::load(&sign_in.keys, &store)?);
                Some(Arc::new(Authenticator::new(sign_in.config, store, keys, Arc::clone(&clock))?))
            }
            None => None,
        };

        let certificate_files = certificate_files(&config.listeners, &config.proxy.routes);

        // The log before the routes: a proxy that cannot record may not decide.
        let audit = Log::open(&config.audit)?;
        let revision = config.proxy.revision.clone();
        let snapshot = Snapshot::build(
            config.proxy,
            config.authorizer,
            authenticator,
            audit.clone(),
            &metrics,
            config.look,
            clock,
        )
        .map_err(StartError::Routes)?;

        // Ports last: whoever can connect is served.
        let names: Vec<_> = config.listeners.iter().map(|listener| listener.name.clone()).collect();
        let server = Server::bind(config.listeners, &metrics).map_err(StartError::Listeners)?;
        let unbound = |source| StartError::Admin { address: config.admin, source };
        let admin = TcpListener::bind(config.admin).await.map_err(unbound)?;
        let bound = Bound {
            listeners: names.into_iter().zip(server.addresses()).collect(),
            admin: admin.local_addr().map_err(unbound)?,
            revision: revision.clone(),
        };
        let state = Arc::new(State::new(registry, revision, audit.clone()));
        Ok(Self {
            server: Arc::new(server),
            snapshot: Arc::new(ArcSwap::from_pointee(snapshot)),
            audit,
            admin,
            state,
            certificate_files,
            drain_timeout: config.drain_timeout,
            bound,
        })
    }
}

/// All files that may be renewed while the process runs.
fn certificate_files(listeners: &[proxy::Listener], routes: &[proxy::Route]) -> Vec<PathBuf> {
    let tls = || listeners.iter().filter_map(|listener| listener.tls.as_ref());
    let of_listeners = tls().flat_map(|tls| &tls.certificates);
    let of_clients = tls()
        .filter_map(|tls| tls.client_auth.as_ref())
        .flat_map(|auth| std::iter::once(&auth.ca_file).chain(&auth.crl_file).cloned());
    let of_routes = routes.iter().filter_map(|route| route.upstream_tls.client_certificate.as_ref());
    let pairs = of_listeners.chain(of_routes).flat_map(|pair| [pair.cert_file.clone(), pair.key_file.clone()]);
    let of_upstreams = routes.iter().filter_map(|route| route.upstream_tls.ca_file.clone());
    pairs.chain(of_clients).chain(of_upstreams).collect()
}

fn lines<E: std::fmt::Display>(errors: &[E]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
