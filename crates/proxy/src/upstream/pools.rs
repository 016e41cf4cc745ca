//! Which endpoints are connected to, across routes.

use std::sync::Arc;
use std::time::Duration;

use super::connect::Connector;
use super::endpoint::Endpoint;
use super::tls::{Material, SystemRoots};
use crate::BuildError;
use crate::config::{self, EndpointScheme, Route, UpstreamProtocol, UpstreamTls};

/// The endpoints of a configuration while it is built: routes that reach one in the same way share its connections.
#[derive(Debug, Default)]
pub(crate) struct Pools {
    endpoints: Vec<(Key, Arc<Endpoint>)>,
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
    pub(super) fn endpoint(&mut self, route: &Route, address: &config::Endpoint) -> Result<Arc<Endpoint>, BuildError> {
        let material = match address.scheme {
            EndpointScheme::Https => Some(Material::read(&route.upstream_tls)?),
            EndpointScheme::Http | EndpointScheme::H2c | EndpointScheme::Unix => None,
        };
        let key = Key {
            address: address.clone(),
            protocol: route.upstream_protocol,
            connect: route.timeouts.connect,
            tls: material.as_ref().map(|read| (route.upstream_tls.clone(), read.fingerprint)),
        };
        if let Some((_, existing)) = self.endpoints.iter().find(|(known, _)| *known == key) {
            return Ok(Arc::clone(existing));
        }
        let endpoint = Arc::new(Endpoint::new(Connector::build(route, address, material, &self.roots)?));
        self.endpoints.push((key, Arc::clone(&endpoint)));
        Ok(endpoint)
    }
}
