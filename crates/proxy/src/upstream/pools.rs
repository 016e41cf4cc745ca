//! Which endpoints are connected to, across configurations.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::connect::Connector;
use super::endpoint::Endpoint;
use super::tls::{Material, SystemRoots};
use crate::BuildError;
use crate::config::{self, EndpointScheme, Route, UpstreamProtocol, UpstreamTls};

/// The endpoints in use. Outlives configurations: an endpoint that two of them reach in the same way keeps its
/// connections; one that none uses any more is closed.
#[derive(Debug, Default)]
pub(crate) struct Pools {
    endpoints: Mutex<Vec<(Key, Weak<Endpoint>)>>,
    roots: SystemRoots,
}

/// All that makes a connection unfit for another route. Nothing secret: keys are only known by their fingerprint.
#[derive(Debug, PartialEq, Eq)]
struct Key {
    address: config::Endpoint,
    protocol: UpstreamProtocol,
    connect: Duration,
    tls: Option<(UpstreamTls, [u8; 32])>,
}

impl Pools {
    /// Returns the endpoint that `route` reaches at `address`, an existing one where there is.
    pub(super) fn endpoint(&self, route: &Route, address: &config::Endpoint) -> Result<Arc<Endpoint>, BuildError> {
        let material = match address.scheme {
            EndpointScheme::Https => Some(Material::read(&route.upstream_tls)?),
            EndpointScheme::Http | EndpointScheme::H2c => None,
        };
        let key = Key {
            address: address.clone(),
            protocol: route.upstream_protocol,
            connect: route.timeouts.connect,
            tls: material.as_ref().map(|read| (route.upstream_tls.clone(), read.fingerprint)),
        };
        let mut endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        endpoints.retain(|(_, endpoint)| endpoint.strong_count() > 0);
        if let Some(existing) = endpoints.iter().find(|(known, _)| *known == key).and_then(|(_, weak)| weak.upgrade()) {
            return Ok(existing);
        }
        let endpoint = Arc::new(Endpoint::new(Connector::build(route, address, material, &self.roots)?));
        endpoints.push((key, Arc::downgrade(&endpoint)));
        Ok(endpoint)
    }
}
