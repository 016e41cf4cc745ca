//! TLS handshakes, full and resumed.

use std::sync::Arc;
use std::thread;

use integration::Result;
use rustls::HandshakeKind;
use rustls::client::Resumption;
use tokio::time::Instant;

use super::{Plan, rounds, start};
use crate::client::{Protocol, Stream, Target};
use crate::counters::Counter;
use crate::figures::{Figures, Results};
use crate::peers::{Contestant, PATH, Shape};
use crate::process::cpu_seconds;
use crate::site::Site;

/// Whether the last session is taken up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Full,
    Resumed,
}

/// Measures CPU time of a handshake and how many are made in a second.
pub(super) fn measure(
    shape: Shape,
    site: &Site,
    contestants: &[&'static dyn Contestant],
    kind: Kind,
    plan: Plan,
    results: &mut Results,
) -> Result<()> {
    let mut started = start(site, shape, contestants)?;
    let handshakes = plan.requests / 10;
    rounds(plan, &mut started, results, |started| {
        let target = started.running.target(site, Protocol::Http1, PATH);
        shake(&target, kind, THREADS)?;
        let processes = started.running.processes()?;
        let counter = plan.counted.then(|| Counter::attach(&processes)).transpose()?;
        let (before, began) = (cpu_seconds(&processes), Instant::now());
        shake(&target, kind, handshakes)?;
        let (cpu, seconds) = (cpu_seconds(&processes) - before, began.elapsed().as_secs_f64());
        let handshakes = f64::from(handshakes);
        let mut figures = counter.map_or_else(|| Ok(Figures::new()), |counter| counter.end(handshakes))?;
        figures.insert("handshake_cpu_us".into(), cpu * 1e6 / handshakes);
        figures.insert("handshakes_per_second".into(), handshakes / seconds);
        figures.insert("handshakes_per_core".into(), handshakes / cpu);
        Ok(figures)
    })
}

/// Makes so many connections, some at once.
fn shake(target: &Target, kind: Kind, handshakes: u32) -> Result<()> {
    thread::scope(|scope| {
        let threads: Vec<_> =
            (0..THREADS).map(|_| scope.spawn(|| series(target, kind, handshakes / THREADS))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a thread of the load panicked")?)
    })
}

/// Makes connections one after the other; the first one of those that resume brings the ticket.
fn series(target: &Target, kind: Kind, handshakes: u32) -> Result<()> {
    let mut target = target.clone();
    let tls = target.tls.as_mut().map(Arc::make_mut).ok_or("no TLS")?;
    tls.resumption = match kind {
        Kind::Full => Resumption::disabled(),
        Kind::Resumed => Resumption::in_memory_sessions(1),
    };
    for number in 0..handshakes {
        let stream = target.stream()?;
        let made = match &stream {
            Stream::Tls(stream) => stream.conn.handshake_kind(),
            Stream::Clear(_) => None,
        };
        if kind == Kind::Resumed && number > 0 && made != Some(HandshakeKind::Resumed) {
            return Err("the session was not resumed".into());
        }
        stream.close()?;
    }
    Ok(())
}

const THREADS: u32 = 8;
