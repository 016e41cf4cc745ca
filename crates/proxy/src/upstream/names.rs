//! The addresses behind an endpoint's name: looked up in the background, again when their TTL has passed, and kept while
//! the resolver fails. No request waits for a resolver but the first.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use hickory_resolver::Resolver;
use hickory_resolver::config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use super::failure::{FailureKind, UpstreamFailure};
use super::shared::Retire;
use crate::config::upstream::{Dns, DnsMode};

/// A name and what is known of it.
#[derive(Debug)]
pub(super) struct Names {
    shared: Arc<Shared>,
    task: OnceLock<Watching>,
}

#[derive(Debug)]
struct Shared {
    name: Box<str>,
    port: u16,
    dns: Dns,
    known: watch::Sender<Known>,
    failures: Counter,
    /// Whose connections are no longer used where their address may be gone.
    pool: OnceLock<Weak<dyn Retire>>,
}

/// What is known of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Known {
    /// It was not looked up yet.
    Nothing,
    /// It never had an address.
    Failure(Arc<str>),
    /// Its addresses, in order.
    Addresses(Arc<[SocketAddr]>),
}

/// The task that looks up; ends with the endpoint.
#[derive(Debug)]
struct Watching(AbortHandle);

impl Names {
    pub(super) fn new(name: &str, port: u16, dns: Dns, failures: Counter) -> Self {
        let (known, pool) = (watch::Sender::new(Known::Nothing), OnceLock::new());
        Self { shared: Arc::new(Shared { name: name.into(), port, dns, known, failures, pool }), task: OnceLock::new() }
    }

    /// Stops using connections of `pool` for new requests when an address that they may have is gone.
    pub(super) fn retire_in(&self, pool: Weak<dyn Retire>) {
        let _only_once = self.shared.pool.set(pool);
    }

    /// Begins to look up, once.
    pub(super) fn watch(&self) {
        self.task.get_or_init(|| Watching(tokio::spawn(watch(Arc::clone(&self.shared))).abort_handle()));
    }

    /// Returns the addresses; waits only for the first look-up.
    pub(super) async fn addresses(&self) -> Result<Arc<[SocketAddr]>, UpstreamFailure> {
        self.watch();
        let mut known = self.shared.known.subscribe();
        let found = known.wait_for(|known| *known != Known::Nothing).await.map(|known| known.clone());
        match found {
            Ok(Known::Addresses(addresses)) => Ok(addresses),
            Ok(Known::Failure(reason)) => {
                let name = &self.shared.name;
                Err(UpstreamFailure::new(FailureKind::Connect, format!("cannot resolve `{name}`: {reason}")))
            }
            Ok(Known::Nothing) | Err(_) => Err(UpstreamFailure::new(FailureKind::Connect, "the name has no address")),
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn watch(shared: Arc<Shared>) {
    loop {
        let wait = match shared.look_up().await {
            Ok((addresses, ttl)) => {
                shared.found(addresses);
                ttl.clamp(SOONEST, LATEST)
            }
            Err(reason) => {
                shared.failures.inc();
                tracing::warn!(
                    server.address = &*shared.name,
                    error = reason,
                    "the name of an upstream cannot be resolved; its last addresses stay in use"
                );
                shared.known.send_if_modified(|known| {
                    let first = !matches!(known, Known::Addresses(_));
                    if first {
                        *known = Known::Failure(reason.into());
                    }
                    first
                });
                SOONEST
            }
        };
        sleep(wait).await;
    }
}

impl Shared {
    /// Looks the name up. The system's settings are read anew, because they change while we run.
    async fn look_up(&self) -> Result<(Vec<SocketAddr>, Duration), String> {
        let mut builder = match self.dns.resolver {
            Some(server) => Resolver::builder_with_config(only(server), TokioRuntimeProvider::default()),
            // Without the system's settings its hosts file is left.
            None => Resolver::builder_tokio().unwrap_or_else(|_| {
                let nobody = ResolverConfig::from_parts(None, Vec::new(), Vec::new());
                Resolver::builder_with_config(nobody, TokioRuntimeProvider::default())
            }),
        };
        adjust(builder.options_mut(), self.dns.mode);
        let resolver = builder.build().map_err(|error| error.to_string())?;
        let found = resolver.lookup_ip(&*self.name).await.map_err(|error| error.to_string())?;
        let ttl = Instant::from_std(found.valid_until()).saturating_duration_since(Instant::now());
        let mut addresses: Vec<_> = found.iter().map(|ip| SocketAddr::new(ip, self.port)).collect();
        addresses.sort_unstable();
        addresses.dedup();
        keep_reachable(&mut addresses);
        if addresses.is_empty() { Err("it has no address".to_owned()) } else { Ok((addresses, ttl)) }
    }

    fn found(&self, addresses: Vec<SocketAddr>) {
        let mut gone = false;
        self.known.send_if_modified(|known| {
            if let Known::Addresses(before) = &*known {
                if **before == *addresses {
                    return false;
                }
                gone = before.iter().any(|address| !addresses.contains(address));
            }
            tracing::info!(server.address = &*self.name, ?addresses, "the addresses of an upstream's name");
            *known = Known::Addresses(addresses.into());
            true
        });
        if gone && let Some(pool) = self.pool.get().and_then(Weak::upgrade) {
            pool.retire_all();
        }
    }
}

fn only(server: SocketAddr) -> ResolverConfig {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    connections.iter_mut().for_each(|connection| connection.port = server.port());
    let mut server = NameServerConfig::udp_and_tcp(server.ip());
    server.connections = connections;
    ResolverConfig::from_parts(None, Vec::new(), vec![server])
}

fn adjust(options: &mut ResolverOpts, mode: DnsMode) {
    options.ip_strategy = match mode {
        DnsMode::Auto => LookupIpStrategy::Ipv4AndIpv6,
        DnsMode::V4Only => LookupIpStrategy::Ipv4Only,
        DnsMode::V6Only => LookupIpStrategy::Ipv6Only,
        DnsMode::V4Preferred => LookupIpStrategy::Ipv4thenIpv6,
    };
    options.cache_size = 0;
    options.timeout = ANSWER;
}

/// Leaves out a family that this machine has no way to, where the other is left: asking for the way sends nothing.
fn keep_reachable(addresses: &mut Vec<SocketAddr>) {
    let is_reachable = |address: &SocketAddr| {
        let any: IpAddr = if address.is_ipv4() { [0; 4].into() } else { [0_u16; 8].into() };
        UdpSocket::bind((any, 0)).and_then(|socket| socket.connect(address)).is_ok()
    };
    if addresses.iter().any(is_reachable) {
        addresses.retain(is_reachable);
    }
}

/// A name is not looked up more often than this, whatever its TTL.
const SOONEST: Duration = Duration::from_secs(1);

/// A name is looked up at least so often: a TTL may be a mistake.
const LATEST: Duration = Duration::from_secs(60 * 60);

/// How long a resolver may take to answer, each time it is asked.
const ANSWER: Duration = Duration::from_secs(2);
