//! What became of the spans of traces, read when somebody asks for the metrics.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::registry::Registry;
use telemetry::SpanCounts;

#[derive(Debug)]
struct SpanMetrics(Arc<SpanCounts>);

/// Registers the counts.
pub(crate) fn register(registry: &mut Registry, counts: Arc<SpanCounts>) {
    registry.register_collector(Box::new(SpanMetrics(counts)));
}

impl Collector for SpanMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut spans = encoder.encode_descriptor(
            "portcullis_trace_spans",
            "Spans of traces by what became of them",
            None,
            MetricType::Counter,
        )?;
        for (result, count) in [("sent", self.0.sent()), ("dropped", self.0.dropped())] {
            ConstCounter::new(count).encode(spans.encode_family(&[("result", result)])?)?;
        }
        Ok(())
    }
}
