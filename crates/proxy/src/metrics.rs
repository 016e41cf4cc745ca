//! Counts and times requests, connections and handshakes; registered with the registry of the process.
//!
//! Labels come from the configuration and from fixed lists, never from requests, so that no client can make new series.

use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::StatusCode;
use prometheus_client::encoding::{
    EncodeLabelSet, EncodeLabelValue, EncodeMetric, LabelValueEncoder, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::Registry;

use crate::upstream::Pools;

/// The proxy's metrics. Outlives snapshots.
#[derive(Debug)]
pub struct Metrics {
    requests: Family<RequestLabels, Counter>,
    durations: Family<StageLabels, Latency>,
    shadow_differences: Family<ShadowLabels, Counter>,
    streams_closed: Family<ClosedLabels, Counter>,
    connections_opened: Family<ListenerLabels, Counter>,
    connections_open: Family<ListenerLabels, Gauge>,
    addresses_lost: Family<ListenerLabels, Counter>,
    addresses_shared: Family<ListenerLabels, Counter>,
    proxy_headers_refused: Family<ListenerLabels, Counter>,
    limits_reached: Family<LimitLabels, Counter>,
    handshakes: Family<HandshakeLabels, Counter>,
    certificate_reload: Gauge,
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
            connections_opened: Family::default(),
            connections_open: Family::default(),
            addresses_lost: Family::default(),
            addresses_shared: Family::default(),
            proxy_headers_refused: Family::default(),
            limits_reached: Family::default(),
            handshakes: Family::default(),
            certificate_reload: Gauge::default(),
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
            "portcullis_streams_closed",
            "Downloads, event streams, gRPC and WebSockets closed because they are no longer allowed, by route and reason",
            metrics.streams_closed.clone(),
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
        metrics.register_tls(registry);
        metrics
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

    /// Returns the handles of one route; `none` stands for requests that matched no route.
    pub(crate) fn route(&self, route: &str) -> RouteMetrics {
        let stage = |stage| self.durations.get_or_create_owned(&StageLabels { route: route.to_owned(), stage });
        RouteMetrics {
            route: route.into(),
            requests: self.requests.clone(),
            shadow_differences: self.shadow_differences.clone(),
            streams_closed: self.streams_closed.clone(),
            common: std::array::from_fn(|_| std::array::from_fn(|_| OnceLock::new())),
            policy: stage("policy"),
            upstream: stage("upstream"),
            total: stage("total"),
        }
    }

    /// Returns the handles of one listener.
    pub(crate) fn listener(&self, listener: &str) -> ListenerMetrics {
        let labels = ListenerLabels { listener: listener.to_owned() };
        let handshake =
            |result| self.handshakes.get_or_create_owned(&HandshakeLabels { listener: listener.to_owned(), result });
        ListenerMetrics {
            opened: self.connections_opened.get_or_create_owned(&labels),
            open: self.connections_open.get_or_create_owned(&labels),
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

/// The handles of one route, resolved when a configuration is loaded.
#[derive(Debug)]
pub(crate) struct RouteMetrics {
    route: Box<str>,
    requests: Family<RequestLabels, Counter>,
    shadow_differences: Family<ShadowLabels, Counter>,
    streams_closed: Family<ClosedLabels, Counter>,
    // Counters of the usual answers, so that a request looks nothing up; made when first used, so that no empty series
    // is exported.
    common: [[OnceLock<Counter>; COMMON_CODES.len()]; 3],
    policy: Latency,
    upstream: Latency,
    total: Latency,
}

impl RouteMetrics {
    /// Counts one request.
    pub(crate) fn record(&self, decision: audit::Decision, code: u16, times: &Times) {
        let row = match decision {
            audit::Decision::Allow => 0,
            audit::Decision::Deny => 1,
            audit::Decision::Challenge => 2,
        };
        let decision = decision_label(decision);
        let counter = || {
            let labels = RequestLabels { route: self.route.to_string(), code: Code::of(code), decision };
            self.requests.get_or_create_owned(&labels)
        };
        let column = COMMON_CODES.iter().position(|common| *common == code);
        match column.and_then(|column| self.common.get(row)?.get(column)) {
            Some(common) => common.get_or_init(counter).inc(),
            None => counter().inc(),
        };
        if let Some(policy) = times.policy {
            self.policy.observe(policy);
        }
        if let Some(upstream) = times.upstream {
            self.upstream.observe(upstream);
        }
        self.total.observe(times.total);
    }

    /// Counts a request of which rules in shadow would have decided otherwise.
    pub(crate) fn shadow_differs(&self, decision: audit::Decision, shadow: audit::Decision) {
        let (decision, shadow) = (decision_label(decision), decision_label(shadow));
        let labels = ShadowLabels { route: self.route.to_string(), decision, shadow };
        self.shadow_differences.get_or_create(&labels).inc();
    }

    /// Counts a stream that was closed because it is no longer allowed.
    pub(crate) fn stream_closed(&self, reason: &'static str) {
        self.streams_closed.get_or_create(&ClosedLabels { route: self.route.to_string(), reason }).inc();
    }
}

const fn decision_label(decision: audit::Decision) -> &'static str {
    match decision {
        audit::Decision::Allow => "allow",
        audit::Decision::Deny => "deny",
        audit::Decision::Challenge => "challenge",
    }
}

/// How long the stages of one request took; a stage that was not reached is absent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    /// The decision.
    pub(crate) policy: Option<Duration>,
    /// Until the upstream's response headers.
    pub(crate) upstream: Option<Duration>,
    /// Until the last byte was sent.
    pub(crate) total: Duration,
}

/// The handles of one listener.
#[derive(Clone, Debug)]
pub(crate) struct ListenerMetrics {
    opened: Counter,
    open: Gauge,
    addresses_lost: Counter,
    addresses_shared: Counter,
    proxy_headers_refused: Counter,
    // By the place in `Limit::ALL`.
    limits_reached: [Counter; Limit::ALL.len()],
    handshakes_ok: Counter,
    handshakes_failed: Counter,
    clients_refused: Counter,
}

/// A limit of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// The next client has to wait.
    MaxConnections,
    /// A client's further connection was closed.
    MaxConnectionsPerClient,
    /// A handshake took too long.
    HandshakeTimeout,
    /// A head took too long.
    HeaderTimeout,
    /// Nothing came for too long.
    IdleTimeout,
    /// A head was too large: 431.
    MaxHeaderBytes,
}

impl Limit {
    const ALL: [Self; 6] = [
        Self::MaxConnections,
        Self::MaxConnectionsPerClient,
        Self::HandshakeTimeout,
        Self::HeaderTimeout,
        Self::IdleTimeout,
        Self::MaxHeaderBytes,
    ];

    /// Returns its key in the configuration.
    const fn as_str(self) -> &'static str {
        match self {
            Self::MaxConnections => "max_connections",
            Self::MaxConnectionsPerClient => "max_connections_per_client",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::HeaderTimeout => "header_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::MaxHeaderBytes => "max_header_bytes",
        }
    }
}

