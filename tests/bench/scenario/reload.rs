//! Requests at a rate while the configuration is read again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use integration::Result;

use super::{Plan, Started, rounds, start};
use crate::client::Protocol;
use crate::figures::Results;
use crate::load::Load;
use crate::peers::{Contestant, PATH, Shape};
use crate::site::Site;

/// Measures latency with and without reloads, and what failed.
pub(super) fn measure(
    site: &Site,
    contestants: &[&'static dyn Contestant],
    plan: Plan,
    results: &mut Results,
) -> Result<()> {
    let mut started = start(site, Shape::Identity, contestants)?;
    rounds(plan, &mut started, results, |started| {
        let target = started.running.target(site, Protocol::Http1, PATH);
        let mut load = Load::wide(&target, Shape::Identity.answer(), CONNECTIONS)?;
        load.at_rate(RATE, WARMING)?;
        let mut figures = load.at_rate(RATE, DURATION)?.figures("undisturbed_");
        let ended = AtomicBool::new(false);
        let reloaded = thread::scope(|scope| {
            let reloads = scope.spawn(|| reload_until(&ended, started));
            let latencies = load.at_rate(RATE, DURATION);
            ended.store(true, Ordering::Relaxed);
            reloads.join().map_err(|_| "the thread that reloads panicked")??;
            latencies
        })?;
        figures.extend(reloaded.figures(""));
        Ok(figures)
    })
}

fn reload_until(ended: &AtomicBool, started: &Started) -> Result<()> {
    let signal = started.contestant.reload().ok_or("no signal")?;
    while !ended.load(Ordering::Relaxed) {
        started.running.signal(signal)?;
        thread::sleep(BETWEEN);
    }
    Ok(())
}

const RATE: f64 = 2000.0;
const CONNECTIONS: usize = 32;
const WARMING: Duration = Duration::from_millis(500);
const DURATION: Duration = Duration::from_secs(5);
const BETWEEN: Duration = Duration::from_secs(1);
