//! What the audit log counts about itself, read when somebody asks for the metrics.

use std::fmt;
use std::sync::Arc;

use audit::{LATENCY_BOUNDS, Log, Progress, Statistics};
use identity::{Clock as _, SystemClock};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use telemetry::Shippers;

/// Reads the counters of a log.
#[derive(Debug)]
struct AuditMetrics {
    log: Log,
    shippers: Arc<Shippers>,
}

/// Registers the metrics of the log and of those who follow it.
pub(crate) fn register(registry: &mut Registry, log: Log, shippers: Arc<Shippers>) {
    registry.register_collector(Box::new(AuditMetrics { log, shippers }));
}

impl Collector for AuditMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let statistics = self.log.statistics();
        let Statistics { records, bytes, failures, segment, waiting_bytes, .. } = statistics;
        let mut counter = |name, help, value| {
            encoder
                .encode_descriptor(name, help, None, MetricType::Counter)
                .and_then(|e| ConstCounter::new(value).encode(e))
        };
        counter("portcullis_audit_records", "Lines in segments of the audit log", records)?;
        counter("portcullis_audit_written_bytes", "Bytes of these lines", bytes)?;
        counter("portcullis_audit_failures", "Batches that the disk did not take at once", failures)?;
        let mut gauge = |name, help, value| {
            encoder
                .encode_descriptor(name, help, None, MetricType::Gauge)
                .and_then(|e| ConstGauge::new(value).encode(e))
        };
        gauge("portcullis_audit_segment", "The number of the segment that is written", segment)?;
        gauge("portcullis_audit_waiting_bytes", "Bytes that are not yet in a segment: the lag", waiting_bytes as u64)?;
        gauge(
            "portcullis_audit_accepting",
            "1 while the log takes records, else requests are refused",
            u64::from(self.log.check().is_ok()),
        )?;
        commits(&mut encoder, &statistics)?;
        let receivers = self.shippers.progress();
        sinks(&mut encoder, &statistics, &receivers)?;
        lag(&mut encoder, &receivers)
    }
}

fn commits(encoder: &mut DescriptorEncoder<'_>, statistics: &Statistics) -> fmt::Result {
    let bounds = LATENCY_BOUNDS.iter().map(std::time::Duration::as_secs_f64).chain([f64::INFINITY]);
    let buckets: Vec<_> = bounds.zip(statistics.commits).collect();
    let (sum, count) = (statistics.commit_time.as_secs_f64(), statistics.commits.iter().sum());
    encoder
        .encode_descriptor(
            "portcullis_audit_commit_seconds",
            "How long it took to write a batch",
            None,
            MetricType::Histogram,
        )?
        .encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
}

fn sinks(encoder: &mut DescriptorEncoder<'_>, statistics: &Statistics, receivers: &[Arc<Progress>]) -> fmt::Result {
    let copied = statistics.sinks.iter().map(|sink| (sink.name, sink.sent, sink.dropped));
    let followed = receivers.iter().map(|one| (one.name(), one.lines_sent(), one.lines_dropped()));
    let mut of_sinks = encoder.encode_descriptor(
        "portcullis_audit_sink_records",
        "Lines for further places, by what became of them",
        None,
        MetricType::Counter,
    )?;
    for (name, sent, dropped) in copied.chain(followed) {
        for (result, count) in [("sent", sent), ("dropped", dropped)] {
            let labels = [("sink", name), ("result", result)];
            ConstCounter::new(count).encode(of_sinks.encode_family(&labels)?)?;
        }
    }
    let mut waiting = encoder.encode_descriptor(
        "portcullis_audit_sink_waiting_bytes",
        "Bytes that wait for standard output",
        None,
        MetricType::Gauge,
    )?;
    for sink in &statistics.sinks {
        ConstGauge::new(sink.waiting_bytes as u64).encode(waiting.encode_family(&[("sink", sink.name)])?)?;
    }
    Ok(())
}

fn lag(encoder: &mut DescriptorEncoder<'_>, receivers: &[Arc<Progress>]) -> fmt::Result {
    let mut lag = encoder.encode_descriptor(
        "portcullis_audit_sink_lag_seconds",
        "How long the oldest line waits that a receiver has not got",
        None,
        MetricType::Gauge,
    )?;
    let now = SystemClock.now();
    for receiver in receivers {
        let waits = receiver.oldest_waiting().map_or(0.0, |since| now.duration_since(since).as_secs_f64().max(0.0));
        ConstGauge::new(waits).encode(lag.encode_family(&[("sink", receiver.name())])?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
