//! What Portcullis costs beside a bare proxy of the same parts: CPU time for a request, measured in turns on one machine.
//! `tests/bench/run` builds and runs it; docs/performance.md says how to read it.

mod counters;
mod load;
mod process;
mod scenario;
mod table;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use integration::Result;
use tokio::time::Instant;

use crate::load::Protocol;
use crate::scenario::{Measured, Scenario};
use crate::table::{Table, median};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
struct Plan {
    rounds: usize,
    requests: u32,
    /// Whether `perf` counts besides.
    counted: bool,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => {
            report(&measure(Plan { rounds: 9, requests: 40_000, counted: false }).await?)?;
            Ok(ExitCode::SUCCESS)
        }
        ["--count"] => {
            report(&measure(Plan { rounds: 3, requests: 40_000, counted: true }).await?)?;
            Ok(ExitCode::SUCCESS)
        }
        ["--check"] => check().await,
        ["--load", "http1"] => load(Protocol::Http1).await,
        ["--load", "http2"] => load(Protocol::Http2).await,
        _ => Err("usage: bench [--check | --count | --load (http1 | http2)]".into()),
    }
}

/// Starts everything, and lets both proxies answer the same requests in turns.
async fn measure(plan: Plan) -> Result<Measured> {
    let mut scenario = Scenario::start().await?;
    let mut table = Table::default();
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let mut rounds = scenario.rounds(protocol).await?;
        // Connections, pools, caches and allocators fill.
        rounds.next(plan.requests / 4, false).await?;
        for _ in 0..plan.rounds {
            table.add(protocol, rounds.next(plan.requests, plan.counted).await?);
        }
    }
    scenario.finish(table).await
}

fn report(measured: &Measured) -> Result<()> {
    write!(io::stdout().lock(), "{measured}")?;
    Ok(())
}

/// Keeps Portcullis busy over one protocol for a profiler, which is told whom to look at.
async fn load(protocol: Protocol) -> Result<ExitCode> {
    let mut scenario = Scenario::start().await?;
    let mut rounds = scenario.rounds(protocol).await?;
    writeln!(io::stdout().lock(), "{}", rounds.portcullis())?;
    let until = Instant::now() + LOADED;
    while Instant::now() < until {
        rounds.load(10_000).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Measures briefly and compares with the promises. A second run decides where the first one was disturbed.
async fn check() -> Result<ExitCode> {
    let plan = Plan { rounds: 5, requests: 20_000, counted: false };
    let mut verdicts = promises(&measure(plan).await?)?;
    if verdicts.iter().any(|(_, kept)| !kept) {
        writeln!(io::stdout().lock(), "once more:")?;
        verdicts = promises(&measure(plan).await?)?;
    }
    let mut out = io::stdout().lock();
    for (promise, kept) in &verdicts {
        writeln!(out, "{} {promise}", if *kept { "ok  " } else { "FAIL" })?;
    }
    let failed = verdicts.iter().filter(|(_, kept)| !kept).count();
    writeln!(out, "{} passed, {failed} failed", verdicts.len() - failed)?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn promises(measured: &Measured) -> Result<Vec<(String, bool)>> {
    report(measured)?;
    let ratio = |protocol| median(measured.table.ratios(protocol));
    let (http1, http2) = (ratio(Protocol::Http1), ratio(Protocol::Http2));
    let Measured { idle_kib, forwarded, recorded, asserted, .. } = measured;
    Ok(vec![
        (format!("HTTP/1.1: {http1:.2} times a bare proxy's CPU, at most {MOST}"), http1 <= MOST),
        (format!("HTTP/2: {http2:.2} times a bare proxy's CPU, at most {MOST}"), http2 <= MOST),
        (format!("idle: {} KiB resident, less than {IDLE_KIB}", idle_kib.portcullis), idle_kib.portcullis < IDLE_KIB),
        (format!("audit: {recorded} records of {forwarded} requests"), recorded == forwarded),
        (format!("assertions: {asserted} with {forwarded} requests"), asserted == forwarded),
    ])
}

/// What Portcullis may cost, as a multiple of the bare proxy. Wide enough for a machine that does other things besides: it
/// notices what makes requests much dearer. docs/performance.md has the aim.
const MOST: f64 = 3.0;

/// What Portcullis may hold before the first request.
const IDLE_KIB: u64 = 30 * 1024;

/// How long a profiler has.
const LOADED: Duration = Duration::from_secs(20);
