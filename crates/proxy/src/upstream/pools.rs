//! Which endpoints are connected to, across routes and configurations.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::Cluster;
use super::connect::Connector;
use super::dial::Dial;
use super::endpoint::Endpoint;
use super::metrics::{ClusterMetrics, Families};
use super::tls::{Material, SystemRoots};
use super::view::UpstreamView;
use crate::BuildError;
use crate::config::upstream::Dns;
use crate::config::{
    self, EndpointScheme, HealthCheck, Route, TcpEndpoint, UpstreamHttp2, UpstreamProtocol, UpstreamTls,
};

/// The endpoints in use: routes that reach one in the same way share its connections, and so does the next configuration
/// with the one before it.
#[derive(Debug, Default)]
pub(crate) struct Pools {
    endpoints: Mutex<HashMap<Key, Weak<Endpoint>>>,
    roots: SystemRoots,
    pub(super) families: Families,
    /// The upstreams of routes; the last of each name is in force.
    clusters: Mutex<Vec<Weak<Cluster>>>,
}

/// All that makes a connection unfit for another route. Nothing secret: keys are only known by their fingerprint.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    scheme: EndpointScheme,
    host: String,
    port: u16,
    protocol: UpstreamProtocol,
    connect: Duration,
    health_check: Option<HealthCheck>,
    http2: UpstreamHttp2,
    dns: Dns,
    tls: Option<(UpstreamTls, [u8; 32])>,
}

impl Pools {
    /// Returns the counters of a route's upstream.
    pub(super) fn metrics(&self, route: &str) -> ClusterMetrics {
        self.families.of(route)
    }

    /// Shows operators an upstream for as long as it is used.
    pub(crate) fn serve(&self, cluster: &Arc<Cluster>) {
        let mut clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        clusters.retain(|cluster| cluster.strong_count() > 0);
        clusters.push(Arc::downgrade(cluster));
    }

    /// Returns what operators are shown, by route. An upstream that only old requests still use is left out.
    pub(super) fn serving(&self) -> Vec<UpstreamView> {
        let clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        let views = clusters.iter().filter_map(Weak::upgrade).map(|cluster| cluster.view());
        let last: BTreeMap<_, _> = views.map(|view| (view.route.clone(), view)).collect();
        last.into_values().collect()
    }

    /// Returns the way to an endpoint of TLS connections that pass undecrypted.
    pub(crate) fn dial(&self, endpoint: &TcpEndpoint, dns: &Dns, limit: Duration) -> Dial {
        Dial::new(&endpoint.host, endpoint.port, dns, limit, || self.families.dns_failures(&endpoint.host))
    }

    /// Returns all endpoints in use.
    pub(super) fn in_use(&self) -> Vec<Arc<Endpoint>> {
        self.endpoints.lock().unwrap_or_else(PoisonError::into_inner).values().filter_map(Weak::upgrade).collect()
    }

    /// Returns the endpoint that `route` reaches at `address`, an existing one where there is.
    pub(super) fn endpoint(&self, route: &Route, address: &config::Endpoint) -> Result<Arc<Endpoint>, BuildError> {
        let material = match address.scheme {
            EndpointScheme::Https => Some(Material::read(&route.upstream_tls)?),
            EndpointScheme::Http | EndpointScheme::H2c | EndpointScheme::Unix | EndpointScheme::Tcp => None,
        };
        let fingerprint = material.as_ref().map(|material| material.fingerprint);
        let key = Key {
            scheme: address.scheme,
            host: address.host.clone(),
            port: address.port,
            protocol: route.upstream_protocol,
            connect: route.timeouts.connect,
            health_check: route.upstream.health_check.clone(),
            http2: route.upstream.http2.clone(),
            dns: route.upstream.dns.clone(),
            tls: fingerprint.map(|fingerprint| (route.upstream_tls.clone(), fingerprint)),
        };
        let mut endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        // What its files say may have been exchanged since.
        let is_current = |endpoint: &Arc<Endpoint>| endpoint.tls_fingerprint() == fingerprint;
        if let Some(existing) = endpoints.get(&key).and_then(Weak::upgrade).filter(is_current) {
            return Ok(existing);
        }
        let connector =
            Connector::build(route, address, material, &self.roots, || self.families.dns_failures(&address.host))?;
        let endpoint = Arc::new(Endpoint::new(connector, &route.upstream));
        // Those of configurations that nobody uses any more.
        endpoints.retain(|_, endpoint| endpoint.strong_count() > 0);
        endpoints.insert(key, Arc::downgrade(&endpoint));
        Ok(endpoint)
    }
}