/// How a handshake went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handshake {
    /// It agreed.
    Ok,
    /// It failed.
    Failed,
    /// It failed for want of a good certificate of the client.
    ClientRefused,
}

impl From<bool> for Handshake {
    fn from(ok: bool) -> Self {
        if ok { Self::Ok } else { Self::Failed }
    }
}

impl ListenerMetrics {
    /// Counts a connection as open until the value is dropped.
    pub(crate) fn open(&self) -> OpenConnection {
        self.opened.inc();
        self.open.inc();
        OpenConnection(self.open.clone())
    }

    /// Counts a request whose client's address is lost, and returns how many there were before.
    pub(crate) fn address_lost(&self) -> u64 {
        self.addresses_lost.inc()
    }

    /// Counts an address that many users share, and returns how many there were before.
    pub(crate) fn address_shared(&self) -> u64 {
        self.addresses_shared.inc()
    }

    /// Counts a connection that came to a limit.
    pub(crate) fn limit_reached(&self, limit: Limit) {
        let place = Limit::ALL.iter().position(|other| *other == limit);
        if let Some(counter) = place.and_then(|place| self.limits_reached.get(place)) {
            counter.inc();
        }
    }

    /// Counts a connection without a good PROXY header.
    pub(crate) fn proxy_header_refused(&self) {
        self.proxy_headers_refused.inc();
    }

    /// Counts a handshake.
    pub(crate) fn handshake(&self, handshake: Handshake) {
        match handshake {
            Handshake::Ok => self.handshakes_ok.inc(),
            Handshake::Failed => self.handshakes_failed.inc(),
            Handshake::ClientRefused => self.clients_refused.inc(),
        };
    }
}

/// Counts one connection as open.
#[derive(Debug)]
pub(crate) struct OpenConnection(Gauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
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

/// A histogram of durations without a lock: three of them are written for every request by all threads at once.
#[derive(Clone, Debug, Default)]
struct Latency(Arc<Buckets>);

#[derive(Debug, Default)]
struct Buckets {
    // Invariant: one more than the bounds; the last counts what is above all of them.
    counts: [AtomicU64; BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
}

impl Latency {
    fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        if let Some(count) = self.0.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.0.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }
}

impl TypedMetric for Latency {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Latency {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
        let buckets: Vec<_> = bounds.zip(self.0.counts.iter().map(|count| count.load(Ordering::Relaxed))).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = Duration::from_nanos(self.0.nanoseconds.load(Ordering::Relaxed)).as_secs_f64();
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

const COMMON_CODES: [u16; 12] = [200, 201, 204, 206, 301, 302, 304, 400, 401, 403, 404, 502];

/// In seconds: decisions take microseconds, upstreams milliseconds, downloads minutes.
const BOUNDS: [f64; 16] =
    [0.000_005, 0.000_025, 0.000_1, 0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

#[cfg(test)]
mod tests;
