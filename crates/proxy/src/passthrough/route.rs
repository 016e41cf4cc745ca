//! The routes of TLS connections, by server name.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::Metrics;
use crate::config::{Host, TcpEndpoint, TlsRoute};
use crate::metrics::RouteMetrics;

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
    pub(super) metrics: RouteMetrics,
    turn: AtomicUsize,
}

impl Routes {
    /// Takes the routes; `first` is the place of the first one's policy.
    pub(crate) fn load(routes: Vec<TlsRoute>, first: usize, metrics: &Metrics) -> Self {
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

    pub(super) fn get(&self, index: usize) -> Option<&Loaded> {
        self.list.get(index)
    }
}

impl Loaded {
    /// Returns the endpoints in the order in which they are tried: each time another one first.
    pub(super) fn endpoints(&self) -> impl Iterator<Item = &TcpEndpoint> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % self.config.to.len().max(1);
        let (later, now) = self.config.to.split_at(first);
        now.iter().chain(later)
    }
}
