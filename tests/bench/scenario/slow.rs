//! One slow consumer beside a thousand fast ones.

use std::io::{Read as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use integration::Result;

use super::{Plan, rounds, start};
use crate::client::{Protocol, Target};
use crate::figures::Results;
use crate::load::Load;
use crate::peers::{Contestant, PATH, Shape};
use crate::process::Peak;
use crate::site::Site;
use crate::site::upstream::LONG;

/// Measures latency with and without the slow one, and how much memory it takes.
pub(super) fn measure(
    site: &Site,
    contestants: &[&'static dyn Contestant],
    plan: Plan,
    results: &mut Results,
) -> Result<()> {
    let mut started = start(site, Shape::Identity, contestants)?;
    rounds(plan, &mut started, results, |started| {
        let target = started.running.target(site, Protocol::Http1, PATH);
        let mut load = Load::wide(&target, Shape::Identity.answer(), FAST)?;
        load.at_rate(RATE, WARMING)?;
        let mut figures = load.at_rate(RATE, DURATION)?.figures("undisturbed_");
        let (_, rest) = started.used()?;
        let (peak, ended) = (Peak::watch(started.running.processes()?), AtomicBool::new(false));
        let slow = started.running.target(site, Protocol::Http1, LONG);
        let beside = thread::scope(|scope| {
            let slow = scope.spawn(|| crawl(&slow, &ended));
            let latencies = load.at_rate(RATE, DURATION);
            ended.store(true, Ordering::Relaxed);
            slow.join().map_err(|_| "the slow consumer panicked")??;
            latencies
        })?;
        figures.extend(beside.figures(""));
        figures.insert("growth_mib".into(), (peak.end()? - rest).max(0.0) / 1024.0);
        Ok(figures)
    })
}

/// Takes a long answer a little at a time.
fn crawl(target: &Target, ended: &AtomicBool) -> Result<()> {
    let mut stream = target.stream()?;
    stream.write_all(target.ask.http1().as_bytes())?;
    let mut some = vec![0; SOME];
    while !ended.load(Ordering::Relaxed) {
        stream.read_exact(&mut some)?;
        thread::sleep(BETWEEN);
    }
    Ok(())
}

const FAST: usize = 1000;
const RATE: f64 = 2000.0;
const WARMING: Duration = Duration::from_secs(1);
const DURATION: Duration = Duration::from_secs(4);

/// 1 MiB/s.
const SOME: usize = 64 << 10;
const BETWEEN: Duration = Duration::from_micros(62_500);
