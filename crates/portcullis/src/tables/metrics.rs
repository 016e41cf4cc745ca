//! What is measured of tables.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Source;

/// Gauges of each table.
#[derive(Clone, Debug)]
pub(crate) struct TableMetrics {
    rows: Family<TableLabels, Gauge>,
    success: Family<TableLabels, Gauge>,
    good: Family<TableLabels, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TableLabels {
    table: String,
}

impl TableMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self { rows: Family::default(), success: Family::default(), good: Family::default() };
        registry.register("portcullis_table_rows", "Rows of a table of `data`, by table", metrics.rows.clone());
        registry.register(
            "portcullis_table_read_success",
            "1 when the last reading of a table succeeded, 0 when the last good copy, or none, is in use",
            metrics.success.clone(),
        );
        registry.register(
            "portcullis_table_read_success_timestamp_seconds",
            "When the copy of a table that is in use was last known to be the newest, in seconds since 1970",
            metrics.good.clone(),
        );
        metrics
    }

    /// Forgets the tables of the configuration before.
    pub(super) fn start_over(&self, sources: &[Arc<Source>]) {
        self.rows.clear();
        self.success.clear();
        self.good.clear();
        for source in sources {
            self.update(source);
        }
    }

    pub(super) fn update(&self, source: &Source) {
        let labels = TableLabels { table: source.name().to_owned() };
        let rows = source.rows().and_then(|rows| i64::try_from(rows).ok()).unwrap_or_default();
        self.rows.get_or_create(&labels).set(rows);
        self.success.get_or_create(&labels).set(i64::from(source.has_rows() && source.problem().is_none()));
        self.good.get_or_create(&labels).set(source.good().map_or(0, |time| time.as_second()));
    }
}
