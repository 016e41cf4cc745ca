//! Accepts connections: one task each, a permit before each accept.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::client_address::TrustedProxies;
use crate::connection::{self, Entrance, Place};
use crate::tls::Terminator;
use crate::{Listener, Metrics, ServeError, Snapshot};

/// Bound listeners, not yet serving.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<Bound>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Bound {
    address: SocketAddr,
    entrance: Arc<Entrance>,
    // Taken when serving starts: a second handle would keep the port open after accepting has stopped.
    socket: Mutex<Option<std::net::TcpListener>>,
}

impl Server {
    /// Loads certificates and binds every listener, or none.
    ///
    /// # Errors
    /// An address cannot be bound, or a certificate cannot be used.
    pub fn bind(listeners: Vec<Listener>, metrics: &Arc<Metrics>) -> Result<Self, Vec<ServeError>> {
        let mut bound = Vec::new();
        let mut errors = Vec::new();
        for listener in listeners {
            match Bound::new(listener, metrics) {
                Ok(listener) => bound.push(listener),
                Err(mut of_listener) => errors.append(&mut of_listener),
            }
        }
        if errors.is_empty() { Ok(Self { listeners: bound, metrics: Arc::clone(metrics) }) } else { Err(errors) }
    }

    /// Returns the bound addresses, in the order of the configuration.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(|listener| listener.address).collect()
    }

    /// Reads all certificate, key and authority files again, those of the listeners and those of the routes of
    /// `snapshot`; a file that is bad keeps the last good one in service.
    ///
    /// # Errors
    /// What is wrong with which file; the good ones were swapped all the same.
    pub fn reload_certificates(&self, snapshot: &Snapshot) -> Result<(), Vec<ServeError>> {
        let mut errors: Vec<_> = snapshot.reload_certificates().collect();
        for Bound { entrance, .. } in &self.listeners {
            let Some(tls) = &entrance.tls else { continue };
            if let Err(bad) = tls.reload() {
                errors.extend(of_listener(&entrance.config.name, bad));
            }
        }
        self.metrics.certificates_reloaded(errors.is_empty());
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// Serves until `shutdown` ends; then stops accepting, lets requests end for at most `drain`, and closes the rest.
    /// Dropping the future closes all at once.
    pub async fn serve(
        self: Arc<Self>,
        snapshot: Arc<ArcSwap<Snapshot>>,
        shutdown: impl Future<Output = ()> + Send,
        drain: Duration,
    ) {
        let serving = Serving {
            snapshot,
            connections: TaskTracker::new(),
            tunnels: TaskTracker::new(),
            stop: CancellationToken::new(),
            close: CancellationToken::new(),
        };
        // The tasks are not ours to drop: without these they would serve on after the future is gone.
        let _guards = (serving.stop.clone().drop_guard(), serving.close.clone().drop_guard());
        let accepting = TaskTracker::new();
        for listener in &self.listeners {
            let socket = listener.socket.lock().unwrap_or_else(PoisonError::into_inner).take();
            match socket.map(TcpListener::from_std) {
                Some(Ok(socket)) => {
                    accepting.spawn(accept(socket, Arc::clone(&listener.entrance), serving.clone()));
                }
                Some(Err(error)) => {
                    tracing::error!(listener.name = listener.entrance.config.name, %error, "cannot accept")
                }
                None => {}
            }
        }
        accepting.close();
        shutdown.await;
        serving.stop.cancel();
        accepting.wait().await;
        serving.drain(drain).await;
    }
}

impl Bound {
    fn new(config: Listener, metrics: &Arc<Metrics>) -> Result<Self, Vec<ServeError>> {
        let tls = config.tls.as_ref().map(|tls| Terminator::build(&config.name, tls, metrics)).transpose();
        let tls = tls.map_err(|errors| of_listener(&config.name, errors).collect::<Vec<_>>())?;
        let bind = |source| vec![ServeError::Bind { listener: config.name.clone(), address: config.address, source }];
        let socket = bind_socket(config.address).map_err(bind)?;
        let address = socket.local_addr().map_err(bind)?;
        let trusted_proxies = TrustedProxies::new(&config.trusted_proxies);
        let metrics = metrics.listener(&config.name);
        let entrance = Arc::new(Entrance { config, tls, trusted_proxies, metrics });
        Ok(Self { address, entrance, socket: Mutex::new(Some(socket)) })
    }
}

/// What all connections share while the server runs.
#[derive(Clone, Debug)]
pub(crate) struct Serving {
    /// The configuration in force.
    pub(crate) snapshot: Arc<ArcSwap<Snapshot>>,
    /// The tasks of connections.
    pub(crate) connections: TaskTracker,
    /// The tasks of upgraded connections, which outlive their connection's task.
    pub(crate) tunnels: TaskTracker,
    /// Accept nothing more, let requests end.
    pub(crate) stop: CancellationToken,
    /// Close what is still open.
    pub(crate) close: CancellationToken,
}

impl Serving {
    async fn drain(self, limit: Duration) {
        self.connections.close();
        self.tunnels.close();
        let ended = async {
            self.connections.wait().await;
            self.tunnels.wait().await;
        };
        if tokio::time::timeout(limit, ended).await.is_err() {
            let open = self.connections.len() + self.tunnels.len();
            tracing::warn!(open, "closing what did not end within the drain timeout");
            self.close.cancel();
            self.connections.wait().await;
            self.tunnels.wait().await;
        }
    }
}

async fn accept(socket: TcpListener, entrance: Arc<Entrance>, serving: Serving) {
    let limit = Arc::new(Semaphore::new(entrance.config.limits.max_connections.min(Semaphore::MAX_PERMITS)));
    let accepting = async {
        loop {
            // The permit comes first: past the limit clients wait in the kernel's queue and cost us nothing.
            let Ok(permit) = Arc::clone(&limit).acquire_owned().await else { return };
            let (stream, peer) = accept_one(&socket, &entrance.config.name).await;
            let place = Place { _permit: permit, _open: entrance.metrics.open() };
            serving.connections.spawn(connection::serve(stream, peer, place, Arc::clone(&entrance), serving.clone()));
        }
    };
    serving.stop.run_until_cancelled(accepting).await;
}

/// Accepts one connection, whatever it takes: an error must never end the loop.
async fn accept_one(socket: &TcpListener, listener: &str) -> (tokio::net::TcpStream, SocketAddr) {
    loop {
        match socket.accept().await {
            Ok(accepted) => return accepted,
            // The client left between the handshake of TCP and our accept: its problem alone.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {
            }
            // EMFILE, ENFILE, ENOMEM: they stay until something is closed, so trying at once would spin.
            Err(error) => {
                tracing::warn!(listener.name = listener, %error, "cannot accept connections, trying again");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

fn bind_socket(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // `[::]` takes IPv4 as well, whatever the system's default is.
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn of_listener(name: &str, errors: Vec<crate::BuildError>) -> impl Iterator<Item = ServeError> {
    errors.into_iter().map(move |source| ServeError::Tls { listener: name.to_owned(), source })
}

const BACKLOG: i32 = 1024;
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
