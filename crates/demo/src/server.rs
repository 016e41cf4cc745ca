//! HTTP/1.1 servers on loopback, with or without TLS, that end every task they started.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// A server on a loopback port of its own.
pub struct Server {
    address: SocketAddr,
    tasks: Tasks,
}

/// The tasks of a server and the word to end them.
#[derive(Clone, Default)]
pub(crate) struct Tasks {
    pub(crate) stop: CancellationToken,
    pub(crate) tracker: TaskTracker,
}

impl Server {
    /// Returns where the server listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, ends what is open and waits for it.
    pub async fn shutdown(&self) {
        self.tasks.shutdown().await;
    }

    pub(crate) fn http(
        listener: TcpListener,
        tls: Option<Arc<ServerConfig>>,
        router: Router,
        tasks: Tasks,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        tasks.tracker.spawn(accept(listener, tls.map(TlsAcceptor::from), router, tasks.clone()));
        Ok(Self { address, tasks })
    }

    pub(crate) const fn of(address: SocketAddr, tasks: Tasks) -> Self {
        Self { address, tasks }
    }
}

impl Tasks {
    async fn shutdown(&self) {
        self.stop.cancel();
        self.tracker.close();
        // What has not ended by then is cut when the process ends.
        let _ = tokio::time::timeout(PATIENCE, self.tracker.wait()).await;
    }
}

/// Binds a free port of the loopback interface.
pub(crate) async fn bind() -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, router: Router, tasks: Tasks) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = tasks.stop.cancelled() => return,
        };
        match accepted {
            Ok((socket, _)) => {
                tasks.tracker.spawn(connection(socket, tls.clone(), router.clone(), tasks.stop.clone()));
            }
            // Out of file descriptors, most likely: trying again at once would only burn time.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn connection(socket: TcpStream, tls: Option<TlsAcceptor>, router: Router, stop: CancellationToken) {
    let Some(acceptor) = tls else { return requests(socket, router, stop).await };
    if let Ok(Ok(stream)) = tokio::time::timeout(PATIENCE, acceptor.accept(socket)).await {
        requests(stream, router, stop).await;
    }
}

async fn requests<I>(io: I, router: Router, stop: CancellationToken)
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = TowerToHyperService::new(router);
    let connection = http1::Builder::new().serve_connection(TokioIo::new(io), service).with_upgrades();
    tokio::pin!(connection);
    // How a connection ended is the business of whoever opened it.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

/// How long a handshake, or the end of what is open, may take.
const PATIENCE: Duration = Duration::from_secs(2);
