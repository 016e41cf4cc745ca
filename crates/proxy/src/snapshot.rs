//! What a request sees: one immutable configuration, built whole and swapped whole.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use audit::Log;
use authenticate::{App, Authenticator, Session, StepUp};
use authorize::{Authorizer, Read};
use identity::{ClientAddress, Clock, Origin, Scheme};
use pages::Look;
use telemetry::Tracer;

use crate::config::{Host, Route, TlsRoute};
use crate::entrance::Entrances;

use crate::expiry::Expiry;
use crate::inputs::Inputs;
use crate::metrics::RouteMetrics;
use crate::rate_limit::RateLimiter;
use crate::route::Table;
use crate::sanitize::Removed;
use crate::upstream::Cluster;
use crate::{BuildError, Config, Metrics, ServeError, UpstreamView, passthrough};

/// One configuration, ready to serve.
#[derive(Debug)]
pub struct Snapshot {
    pub(crate) revision: Box<str>,
    pub(crate) table: Table,
    pub(crate) authorizer: Authorizer,
    pub(crate) authenticator: Option<Arc<Authenticator>>,
    pub(crate) removed: Arc<Removed>,
    pub(crate) audit: Log,
    pub(crate) look: Arc<Look>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Traces requests, where that is asked for.
    pub(crate) tracer: Option<Arc<Tracer>>,
    pub(crate) entrances: Entrances,
    /// The routes of TLS connections.
    pub(crate) passthrough: passthrough::Routes,
    routes: Box<[LoadedRoute]>,
    sign_in: Option<Origin>,
    unrouted: Arc<RouteMetrics>,
}

/// What a snapshot is made of beside routes: what was opened or compiled for it.
#[derive(Debug)]
pub struct Parts {
    /// The listeners.
    pub entrances: Entrances,
    /// The policies, in the order of the routes.
    pub authorizer: Authorizer,
    /// Sign-in; without it nobody is signed in.
    pub authenticator: Option<Arc<Authenticator>>,
    /// The record of decisions.
    pub audit: Log,
    /// The look of our own pages.
    pub look: Arc<Look>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Traces requests; without it none is.
    pub tracer: Option<Arc<Tracer>>,
}

/// A route with what was made of it at load.
#[derive(Debug)]
pub(crate) struct LoadedRoute {
    pub(crate) config: Route,
    /// The host of `from`, as policies see it.
    pub(crate) host: Box<str>,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) inputs: Inputs,
    /// What its callers may ask for.
    pub(crate) rate_limiter: Option<Arc<RateLimiter>>,
    // Known at load where the host is exact.
    origin: Option<Origin>,
    metrics: Arc<RouteMetrics>,
}

impl Snapshot {
    /// Builds routes, policies and upstreams into one snapshot. Contacts no upstream. One that is reached as it was `before`
    /// keeps its connections, and a route what was counted and found out of it.
    ///
    /// # Errors
    /// All that is wrong with routes and upstream TLS.
    pub fn build(
        config: Config,
        parts: Parts,
        metrics: &Metrics,
        before: Option<&Self>,
    ) -> Result<Self, Vec<BuildError>> {
        let Parts { entrances, authorizer, authenticator, audit, look, clock, tracer } = parts;
        let mut errors = Vec::new();
        let reads_path = |route| authorizer.route(route).is_some_and(authorize::RoutePolicy::reads_path);
        let table = Table::build(&config.routes, reads_path).map_err(|mut of_table| errors.append(&mut of_table)).ok();
        let removed = Arc::new(Removed::new(config.routes.iter().filter_map(|route| route.identity.as_ref())));
        let mut routes = Vec::with_capacity(config.routes.len());
        let passthrough = passthrough::Routes::load(
            config.tls_routes,
            config.routes.len(),
            metrics,
            before.map(|before| &before.passthrough),
        );
        let before = before.map_or(&[][..], |before| &before.routes);
        let before: HashMap<_, _> = before.iter().map(|route| (route.config.name.as_str(), route)).collect();
        for (index, route) in config.routes.into_iter().enumerate() {
            let mut reads = authorizer.route(index).map_or_else(Vec::new, |policy| policy.reads().to_vec());
            reads.extend(route.step_up.iter().flat_map(StepUp::looks_at).map(Read::whole));
            let inputs = Inputs::new(&reads, route.authenticate, &config.record_inputs, || audit.input_key());
            let same = before.get(route.name.as_str()).copied();
            match LoadedRoute::load(route, inputs, metrics, same) {
                Ok(route) => routes.push(route),
                Err(error) => errors.push(error),
            }
        }
        let Some(table) = table.filter(|_| errors.is_empty()) else { return Err(errors) };
        for route in &routes {
            route.cluster.watch();
            metrics.pools().serve(&route.cluster);
        }
        passthrough.watch();
        Ok(Self {
            revision: config.revision.into(),
            table,
            authorizer,
            authenticator,
            removed,
            audit,
            look,
            clock,
            tracer,
            entrances,
            passthrough,
            routes: routes.into(),
            sign_in: config.authenticate,
            unrouted: metrics.route("none"),
        })
    }

    /// Returns the hash of the configuration.
    #[must_use]
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// Returns sign-in, where there is any.
    #[must_use]
    pub const fn authenticator(&self) -> Option<&Arc<Authenticator>> {
        self.authenticator.as_ref()
    }

    /// Returns what traces requests, where that is asked for.
    #[must_use]
    pub const fn tracer(&self) -> Option<&Arc<Tracer>> {
        self.tracer.as_ref()
    }

    /// Returns the routes of requests, in the order of the configuration.
    pub fn routes(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter().map(|route| &route.config)
    }

