//! Opens TCP connections to an endpoint that is known by its address or its name.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Weak;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::names::Names;
use super::shared::Retire;
use super::{FailureKind, UpstreamFailure};
use crate::config::upstream::Dns;

/// How an endpoint is reached over TCP.
#[derive(Debug)]
pub(crate) struct Dial {
    place: Place,
    /// Bounds one connection, from the look-up of the name to whatever comes after TCP.
    limit: Duration,
    turn: AtomicUsize,
}

#[derive(Debug)]
enum Place {
    Address(SocketAddr),
    Name(Names),
}

impl Dial {
    pub(super) fn new(
        host: &str,
        port: u16,
        dns: &Dns,
        limit: Duration,
        dns_failures: impl FnOnce() -> Counter,
    ) -> Self {
        let place = match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            Ok(ip) => Place::Address(SocketAddr::new(ip, port)),
            Err(_) => Place::Name(Names::new(host, port, dns.clone(), dns_failures())),
        };
        Self { place, limit, turn: AtomicUsize::new(0) }
    }

    /// Begins to look the name up, if there is one.
    pub(crate) fn watch(&self) {
        if let Place::Name(names) = &self.place {
            names.watch();
        }
    }

    /// Stops using connections of `pool` for new requests when an address of the name is gone.
    pub(super) fn retire_in(&self, pool: Weak<dyn Retire>) {
        if let Place::Name(names) = &self.place {
            names.retire_in(pool);
        }
    }

    /// Opens a connection to one of the addresses, trying each, and makes of it what is needed.
    ///
    /// # Errors
    /// What was wrong with the last address, or the name has none.
    pub(crate) async fn open<T, F: Future<Output = Result<T, UpstreamFailure>>>(
        &self,
        then: impl Fn(TcpStream) -> F,
    ) -> Result<T, UpstreamFailure> {
        let late = |_| too_slow("connection", self.limit);
        let then = &then;
        self.each(late, |address| async move { then(tcp(address).await?).await }).await
    }

    /// Connects to one of the addresses, trying each; `late` says what it means that one took too long.
    ///
    /// # Errors
    /// What was wrong with the last address, or the name has none.
    pub(super) async fn each<T, F: Future<Output = Result<T, UpstreamFailure>>>(
        &self,
        late: impl Fn(SocketAddr) -> UpstreamFailure,
        connect: impl Fn(SocketAddr) -> F,
    ) -> Result<T, UpstreamFailure> {
        let deadline = Instant::now() + self.limit;
        let addresses = match timeout_at(deadline, self.addresses()).await {
            Ok(addresses) => addresses?,
            Err(_) => return Err(too_slow("look-up of the name", self.limit)),
        };
        let mut failure = UpstreamFailure::new(FailureKind::Connect, "the name has no address");
        let mut left = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        for address in addresses {
            // A silent address leaves the later ones their share of the time.
            let share = Instant::now() + deadline.saturating_duration_since(Instant::now()) / left.max(1);
            left = left.saturating_sub(1);
            match timeout_at(share, connect(address)).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => failure = error,
                Err(_) => failure = late(address),
            }
        }
        Err(failure)
    }

    async fn addresses(&self) -> Result<Vec<SocketAddr>, UpstreamFailure> {
        let mut found = match &self.place {
            Place::Address(address) => return Ok(vec![*address]),
            Place::Name(names) => names.addresses().await?.to_vec(),
        };
        if found.len() > 1 {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % found.len();
            found.rotate_left(turn);
        }
        Ok(found)
    }
}

async fn tcp(address: SocketAddr) -> Result<TcpStream, UpstreamFailure> {
    let refused = |error: io::Error| cannot_connect(&address, &error);
    let tcp = TcpStream::connect(address).await.map_err(refused)?;
    tcp.set_nodelay(true).map_err(refused)?;
    // Finds peers that died in silence, also where no request waits for them.
    SockRef::from(&tcp)
        .set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 4))
        .map_err(refused)?;
    Ok(tcp)
}

pub(super) fn cannot_connect(to: &impl fmt::Display, error: &io::Error) -> UpstreamFailure {
    UpstreamFailure::new(FailureKind::Connect, format!("cannot connect to `{to}`: {error}"))
}

pub(super) fn too_slow(what: &str, limit: Duration) -> UpstreamFailure {
    UpstreamFailure::new(FailureKind::Timeout, format!("{what}: not done within {limit:?}"))
}

/// How long a connection is silent before the system asks whether the peer still lives.
const KEEPALIVE: Duration = Duration::from_secs(60);
