//! The rounds as a table, and what they say together.

use std::fmt;

use crate::counters::Counts;
use crate::load::{IN_FLIGHT, Protocol, STREAMS};
use crate::scenario::{Both, Cost, Measured};

/// The rounds in the order in which they ran.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<(Protocol, Both<Cost>)>);

impl Table {
    /// Adds a round.
    pub(crate) fn add(&mut self, protocol: Protocol, costs: Both<Cost>) {
        self.0.push((protocol, costs));
    }

    /// Returns what Portcullis cost as a multiple of the bare proxy, for each round.
    pub(crate) fn ratios(&self, protocol: Protocol) -> Vec<f64> {
        self.rounds(protocol).map(ratio).collect()
    }

    /// Writes what `perf` counted, where it did.
    fn counts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            for (name, of) in COUNTS {
                let median = |side: fn(&Both<Cost>) -> &Cost| {
                    median(self.rounds(protocol).filter_map(|costs| side(costs).counts.as_ref().map(of)).collect())
                };
                let (bare, portcullis) = (median(|costs| &costs.bare), median(|costs| &costs.portcullis));
                if bare.is_finite() {
                    let ratio = portcullis / bare;
                    writeln!(
                        f,
                        "{protocol} {name:<22} bare {bare:>10.2}  portcullis {portcullis:>10.2}  {ratio:>6.2}"
                    )?;
                }
            }
        }
        Ok(())
    }

    fn rounds(&self, protocol: Protocol) -> impl Iterator<Item = &Both<Cost>> {
        self.0.iter().filter(move |(other, _)| *other == protocol).map(|(_, costs)| costs)
    }

    fn median(&self, protocol: Protocol, of: impl Fn(&Both<Cost>) -> f64) -> f64 {
        median(self.rounds(protocol).map(of).collect())
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{IN_FLIGHT} requests in flight over TLS: HTTP/1.1 on {IN_FLIGHT} connections, HTTP/2 on {}. \
             Upstream: HTTP/1.1, 1 KiB.\n",
            IN_FLIGHT / STREAMS
        )?;
        writeln!(f, "{:<9} {:>6} {:>19} {:>19} {:>6} {:>21}", "", "", "CPU µs a request", "", "", "requests/s")?;
        writeln!(
            f,
            "{:<9} {:>6} {:>19} {:>19} {:>6} {:>10} {:>10}",
            "client", "round", "bare", "portcullis", "ratio", "bare", "portcullis"
        )?;
        for protocol in [Protocol::Http1, Protocol::Http2] {
            for (number, costs) in self.table.rounds(protocol).enumerate() {
                row(f, protocol, number + 1, COLUMNS.map(|of| of(costs)))?;
            }
            row(f, protocol, "median", COLUMNS.map(|of| self.table.median(protocol, of)))?;
        }
        self.table.counts(f)?;
        let Self { idle_kib: idle, loaded_kib: loaded, .. } = self;
        writeln!(f, "\nresident: idle, bare {} KiB, portcullis {} KiB;", idle.bare, idle.portcullis)?;
        writeln!(f, "     after load, bare {} KiB, portcullis {} KiB\n", loaded.bare, loaded.portcullis)
    }
}

fn row(f: &mut fmt::Formatter<'_>, protocol: Protocol, name: impl fmt::Display, values: [f64; 5]) -> fmt::Result {
    let [bare, portcullis, ratio, bare_rate, portcullis_rate] = values;
    let protocol = protocol.to_string();
    writeln!(
        f,
        "{protocol:<9} {name:>6} {bare:>19.1} {portcullis:>19.1} {ratio:>6.2} {bare_rate:>10.0} {portcullis_rate:>10.0}"
    )
}

fn ratio(costs: &Both<Cost>) -> f64 {
    costs.portcullis.cpu_micros() / costs.bare.cpu_micros()
}

/// Returns the middle value: one disturbed round moves it little.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// What a row tells of its round.
const COLUMNS: [fn(&Both<Cost>) -> f64; 5] = [
    |costs| costs.bare.cpu_micros(),
    |costs| costs.portcullis.cpu_micros(),
    ratio,
    |costs| costs.bare.per_second(),
    |costs| costs.portcullis.per_second(),
];

type Count = fn(&Counts) -> f64;

/// What is told of a request where `perf` counted.
const COUNTS: [(&str, Count); 4] = [
    ("instructions, user", |counts| counts.user_instructions),
    ("instructions, kernel", |counts| counts.kernel_instructions),
    ("cycles", |counts| counts.cycles),
    ("context switches", |counts| counts.switches),
];
