//! Counts and times requests, connections and handshakes; registered with the registry of the process.
//!
//! Labels come from the configuration and from fixed lists, never from requests, so that no client can make new series.

mod latency;
mod listener;
mod route;
mod series;
mod tunnels;

use std::fmt::{self, Write as _};
use std::sync::{Arc, OnceLock, PoisonError, Weak};

use http::StatusCode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::upstream::Pools;

pub(crate) use listener::{Handshake, Limit, ListenerMetrics, OpenConnection};
pub(crate) use route::{RouteMetrics, Times};
pub(crate) use tunnels::{Carries, OpenTunnel};

use latency::Latency;
use route::Routes;
use series::Series;
use tunnels::TunnelLabels;

/// The proxy's metrics. Outlives snapshots.
#[derive(Debug)]
pub struct Metrics {
    requests: Family<RequestLabels, Counter>,
    durations: Family<StageLabels, Latency>,
    shadow_differences: Family<ShadowLabels, Counter>,
    streams_closed: Family<ClosedLabels, Counter>,
    tunnels_open: Family<TunnelLabels, Gauge>,
    connections_opened: Family<ListenerLabels, Counter>,
    connections_open: Family<ListenerLabels, Gauge>,
    addresses_lost: Family<ListenerLabels, Counter>,
    addresses_shared: Family<ListenerLabels, Counter>,
    proxy_headers_refused: Family<ListenerLabels, Counter>,
    limits_reached: Family<LimitLabels, Counter>,
    handshakes: Family<HandshakeLabels, Counter>,
    streams_open: Family<ListenerLabels, Gauge>,
    certificate_reload: Gauge,
    routes: Routes,
    // The endpoints in use: what counts them outlives snapshots, and so do they.
    pools: Arc<Pools>,
}

