//! The command line.

use std::time::Duration;

use clap::Parser;
use integration::Result;

use crate::client::Protocol;
use crate::peers::Contestant;
use crate::scenario::{self, Plan, Scenario};

/// Compares Portcullis with what people would use instead, on loopback, in the same run.
///
/// Results are kept in target/bench, as lines of JSON. docs/performance.md says how to read them.
#[derive(Debug, Parser)]
#[command(name = "tests/bench/run")]
pub(crate) struct Options {
    /// Measures only this scenario; may be repeated
    #[arg(long, value_name = "NAME")]
    scenario: Vec<String>,
    /// Measures only this proxy; may be repeated
    #[arg(long, value_name = "NAME")]
    peer: Vec<String>,
    /// How often everything is measured, in turns
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,
    /// Requests of a round; a tenth as many handshakes
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    requests: u32,
    /// Counts instructions too, as `perf` does: of Portcullis and the bare proxy, unless others are named
    #[arg(long)]
    pub(crate) count: bool,
    /// Measures briefly, tries every peer's configuration, and fails where Portcullis became dearer
    #[arg(long)]
    pub(crate) check: bool,
    /// Keeps Portcullis busy for a profiler, for twenty seconds, and tells its process id
    #[arg(long, value_name = "PROTOCOL")]
    pub(crate) load: Option<Protocol>,
    /// Lists scenarios and proxies
    #[arg(long)]
    pub(crate) list: bool,
    /// Writes tables and plots of all kept results into docs/performance.md
    #[arg(long)]
    pub(crate) write: bool,
    /// Measures nothing: reads what is kept
    #[arg(long)]
    pub(crate) report: bool,
}

impl Options {
    /// Returns the scenarios that were asked for.
    pub(crate) fn scenarios(&self) -> Result<Vec<&'static Scenario>> {
        if self.scenario.is_empty() {
            let counted = ["identity-h1", "identity-h2"];
            return Ok(scenario::ALL
                .iter()
                .filter(|scenario| !self.count || counted.contains(&scenario.name))
                .collect());
        }
        self.scenario.iter().map(|name| scenario::find(name)).collect()
    }

    /// Returns those of a scenario's proxies that were asked for.
    pub(crate) fn contestants(&self, scenario: &Scenario) -> Result<Vec<&'static dyn Contestant>> {
        let all = scenario.contestants();
        let named: Vec<&str> = match self.peer.as_slice() {
            [] if self.count => vec!["bare", "portcullis"],
            named => named.iter().map(String::as_str).collect(),
        };
        if let Some(unknown) = named.iter().find(|name| !all.iter().any(|known| known.name() == **name)) {
            let known: Vec<_> = all.iter().map(|known| known.name()).collect();
            return Err(format!("`{}` has no proxy `{unknown}`: {}", scenario.name, known.join(", ")).into());
        }
        Ok(all.into_iter().filter(|known| named.is_empty() || named.contains(&known.name())).collect())
    }

    /// Returns how much is measured.
    pub(crate) fn plan(&self) -> Plan {
        let at_rate = (!self.count).then_some(AT_RATE);
        Plan { rounds: self.rounds.max(1), requests: self.requests, at_rate, counted: self.count, rests: false }
    }
}

/// How long requests are sent at a rate, in each round.
const AT_RATE: Duration = Duration::from_secs(3);
