//! The routes of TLS connections, by server name.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::Metrics;
use crate::config::{Host, TlsRoute};
use crate::metrics::RouteMetrics;
use crate::upstream::Dial;

/// All of them.
#[derive(Debug)]
pub(crate) struct Routes {
    list: Box<[Loaded]>,
    exact: HashMap<Box<str>, usize>,
    // By what follows the first label.
    wildcard: HashMap<Box<str>, usize>,
}

/// One of them, with what was made of it at load.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) config: TlsRoute,
    /// Its policy's place among those of all routes: behind those of requests.
    pub(super) policy: usize,
    pub(super) metrics: Arc<RouteMetrics>,
    endpoints: Box<[Endpoint]>,
    turn: AtomicUsize,
}

/// One of its endpoints.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    /// As logs name it.
    pub(super) name: Arc<str>,
    pub(super) dial: Arc<Dial>,
}

impl Routes {
    /// Takes the routes; `first` is the place of the first one's policy. A route whose endpoints are reached as they were
    /// `before` goes on with what is known of their names.
    pub(crate) fn load(routes: Vec<TlsRoute>, first: usize, metrics: &Metrics, before: Option<&Self>) -> Self {
        let (mut exact, mut wildcard) = (HashMap::new(), HashMap::new());
        for (index, route) in routes.iter().enumerate() {
            match &route.host {
                Host::Exact(name) => exact.entry(name.as_str().into()).or_insert(index),
                Host::Wildcard(suffix) => wildcard.entry(suffix.as_str().into()).or_insert(index),
            };
        }
        let load = |(index, config): (usize, TlsRoute)| Loaded {
            policy: first + index,
            metrics: metrics.route(&config.name),
            endpoints: endpoints(&config, metrics, before),
            turn: AtomicUsize::new(0),
            config,
        };
        Self { list: routes.into_iter().enumerate().map(load).collect(), exact, wildcard }
    }

    /// Returns the place of the route of a server name (lower case): an exact name goes before a wildcard.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        let wildcard = || self.wildcard.get(name.split_once('.').filter(|(label, _)| !label.is_empty())?.1);
        self.exact.get(name).or_else(wildcard).copied()
    }

    /// Begins to look up the names of endpoints.
    pub(crate) fn watch(&self) {
        self.list.iter().flat_map(|route| &route.endpoints).for_each(|endpoint| endpoint.dial.watch());
    }

    /// Returns them as they were configured.
    pub(crate) fn configured(&self) -> impl Iterator<Item = &TlsRoute> {
        self.list.iter().map(|route| &route.config)
    }

    pub(super) fn get(&self, index: usize) -> Option<&Loaded> {
        self.list.get(index)
    }
}

impl Loaded {
    /// Returns the endpoints in the order in which they are tried: each time another one first.
    pub(super) fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % self.endpoints.len().max(1);
        let (later, now) = self.endpoints.split_at(first);
        now.iter().chain(later)
    }
}

fn endpoints(config: &TlsRoute, metrics: &Metrics, before: Option<&Routes>) -> Box<[Endpoint]> {
    let is_same = |known: &&Loaded| {
        let TlsRoute { to, connect, dns, .. } = &known.config;
        (to, connect, dns) == (&config.to, &config.connect, &config.dns)
    };
    if let Some(known) = before.and_then(|before| before.list.iter().find(is_same)) {
        return known.endpoints.clone();
    }
    let made = config.to.iter().map(|endpoint| Endpoint {
        name: format!("tcp://{}:{}", endpoint.host, endpoint.port).into(),
        dial: Arc::new(metrics.pools().dial(endpoint, &config.dns, config.connect)),
    });
    made.collect()
}
