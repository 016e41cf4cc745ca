//! Small requests: what one costs, how many are served, and how long they take at a rate.

use std::thread::sleep;
use std::time::Duration;

use integration::Result;
use tokio::time::Instant;

use super::{Named, Plan, Started, rounds, start};
use crate::client::Protocol;
use crate::counters::Counter;
use crate::figures::{Figures, Results};
use crate::load::Load;
use crate::peers::{Contestant, PATH, Shape};
use crate::process::{cpu_seconds, memory_kib, whole_cpu_seconds};
use crate::site::Site;

/// A proxy under load.
struct Loaded {
    started: Started,
    load: Load,
    rest_kib: f64,
}

impl Named for Loaded {
    fn name(&self) -> &'static str {
        self.started.name()
    }
}

/// Measures all of it.
pub(super) fn measure(
    shape: Shape,
    site: &Site,
    contestants: &[&'static dyn Contestant],
    protocol: Protocol,
    plan: Plan,
    results: &mut Results,
) -> Result<()> {
    let loaded = start(site, shape, contestants)?.into_iter().map(|started| {
        let rest_kib = started.used()?.1;
        let mut load = Load::open(&started.running.target(site, protocol, PATH), shape.answer())?;
        // Connections, pools, caches and allocators fill.
        load.closed(plan.requests / 4)?;
        Ok(Loaded { started, load, rest_kib })
    });
    let mut loaded: Vec<_> = loaded.collect::<Result<_>>()?;
    rounds(plan, &mut loaded, results, |loaded| saturate(loaded, plan))?;
    let Some(duration) = plan.at_rate else { return Ok(()) };
    let Some(rate) = half_of_saturation(results) else { return Ok(()) };
    let mut fast = Vec::new();
    for Loaded { started, rest_kib, .. } in loaded {
        let name = started.name();
        // One that cannot keep up would show how long the run was.
        if results.spread(name, "per_second").is_some_and(|spread| spread.median > rate * HEADROOM) {
            let target = started.running.target(site, protocol, PATH);
            let load = Load::wide(&target, shape.answer(), CONNECTIONS)?;
            fast.push(Loaded { started, load, rest_kib });
        }
    }
    rounds(plan, &mut fast, results, |loaded| {
        let figures = latencies(&mut loaded.load, rate, duration)?;
        if plan.rests {
            rest(&loaded.started.running.processes()?);
        }
        Ok(figures)
    })
}

/// As many requests as it serves.
fn saturate(loaded: &mut Loaded, plan: Plan) -> Result<Figures> {
    let processes = loaded.started.running.processes()?;
    let counter = plan.counted.then(|| Counter::attach(&processes)).transpose()?;
    let (before, whole_before) = (cpu_seconds(&processes), whole_cpu_seconds(&processes));
    let taken = loaded.load.closed(plan.requests)?;
    let cpu = cpu_seconds(&processes) - before;
    let requests = f64::from(plan.requests);
    let mut figures = counter.map_or_else(|| Ok(Figures::new()), |counter| counter.end(requests))?;
    figures.insert("cpu_us".into(), cpu * 1e6 / requests);
    if plan.rests {
        let later = rest(&processes) - whole_before - cpu;
        figures.insert("later_us".into(), later.max(0.0) * 1e6 / requests);
    }
    figures.insert("per_second".into(), requests / taken.as_secs_f64());
    // A share of one processor: near 1, the proxy is what bounds the rate.
    figures.insert("utilisation".into(), cpu / taken.as_secs_f64());
    figures.insert("rest_mib".into(), loaded.rest_kib / 1024.0);
    figures.insert("loaded_mib".into(), memory_kib(&processes) / 1024.0);
    Ok(figures)
}

/// Waits until a proxy does nothing any more, with a bound; returns the CPU time that it has had then.
fn rest(processes: &[u32]) -> f64 {
    let began = Instant::now();
    let mut had = whole_cpu_seconds(processes);
    loop {
        sleep(LOOK);
        let has = whole_cpu_seconds(processes);
        if has <= had || began.elapsed() > RESTING {
            return has;
        }
        had = has;
    }
}

/// Half of what Portcullis serves, so that all are asked the same; of what the first one serves, without it.
fn half_of_saturation(results: &Results) -> Option<f64> {
    let peers = results.peers();
    let of = peers.iter().find(|name| **name == "portcullis").or_else(|| peers.first())?;
    Some(results.spread(of, "per_second")?.median / 2.0)
}

fn latencies(load: &mut Load, rate: f64, duration: Duration) -> Result<Figures> {
    let mut figures = load.at_rate(rate, duration)?.figures("");
    figures.insert("rate".into(), rate);
    Ok(figures)
}

/// Connections at a rate, of one request at a time each.
const CONNECTIONS: usize = 32;

/// What one serves beyond the rate for its latency to mean something.
const HEADROOM: f64 = 1.15;

/// How often a proxy is looked at: often enough that the least that is counted is a tenth of a processor.
const LOOK: Duration = Duration::from_millis(100);

/// How long it may take to come to rest.
const RESTING: Duration = Duration::from_secs(10);