    /// Returns the routes of TLS connections, in the order of the configuration.
    pub fn tls_routes(&self) -> impl Iterator<Item = &TlsRoute> {
        self.passthrough.configured()
    }

    /// Returns the listeners.
    #[must_use]
    pub const fn entrances(&self) -> &Entrances {
        &self.entrances
    }

    /// Reads all certificate, key and authority files again, those of the listeners and those of `upstream_tls`; a file
    /// that is bad keeps the last good one in service.
    ///
    /// # Errors
    /// What is wrong with which file; the good ones were exchanged all the same.
    pub fn reload_certificates(&self) -> Result<(), Vec<ServeError>> {
        let of_upstreams = self.routes.iter().filter_map(|route| {
            let source = route.cluster.reload_certificates().err()?;
            Some(ServeError::UpstreamTls { route: route.config.name.clone(), source })
        });
        let errors: Vec<_> = of_upstreams.chain(self.entrances.reload_certificates()).collect();
        self.entrances.certificates_reloaded(errors.is_empty());
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// Returns when what routes present to upstreams and believe of them ends, each with the route's name.
    pub(crate) fn upstream_expiries(&self) -> impl Iterator<Item = (&str, Expiry)> {
        self.routes
            .iter()
            .flat_map(|route| route.cluster.expiries().into_iter().map(|expiry| (route.config.name.as_str(), expiry)))
    }

    /// Returns the upstream of each route as it is now: endpoints, their state, and their connections.
    #[must_use]
    pub fn upstreams(&self) -> Vec<UpstreamView> {
        self.routes.iter().map(|route| route.cluster.view()).collect()
    }

    /// Returns the route at a place of the configuration.
    pub(crate) fn route(&self, index: usize) -> Option<&LoadedRoute> {
        self.routes.get(index)
    }

    /// Returns the counters of a route, or those of requests that match none.
    pub(crate) fn metrics_of(&self, route: Option<usize>) -> &RouteMetrics {
        route.and_then(|route| self.route(route)).map_or(&self.unrouted, |route| &route.metrics)
    }

    /// Returns the origin whose own endpoints a host serves: that of sign-in, or that of its routes.
    pub(crate) fn own_origin(&self, scheme: Scheme, host: &str) -> Option<Origin> {
        if let Some(sign_in) = self.sign_in.as_ref().filter(|origin| origin.scheme() == scheme && origin.host() == host)
        {
            return Some(sign_in.clone());
        }
        self.routes_of(scheme, host).next()?.1.origin(host).map(Cow::into_owned)
    }

    /// Returns the routes of a host, with their places in the configuration. An exact host hides the wildcards that it is
    /// part of, as it does in the table.
    pub(crate) fn routes_of(&self, scheme: Scheme, host: &str) -> impl Iterator<Item = (usize, &LoadedRoute)> {
        let of_host = move |route: &LoadedRoute| route.config.scheme == scheme && route.config.host.matches(host);
        let is_exact = |route: &LoadedRoute| matches!(route.config.host, Host::Exact(_));
        let exact = self.routes.iter().any(|route| of_host(route) && is_exact(route));
        self.routes.iter().enumerate().filter(move |(_, route)| of_host(route) && (!exact || is_exact(route)))
    }

    /// Returns the port of the https routes of a host, where there are any.
    pub(crate) fn https_port(&self, host: &str) -> Option<u16> {
        self.own_origin(Scheme::Https, host).map(|origin| origin.port())
    }

    /// Returns the routes that a session may open now, from that address, for the user's own page.
    pub(crate) fn apps(&self, session: &Session, address: ClientAddress) -> Vec<App> {
        let now = self.clock.now();
        let opens = |(index, route): (usize, &LoadedRoute)| {
            // A browser opens no tunnel.
            if route.config.tunnel.is_some() {
                return None;
            }
            let origin = route.origin.as_ref()?;
            let accepted = route.config.provider.as_ref().is_none_or(|id| id == session.identity().provider());
            let may = accepted && crate::facts::may_open(self, index, route, session, address, now);
            may.then(|| App { name: route.config.name.clone(), url: origin.to_string() })
        };
        self.routes.iter().enumerate().filter_map(opens).collect()
    }
}

impl LoadedRoute {
    fn load(
        config: Route,
        inputs: std::io::Result<Inputs>,
        metrics: &Metrics,
        before: Option<&Self>,
    ) -> Result<Self, BuildError> {
        let inputs = inputs.map_err(BuildError::InputKey)?;
        let (host, origin) = match &config.host {
            Host::Exact(host) => (host.clone(), Origin::new(config.scheme, host, Some(config.port)).ok()),
            Host::Wildcard(parent) => (format!("*.{parent}"), None),
        };
        let handles = metrics.route(&config.name);
        let cluster = Cluster::build(&config, metrics.pools())?;
        let cluster = Arc::new(match before {
            Some(before) => cluster.after(&before.cluster),
            None => cluster,
        });
        let counted = before.and_then(|before| before.rate_limiter.clone());
        let rate_limiter = config.rate_limit.map(|limit| {
            counted.filter(|counted| *counted.limit() == limit).unwrap_or_else(|| Arc::new(RateLimiter::new(limit)))
        });
        Ok(Self { host: host.into(), rate_limiter, cluster, inputs, origin, metrics: handles, config })
    }

    /// Returns the origin of this route for a host that it matches.
    pub(crate) fn origin(&self, host: &str) -> Option<Cow<'_, Origin>> {
        let made = || Origin::new(self.config.scheme, host, Some(self.config.port)).ok().map(Cow::Owned);
        self.origin.as_ref().map(Cow::Borrowed).or_else(made)
    }
}

impl Host {
    fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == host,
            Self::Wildcard(parent) => {
                host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == parent)
            }
        }
    }
}
