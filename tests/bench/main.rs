//! Compares Portcullis with what people would use instead: the same work, in turns, on one machine.
//! `tests/bench/run` builds and runs it; docs/performance.md says how to read it. Start reading at `scenario.rs`.

mod check;
mod client;
mod counters;
mod figures;
mod load;
mod machine;
mod options;
mod peers;
mod process;
mod report;
mod scenario;
mod site;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::Parser as _;
use identity::{Clock as _, SystemClock};
use integration::Result;
use tokio::time::Instant;

use crate::client::Protocol;
use crate::figures::Results;
use crate::load::Load;
use crate::machine::Placement;
use crate::options::Options;
use crate::peers::Shape;
use crate::scenario::Scenario;
use crate::site::Site;

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((name, rest)) if name == "upstream" => {
            let [cert, key, plain, h2c, tls] = rest else { return Err("upstream CERT KEY PLAIN H2C TLS".into()) };
            let addresses = [plain.parse()?, h2c.parse()?, tls.parse()?];
            tokio::runtime::Runtime::new()?.block_on(site::upstream::run(cert, key, addresses))?;
            Ok(ExitCode::SUCCESS)
        }
        Some((name, [address, sessions @ ..])) if name == "authoriser" => {
            site::authoriser::run(address.parse()?, sessions)?;
            Ok(ExitCode::SUCCESS)
        }
        _ => compare(&Options::parse()),
    }
}

fn compare(options: &Options) -> Result<ExitCode> {
    if options.list {
        list()?;
        return Ok(ExitCode::SUCCESS);
    }
    if options.report {
        report::write()?;
        return Ok(ExitCode::SUCCESS);
    }
    // prctl(2), PR_SET_TIMERSLACK: threads that sleep until a request is due wake when it is. Threads inherit it. Where it
    // cannot be had, requests are sent some 50 µs late, which counts.
    let _ = fs::write("/proc/self/timerslack_ns", "1000");
    let placement = Placement::take()?;
    if options.check {
        return check::run(placement);
    }
    if let Some(protocol) = options.load {
        return load(protocol, placement);
    }
    for scenario in options.scenarios()? {
        let results = measure(scenario, options, placement)?;
        write!(io::stdout().lock(), "{}", report::scenario(scenario, &results))?;
        // Counting slows down what is timed, and so does a build for debugging: neither is kept.
        if !options.count && !cfg!(debug_assertions) {
            results.write(scenario.name)?;
        }
    }
    if options.write {
        report::write()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Keeps Portcullis busy over one protocol for a profiler, which is told whom to look at.
fn load(protocol: Protocol, placement: Placement) -> Result<ExitCode> {
    let site = Site::start(placement)?;
    let running = peers::start(&peers::PORTCULLIS, &site, Shape::Identity)?;
    let mut load = Load::open(&running.target(&site, protocol, peers::PATH), Shape::Identity.answer())?;
    writeln!(io::stdout().lock(), "{}", running.processes()?.first().ok_or("no process")?)?;
    let until = Instant::now() + LOADED;
    while Instant::now() < until {
        load.closed(10_000)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Measures one scenario, on a site of its own.
fn measure(scenario: &Scenario, options: &Options, placement: Placement) -> Result<Results> {
    let site = Site::start(placement)?;
    let mut results = scenario.run(&site, &options.contestants(scenario)?, options.plan())?;
    let command: Vec<String> = std::env::args().skip(1).collect();
    results.about = BTreeMap::from([
        ("machine".into(), machine::description()?),
        ("date".into(), SystemClock.now().to_string().chars().take("2026-11-21T08:00".len()).collect()),
        ("command".into(), format!("tests/bench/run {}", command.join(" ")).trim().into()),
        ("revision".into(), revision()),
    ]);
    Ok(results)
}

/// Returns the commit that is measured, or nothing outside of a checkout.
fn revision() -> String {
    let output = Command::new("git").args(["describe", "--always", "--dirty"]).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

fn list() -> Result<()> {
    let mut out = io::stdout().lock();
    for scenario in scenario::ALL {
        writeln!(out, "{:<20} {}", scenario.name, scenario.about)?;
    }
    writeln!(out)?;
    for contestant in peers::all() {
        writeln!(out, "{:<20} {}", contestant.name(), contestant.how())?;
    }
    Ok(())
}

/// How long a profiler has.
const LOADED: Duration = Duration::from_secs(20);
