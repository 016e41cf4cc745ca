//! Upstreams: the endpoints of a route and the connections to them.

mod balance;
mod body;
mod budget;
mod connect;
mod credential;
mod dial;
mod endpoint;
mod failure;
mod health;
mod http1;
mod http2;
mod http3;
mod kept;
mod metrics;
mod names;
mod outlier;
mod pools;
mod prior_knowledge;
mod shared;
mod socket;
mod stream;
mod tls;
mod upload;
mod view;

use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderValue;
use http::uri::Authority;
use tokio::time::Instant;

use crate::config::{EndpointScheme, HashBy, HostHeader, LoadBalancing, OutlierDetection, Retry, Route, Timeouts};
use crate::expiry::Expiry;
use crate::{BuildError, Endpoint as Address};

pub(crate) use balance::{Selection, stable_hash};
pub(crate) use body::{Arriving, Asked, Expectation, Progress, RequestBody, TrailerRules, UpstreamBody, Watch};
pub(crate) use connect::Spoken;
pub(crate) use credential::Credential;
pub(crate) use dial::Dial;
pub(crate) use endpoint::{Active, Endpoint, Freshness, Lease};
pub(crate) use failure::{ConnectionError, FailureKind, Failures, UpstreamFailure};
pub(crate) use http1::{Broken, Unanswered as NotAnswered, builder as http1_builder};
pub(crate) use kept::Kept;
pub(crate) use pools::Pools;
pub(crate) use stream::Stream as UpstreamStream;
pub use view::{EndpointState, EndpointView, UpstreamView};

use balance::Balance;
use budget::Budget;
use metrics::ClusterMetrics;
use outlier::Outlier;

/// The upstream of one route: equal endpoints, how they are addressed, and which of them is chosen.
#[derive(Debug)]
pub(crate) struct Cluster {
    route: Box<str>,
    targets: Box<[Target]>,
    strategy: LoadBalancing,
    balance: Balance,
    panic_threshold: u32,
    outlier_detection: Option<OutlierDetection>,
    /// Held while an endpoint is ejected, so that two at once do not take the last half.
    ejecting: Mutex<()>,
    timeouts: Timeouts,
    retry: Retry,
    budget: Arc<Budget>,
    credential: Option<Credential>,
    metrics: ClusterMetrics,
}

