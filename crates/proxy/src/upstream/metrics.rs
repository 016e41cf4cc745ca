//! Counts what happens at upstreams, and reads the state of their endpoints when metrics are asked for.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::Pools;
use super::endpoint::Counts;
use super::view::{EndpointState, UpstreamView};

/// The counters of all routes.
#[derive(Clone, Debug, Default)]
pub(super) struct Families {
    ejections: Family<RouteLabels, Counter>,
    retries: Family<RouteLabels, Counter>,
    retries_refused: Family<RouteLabels, Counter>,
    tokens: Family<ResultLabels, Counter>,
    dns_failures: Family<NameLabels, Counter>,
}

/// The counters of one route's upstream.
#[derive(Debug)]
pub(super) struct ClusterMetrics {
    pub(super) ejections: Counter,
    pub(super) retries: Counter,
    pub(super) retries_refused: Counter,
    pub(super) tokens_fetched: Counter,
    pub(super) tokens_failed: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    route: String,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NameLabels {
    name: String,
}

impl Families {
    pub(super) fn dns_failures(&self, name: &str) -> Counter {
        self.dns_failures.get_or_create_owned(&NameLabels { name: name.to_owned() })
    }

    fn forget(&self, route: &str) {
        let labels = RouteLabels { route: route.to_owned() };
        for family in [&self.ejections, &self.retries, &self.retries_refused] {
            family.remove(&labels);
        }
        for result in ["ok", "failed"] {
            self.tokens.remove(&ResultLabels { route: route.to_owned(), result });
        }
    }

    pub(super) fn of(&self, route: &str) -> ClusterMetrics {
        let labels = RouteLabels { route: route.to_owned() };
        let tokens = |result| self.tokens.get_or_create_owned(&ResultLabels { route: route.to_owned(), result });
        ClusterMetrics {
            ejections: self.ejections.get_or_create_owned(&labels),
            retries: self.retries.get_or_create_owned(&labels),
            retries_refused: self.retries_refused.get_or_create_owned(&labels),
            tokens_fetched: tokens("ok"),
            tokens_failed: tokens("failed"),
        }
    }
}

impl Pools {
    /// Exports no more what was counted of a route.
    pub(crate) fn forget(&self, route: &str) {
        self.families.forget(route);
    }

    /// Registers counters, and itself to be read.
    pub(crate) fn register(registry: &mut Registry) -> Arc<Self> {
        let pools = Arc::new(Self::default());
        let families = &pools.families;
        registry.register(
            "portcullis_upstream_ejections",
            "Endpoints left out because they failed too many requests in a row, by route",
            families.ejections.clone(),
        );
        registry.register("portcullis_upstream_retries", "Requests tried again, by route", families.retries.clone());
        registry.register(
            "portcullis_upstream_retries_refused",
            "Requests not tried again because the budget of the route was used up",
            families.retries_refused.clone(),
        );
        registry.register(
            "portcullis_upstream_token_fetches",
            "Tokens fetched for upstreams, by route and result",
            families.tokens.clone(),
        );
        registry.register(
            "portcullis_upstream_dns_failures",
            "Look-ups of an endpoint's name that failed; its last addresses stay in use",
            families.dns_failures.clone(),
        );
        registry.register_collector(Box::new(Reader(Arc::clone(&pools))));
        pools
    }
}

/// Reads the state of endpoints at each scrape, so that no request pays for a gauge.
#[derive(Debug)]
struct Reader(Arc<Pools>);

impl Collector for Reader {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut endpoints = BTreeMap::<Arc<str>, Counts>::new();
        for endpoint in self.0.in_use() {
            let (sum, counts) = (endpoints.entry(Arc::clone(endpoint.name())).or_default(), endpoint.counts());
            sum.http1 += counts.http1;
            sum.idle += counts.idle;
            sum.shared += counts.shared;
            sum.streams += counts.streams;
        }
        let of_endpoints: [(_, _, Count); 3] = [
            ("portcullis_upstream_connections", "Upstream connections open now", |counts| counts.http1 + counts.shared),
            ("portcullis_upstream_connections_idle", "Those of HTTP/1.1 that wait for a request", |counts| counts.idle),
            ("portcullis_upstream_streams", "Requests open on upstream connections of HTTP/2 and HTTP/3", |counts| {
                counts.streams
            }),
        ];
        for (name, help, count) in of_endpoints {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (endpoint, counts) in &endpoints {
                gauge(count(counts)).encode(family.encode_family(&[("endpoint", &**endpoint)])?)?;
            }
        }
        let mut family = encoder.encode_descriptor(
            "portcullis_upstream_endpoints",
            "Endpoints by route and state: `available`, `unhealthy` by health checks, `ejected` for failing requests",
            None,
            MetricType::Gauge,
        )?;
        for UpstreamView { route, endpoints } in self.0.serving() {
            for state in [EndpointState::Available, EndpointState::Unhealthy, EndpointState::Ejected] {
                let count = endpoints.iter().filter(|endpoint| endpoint.state == state).count();
                gauge(count).encode(family.encode_family(&[("route", route.as_str()), ("state", state.as_str())])?)?;
            }
        }
        Ok(())
    }
}

type Count = fn(&Counts) -> usize;

fn gauge(count: usize) -> ConstGauge<i64> {
    ConstGauge::new(i64::try_from(count).unwrap_or(i64::MAX))
}