impl Metrics {
    /// Registers the metrics.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            durations: Family::default(),
            shadow_differences: Family::default(),
            streams_closed: Family::default(),
            tunnels_open: Family::default(),
            connections_opened: Family::default(),
            connections_open: Family::default(),
            addresses_lost: Family::default(),
            addresses_shared: Family::default(),
            proxy_headers_refused: Family::default(),
            limits_reached: Family::default(),
            handshakes: Family::default(),
            streams_open: Family::default(),
            certificate_reload: Gauge::default(),
            routes: Routes::default(),
            pools: Pools::register(registry),
        };
        metrics.certificate_reload.set(1);
        registry.register(
            "portcullis_requests",
            "Requests by route, status code and decision; `none` where no route matched",
            metrics.requests.clone(),
        );
        registry.register(
            "portcullis_request_duration_seconds",
            "Time spent deciding, until the upstream's response headers, and in total",
            metrics.durations.clone(),
        );
        registry.register(
            "portcullis_shadow_differences",
            "Requests of which rules in shadow would have decided otherwise, by route and both decisions",
            metrics.shadow_differences.clone(),
        );
        registry.register(
            "portcullis_connections_opened",
            "Downstream connections accepted",
            metrics.connections_opened.clone(),
        );
        registry.register(
            "portcullis_connections_open",
            "Downstream connections open now",
            metrics.connections_open.clone(),
        );
        registry.register(
            "portcullis_streams_open",
            "Requests open on downstream connections of HTTP/2",
            metrics.streams_open.clone(),
        );
        registry.register(
            "portcullis_client_addresses_lost",
            "Requests that a private address forwarded while no proxy is trusted: their client's address is lost",
            metrics.addresses_lost.clone(),
        );
        registry.register(
            "portcullis_client_addresses_shared",
            "Addresses from which so many users signed in that they may be a balancer's",
            metrics.addresses_shared.clone(),
        );
        registry.register(
            "portcullis_proxy_headers_refused",
            "Connections closed for want of a good PROXY header from a trusted proxy",
            metrics.proxy_headers_refused.clone(),
        );
        registry.register(
            "portcullis_limits_reached",
            "Connections that came to one of the limits of their listener",
            metrics.limits_reached.clone(),
        );
        metrics.register_streams(registry);
        metrics.register_tls(registry);
        metrics
    }

    fn register_streams(&self, registry: &mut Registry) {
        registry.register(
            "portcullis_streams_closed",
            "Uploads, downloads, event streams, gRPC, WebSockets and tunnels closed because they are no longer allowed, by route and reason",
            self.streams_closed.clone(),
        );
        registry.register(
            "portcullis_tunnels_open",
            "Tunnels, WebSockets and TLS connections that are passed on, open now, by route and what is carried",
            self.tunnels_open.clone(),
        );
    }

    fn register_tls(&self, registry: &mut Registry) {
        registry.register("portcullis_tls_handshakes", "Downstream TLS handshakes by result", self.handshakes.clone());
        registry.register(
            "portcullis_tls_certificate_reload_success",
            "1 when the last reading of all certificate files succeeded, 0 when one kept its last good certificate",
            self.certificate_reload.clone(),
        );
    }

    pub(crate) fn pools(&self) -> &Pools {
        &self.pools
    }

    /// Returns the handles of one route, the same for all configurations that have it; `none` stands for requests that
    /// matched no route. Its series go with the last of them.
    pub(crate) fn route(&self, route: &str) -> Arc<RouteMetrics> {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handles) = routes.get(route).and_then(Weak::upgrade) {
            return handles;
        }
        let stage = |stage| self.durations.get_or_create_owned(&StageLabels { route: route.to_owned(), stage });
        let handles = Arc::new(RouteMetrics {
            route: route.into(),
            requests: Series::new(&self.requests),
            shadow_differences: Series::new(&self.shadow_differences),
            streams_closed: Series::new(&self.streams_closed),
            tunnels_open: self.tunnels_open.clone(),
            common: std::array::from_fn(|_| std::array::from_fn(|_| OnceLock::new())),
            policy: stage("policy"),
            upstream: stage("upstream"),
            total: stage("total"),
            durations: self.durations.clone(),
            pools: Arc::clone(&self.pools),
            routes: Arc::clone(&self.routes),
        });
        routes.insert(route.into(), Arc::downgrade(&handles));
        handles
    }

    /// Returns the handles of one listener.
    pub(crate) fn listener(&self, listener: &str) -> ListenerMetrics {
        let labels = ListenerLabels { listener: listener.to_owned() };
        let handshake =
            |result| self.handshakes.get_or_create_owned(&HandshakeLabels { listener: listener.to_owned(), result });
        ListenerMetrics {
            opened: self.connections_opened.get_or_create_owned(&labels),
            open: self.connections_open.get_or_create_owned(&labels),
            streams: self.streams_open.get_or_create_owned(&labels),
            addresses_lost: self.addresses_lost.get_or_create_owned(&labels),
            addresses_shared: self.addresses_shared.get_or_create_owned(&labels),
            proxy_headers_refused: self.proxy_headers_refused.get_or_create_owned(&labels),
            limits_reached: Limit::ALL.map(|limit| {
                let labels = LimitLabels { listener: listener.to_owned(), limit: limit.as_str() };
                self.limits_reached.get_or_create_owned(&labels)
            }),
            handshakes_ok: handshake("ok"),
            handshakes_failed: handshake("failed"),
            clients_refused: handshake("client-certificate-refused"),
        }
    }

    /// Tells how the last reading of all certificate files went.
    pub(crate) fn certificates_reloaded(&self, success: bool) {
        self.certificate_reload.set(i64::from(success));
    }
}

const fn decision_label(decision: audit::Decision) -> &'static str {
    match decision {
        audit::Decision::Allow => "allow",
        audit::Decision::Deny => "deny",
        audit::Decision::Challenge => "challenge",
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    code: Code,
    decision: &'static str,
}

/// A status code, or only the class of one that is in no registry: upstreams choose it, and callers may choose for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Code {
    Registered(u16),
    Class(u16),
}

impl Code {
    fn of(code: u16) -> Self {
        let registered = StatusCode::from_u16(code).is_ok_and(|code| code.canonical_reason().is_some());
        // A connection that is passed on has none: 0.
        if registered || code == 0 { Self::Registered(code) } else { Self::Class(code / 100) }
    }
}

impl EncodeLabelValue for Code {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        match self {
            Self::Registered(code) => write!(encoder, "{code}"),
            Self::Class(class) => write!(encoder, "{class}xx"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClosedLabels {
    route: String,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ShadowLabels {
    route: String,
    decision: &'static str,
    shadow: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabels {
    route: String,
    stage: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ListenerLabels {
    listener: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabels {
    listener: String,
    limit: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HandshakeLabels {
    listener: String,
    result: &'static str,
}

#[cfg(test)]
mod tests;