/// One endpoint as one route addresses it.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) endpoint: Arc<Endpoint>,
    /// What `Host` and `:authority` say; without it, what the client asked for.
    pub(crate) host: Option<FixedHost>,
    weight: u32,
    /// Tells it from the others, whatever their order.
    hash: u64,
    outlier: Arc<Outlier>,
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
    pub(crate) fn build(route: &Route, pools: &Pools) -> Result<Self, BuildError> {
        let targets: Box<[_]> =
            route.to.iter().map(|address| Target::build(route, address, pools)).collect::<Result<_, BuildError>>()?;
        let metrics = pools.metrics(&route.name);
        let credential = route.upstream.credential.as_ref();
        let credential = credential.map(|settings| Credential::build(settings, &metrics)).transpose()?;
        let weights: Vec<_> = targets.iter().map(|target| target.weight).collect();
        Ok(Self {
            route: route.name.as_str().into(),
            targets,
            strategy: route.upstream.load_balancing.clone(),
            balance: Balance::new(&weights),
            panic_threshold: route.upstream.panic_threshold,
            outlier_detection: route.upstream.outlier_detection.clone(),
            ejecting: Mutex::new(()),
            timeouts: route.timeouts.clone(),
            retry: route.upstream.retry.clone(),
            budget: Arc::new(Budget::new(route.upstream.retry.budget)),
            credential,
            metrics,
        })
    }

    /// Goes on with what the same route's upstream knew `before`, as far as it is configured as it was: which endpoints are
    /// ejected, what may still be retried, and the token.
    pub(crate) fn after(mut self, before: &Self) -> Self {
        if self.outlier_detection == before.outlier_detection {
            for target in &mut self.targets {
                let same = before.targets.iter().find(|known| Arc::ptr_eq(&known.endpoint, &target.endpoint));
                if let Some(known) = same {
                    target.outlier = Arc::clone(&known.outlier);
                }
            }
        }
        if self.retry.budget == before.retry.budget {
            self.budget = Arc::clone(&before.budget);
        }
        if let (Some(credential), Some(before)) = (&mut self.credential, &before.credential) {
            credential.keep_token_of(before);
        }
        self
    }

    /// Begins to check the endpoints that are to be checked.
    pub(crate) fn watch(&self) {
        self.targets.iter().for_each(|target| target.endpoint.watch());
    }

    /// Reads the files of `upstream_tls` again. Connections that are open stay; a bad file keeps the last good ones.
    ///
    /// # Errors
    /// A file cannot be used.
    pub(crate) fn reload_certificates(&self) -> Result<(), BuildError> {
        self.targets.iter().try_for_each(|target| target.endpoint.reload_certificates())
    }

    /// Returns when what `upstream_tls` has in service ends. Its endpoints have read the same files.
    pub(crate) fn expiries(&self) -> Vec<Expiry> {
        self.targets.iter().map(|target| target.endpoint.expiries()).find(|all| !all.is_empty()).unwrap_or_default()
    }

    /// Returns what keeps a caller at one endpoint, where something does.
    pub(crate) const fn hash_by(&self) -> Option<&HashBy> {
        match &self.strategy {
            LoadBalancing::ConsistentHash(by) => Some(by),
            LoadBalancing::RoundRobin | LoadBalancing::LeastRequest | LoadBalancing::Random => None,
        }
    }

    /// Returns the endpoints for one request, the best first. `hash` stands for what the route keeps callers by.
    pub(crate) fn select(&self, hash: Option<u64>) -> Selection<'_> {
        Selection::new(self, hash)
    }

    /// Counts a request as open at an endpoint, where the choice depends on it.
    pub(crate) fn begin(&self, target: &Target) -> Option<Active> {
        (self.strategy == LoadBalancing::LeastRequest).then(|| target.endpoint.begin())
    }

    /// Notes that an endpoint answered well.
    pub(crate) fn succeeded(&self, target: &Target) {
        target.outlier.succeeded();
    }

    /// Notes that an endpoint failed a request, and ejects it when it has done so too often. At least half of the
    /// endpoints stay: where more fail, the endpoints are not what is wrong.
    pub(crate) fn failed(&self, target: &Target) {
        let Some(limits) = self.outlier_detection.as_ref().filter(|_| self.targets.len() > 1) else { return };
        if !target.outlier.failed(limits) {
            return;
        }
        let _one_at_a_time = self.ejecting.lock().unwrap_or_else(PoisonError::into_inner);
        let ejected = self.targets.iter().filter(|target| self.is_ejected(target)).count();
        if self.is_ejected(target) || ejected + 1 > self.targets.len() / 2 {
            return;
        }
        let duration = target.outlier.eject(limits, Instant::now());
        self.metrics.ejections.inc();
        tracing::warn!(
            route.id = &*self.route,
            upstream.address = &**target.endpoint.name(),
            ?duration,
            "upstream endpoint ejected: it failed too many requests in a row"
        );
    }

    pub(crate) const fn credential(&self) -> Option<&Credential> {
        self.credential.as_ref()
    }

    pub(crate) const fn retry(&self) -> &Retry {
        &self.retry
    }

    /// Returns whether there is another endpoint than any one of them.
    pub(crate) const fn has_several(&self) -> bool {
        self.targets.len() > 1
    }

    /// Counts a request, of which a share may be tried again.
    pub(crate) fn add_to_retry_budget(&self) {
        self.budget.deposit();
    }

    /// Takes one try from the budget.
    pub(crate) fn take_retry(&self) -> bool {
        let taken = self.budget.withdraw(Instant::now());
        let count = if taken { &self.metrics.retries } else { &self.metrics.retries_refused };
        count.inc();
        taken
    }

    pub(crate) const fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    fn target(&self, place: usize) -> Option<&Target> {
        self.targets.get(place)
    }

    fn is_ejected(&self, target: &Target) -> bool {
        target.outlier.is_ejected()
    }

    /// Returns whether so few endpoints are healthy that they would be overrun if the others got nothing.
    fn panics(&self) -> bool {
        self.panic_threshold > 0 && {
            let healthy = self.targets.iter().filter(|target| target.endpoint.is_healthy()).count();
            healthy * 100 < self.targets.len() * self.panic_threshold as usize
        }
    }
}

impl Target {
    fn build(route: &Route, address: &Address, pools: &Pools) -> Result<Self, BuildError> {
        let host = match &route.host_header {
            HostHeader::Upstream => Some(fixed_host(route, &written(address))?),
            HostHeader::Rewrite(host) => Some(fixed_host(route, host)?),
            HostHeader::Preserve => None,
        };
        let endpoint = pools.endpoint(route, address)?;
        let hash = stable_hash(&**endpoint.name());
        Ok(Self { endpoint, host, weight: address.weight, hash, outlier: Arc::new(Outlier::new()) })
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
        // No HTTP is spoken there.
        EndpointScheme::Tcp => 0,
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
