//! How metrics are written: as `OpenMetrics`, or as the text format of Prometheus from before it, for whom that is all that
//! they take.

use std::collections::HashSet;

use axum::http::{HeaderMap, header};

/// Returns whether somebody takes the older format, and does not say that they take `OpenMetrics`.
pub(super) fn asks_for_text(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    let types = accepted.flat_map(|accept| accept.split(',')).filter_map(|range| range.split(';').next());
    let types: Vec<_> = types.map(|of| of.trim().to_ascii_lowercase()).collect();
    let takes = |name: &str| types.iter().any(|of| of == name);
    takes("text/plain") && !takes("application/openmetrics-text")
}

/// Returns `OpenMetrics` in the older format, in which a counter is called as its sample is.
pub(super) fn as_text(metrics: &str) -> String {
    let name_of_counter = |line: &'_ str| line.strip_prefix("# TYPE ")?.strip_suffix(" counter").map(str::to_owned);
    let counters: HashSet<_> = metrics.lines().filter_map(name_of_counter).collect();
    let mut text = String::with_capacity(metrics.len());
    for line in metrics.lines().filter(|line| *line != "# EOF") {
        let told = ["# HELP ", "# TYPE "].into_iter().find_map(|what| {
            let (name, told) = line.strip_prefix(what)?.split_once(' ')?;
            counters.contains(name).then(|| format!("{what}{name}_total {told}\n"))
        });
        match told {
            Some(told) => text.push_str(&told),
            None => text.extend([line, "\n"]),
        }
    }
    text
}

pub(super) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
pub(super) const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

#[cfg(test)]
mod tests;
