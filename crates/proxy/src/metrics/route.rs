//! What is counted and timed of the requests of one route.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::latency::Latency;
use super::series::Series;
use super::tunnels::{Carries, OpenTunnel, TunnelLabels};
use super::{ClosedLabels, Code, RequestLabels, ShadowLabels, StageLabels, decision_label};
use crate::upstream::Pools;

/// The handles of one route, resolved when a configuration is loaded.
#[derive(Debug)]
pub(crate) struct RouteMetrics {
    pub(super) route: Box<str>,
    pub(super) requests: Series<RequestLabels>,
    pub(super) shadow_differences: Series<ShadowLabels>,
    pub(super) streams_closed: Series<ClosedLabels>,
    pub(super) tunnels_open: Family<TunnelLabels, Gauge>,
    // Counters of the usual answers, so that a request looks nothing up; made when first used, so that no empty series
    // is exported.
    pub(super) common: [[OnceLock<Counter>; COMMON_CODES.len()]; 3],
    pub(super) policy: Latency,
    pub(super) upstream: Latency,
    pub(super) total: Latency,
    pub(super) durations: Family<StageLabels, Latency>,
    pub(super) pools: Arc<Pools>,
    pub(super) routes: Routes,
}

/// The handles of routes that some configuration has.
pub(super) type Routes = Arc<Mutex<HashMap<Box<str>, Weak<RouteMetrics>>>>;

impl Drop for RouteMetrics {
    fn drop(&mut self) {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        // Another configuration may have it again meanwhile, and goes on with the same series.
        if !routes.get(&self.route).is_some_and(|last| std::ptr::eq(last.as_ptr(), self)) {
            return;
        }
        routes.remove(&self.route);
        self.requests.remove();
        self.shadow_differences.remove();
        self.streams_closed.remove();
        for carries in Carries::ALL {
            self.tunnels_open.remove(&TunnelLabels::new(&self.route, carries));
        }
        for stage in ["policy", "upstream", "total"] {
            self.durations.remove(&StageLabels { route: self.route.to_string(), stage });
        }
        self.pools.forget(&self.route);
    }
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
            self.requests.counter(labels)
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
        self.shadow_differences.counter(labels).inc();
    }

    /// Counts what is carried both ways as open until the value is dropped.
    pub(crate) fn open_tunnel(&self, carries: Carries) -> OpenTunnel {
        OpenTunnel::new(self.tunnels_open.get_or_create_owned(&TunnelLabels::new(&self.route, carries)))
    }

    /// Counts a stream that was closed because it is no longer allowed.
    pub(crate) fn stream_closed(&self, reason: &'static str) {
        self.streams_closed.counter(ClosedLabels { route: self.route.to_string(), reason }).inc();
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

const COMMON_CODES: [u16; 12] = [200, 201, 204, 206, 301, 302, 304, 400, 401, 403, 404, 502];
