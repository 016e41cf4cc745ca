//! What is counted of reloads.

use identity::{Clock as _, SystemClock};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Counts reloads.
#[derive(Debug)]
pub(crate) struct ReloadMetrics {
    reloads: Family<ResultLabels, Counter>,
    last_success: Gauge,
    last_success_time: Gauge,
    info: Family<RevisionLabels, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RevisionLabels {
    revision: String,
}

impl ReloadMetrics {
    /// Registers the metrics; the first configuration is in force.
    pub(crate) fn register(registry: &mut Registry, revision: &str) -> Self {
        let metrics = Self {
            reloads: Family::default(),
            last_success: Gauge::default(),
            last_success_time: Gauge::default(),
            info: Family::default(),
        };
        registry.register(
            "portcullis_config_reloads",
            "Reloads of the configuration by result",
            metrics.reloads.clone(),
        );
        registry.register(
            "portcullis_config_last_reload_success",
            "1 when the last reload was taken, 0 when it was refused and the last good configuration serves",
            metrics.last_success.clone(),
        );
        registry.register(
            "portcullis_config_last_reload_success_timestamp_seconds",
            "When the configuration that serves was taken, in seconds since 1970",
            metrics.last_success_time.clone(),
        );
        registry.register(
            "portcullis_config_info",
            "1, with the revision of the configuration that serves",
            metrics.info.clone(),
        );
        for result in ["taken", "refused"] {
            drop(metrics.reloads.get_or_create(&ResultLabels { result }));
        }
        metrics.in_force(revision);
        metrics
    }

    /// A configuration was taken.
    pub(super) fn reloaded(&self, revision: &str) {
        self.reloads.get_or_create(&ResultLabels { result: "taken" }).inc();
        self.in_force(revision);
    }

    /// A configuration was refused.
    pub(super) fn refused(&self) {
        self.reloads.get_or_create(&ResultLabels { result: "refused" }).inc();
        self.last_success.set(0);
    }

    fn in_force(&self, revision: &str) {
        self.last_success.set(1);
        self.last_success_time.set(SystemClock.now().as_second());
        self.info.clear();
        self.info.get_or_create(&RevisionLabels { revision: revision.to_owned() }).set(1);
    }
}
