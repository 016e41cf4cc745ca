//! Upstreams: the endpoints of a route and the connections to them.

mod balance;
mod body;
mod connect;
mod endpoint;
mod failure;
mod http1;
mod http2;
mod pools;
mod prior_knowledge;
mod socket;
mod stream;
mod tls;

use std::sync::Arc;

use http::HeaderValue;
use http::uri::Authority;

use crate::config::{EndpointScheme, HostHeader, Route, Timeouts};
use crate::{BuildError, Endpoint as Address};

pub(crate) use body::{Expectation, Progress, RequestBody, TrailerRules, UpstreamBody, Watch};
pub(crate) use connect::Spoken;
pub(crate) use endpoint::{Endpoint, Freshness, Lease};
pub(crate) use failure::{FailureKind, Failures, UpstreamFailure};
pub(crate) use http1::{Unanswered as NotAnswered, builder as http1_builder};
pub(crate) use pools::Pools;
pub(crate) use stream::Stream as UpstreamStream;

use balance::RoundRobin;

/// The upstream of one route: equal endpoints, and how they are addressed.
#[derive(Debug)]
pub(crate) struct Cluster {
    targets: Box<[Target]>,
    turn: RoundRobin,
    timeouts: Timeouts,
}

/// One endpoint as one route addresses it.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) endpoint: Arc<Endpoint>,
    /// What `Host` and `:authority` say; without it, what the client asked for.
    pub(crate) host: Option<FixedHost>,
}

/// A host that does not depend on the request, in the form of each protocol.
#[derive(Clone, Debug)]
pub(crate) struct FixedHost {
    pub(crate) header: HeaderValue,
    pub(crate) authority: Authority,
}

impl Cluster {
    /// Builds the upstream of a route; connections to the same endpoint with the same settings are shared by way of
    /// `pools`. Contacts nobody.
    ///
    /// # Errors
    /// A certificate, key or authority file, or a name, cannot be used.
    pub(crate) fn build(route: &Route, pools: &mut Pools) -> Result<Self, BuildError> {
        let targets = route
            .to
            .iter()
            .map(|address| {
                let host = match &route.host_header {
                    HostHeader::Upstream => Some(fixed_host(route, &written(address))?),
                    HostHeader::Rewrite(host) => Some(fixed_host(route, host)?),
                    HostHeader::Preserve => None,
                };
                Ok(Target { endpoint: pools.endpoint(route, address)?, host })
            })
            .collect::<Result<_, BuildError>>()?;
        Ok(Self { targets, turn: RoundRobin::default(), timeouts: route.timeouts.clone() })
    }

    /// Reads the files of `upstream_tls` again. Connections that are open stay; a bad file keeps the last good ones.
    ///
    /// # Errors
    /// A file cannot be used.
    pub(crate) fn reload_certificates(&self) -> Result<(), BuildError> {
        self.targets.iter().try_for_each(|target| target.endpoint.reload_certificates())
    }

    /// Returns every endpoint once, beginning with the one whose turn it is.
    pub(crate) fn in_turn(&self) -> impl Iterator<Item = &Target> {
        self.turn.next(&self.targets)
    }

    pub(crate) const fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }
}

/// Writes an endpoint's host as `Host` says it: without the port that the scheme implies (RFC 9110 §4.2.3).
fn written(address: &Address) -> String {
    let host = &address.host;
    let bracketed = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.clone() };
    let implied = match address.scheme {
        EndpointScheme::Http | EndpointScheme::H2c => 80,
        EndpointScheme::Https => 443,
        // A path is no host (RFC 9110 §7.2).
        EndpointScheme::Unix => return "localhost".to_owned(),
    };
    if address.port == implied { bracketed } else { format!("{bracketed}:{}", address.port) }
}

fn fixed_host(route: &Route, host: &str) -> Result<FixedHost, BuildError> {
    let unusable = || BuildError::UnusableUpstreamName { route: route.name.clone(), name: host.to_owned() };
    Ok(FixedHost {
        header: HeaderValue::from_str(host).map_err(|_| unusable())?,
        authority: host.parse().map_err(|_| unusable())?,
    })
}
