//! Accepts operators, over TLS where the configuration in force says so.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use proxy::{OperatorTls, Server};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::guard::Ends;

/// The socket of the admin listener. One who shakes hands slowly holds up nobody else.
#[derive(Debug)]
pub(super) struct Socket {
    listener: TcpListener,
    server: Arc<Server>,
    handshakes: JoinSet<io::Result<(Stream, Ends)>>,
}

/// A connection.
pub(super) type Stream = Box<dyn Duplex>;

/// Both directions of a connection.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

impl Socket {
    pub(super) fn new(listener: TcpListener, server: Arc<Server>) -> Self {
        Self { listener, server, handshakes: JoinSet::new() }
    }
}

impl Listener for Socket {
    type Io = Stream;
    type Addr = Ends;

    async fn accept(&mut self) -> (Stream, Ends) {
        loop {
            tokio::select! {
                (stream, peer) = Listener::accept(&mut self.listener), if self.handshakes.len() < MAX_HANDSHAKES => {
                    let ends = Ends::new(stream.local_addr().ok(), peer);
                    match self.server.snapshot().entrances().operators() {
                        None => return (Box::new(stream), ends),
                        Some(tls) => drop(self.handshakes.spawn(shake_hands(Arc::clone(tls), stream, ends))),
                    }
                }
                Some(shaken) = self.handshakes.join_next() => match shaken {
                    Ok(Ok(connection)) => return connection,
                    Ok(Err(error)) => tracing::debug!(%error, "an operator's TLS handshake failed"),
                    Err(error) => tracing::error!(%error, "an operator's TLS handshake failed"),
                },
            }
        }
    }

    fn local_addr(&self) -> io::Result<Ends> {
        self.listener.local_addr().map(|own| Ends::new(Some(own), own))
    }
}

async fn shake_hands(tls: Arc<OperatorTls>, stream: TcpStream, ends: Ends) -> io::Result<(Stream, Ends)> {
    let shaken = timeout(HANDSHAKE, tls.accept(stream)).await;
    let (stream, certificate) = shaken.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut)))?;
    Ok((Box::new(stream), ends.over_tls(certificate)))
}

/// Further clients wait in the queue of the system.
const MAX_HANDSHAKES: usize = 64;
const HANDSHAKE: Duration = Duration::from_secs(10);
