//! Connections that stay open: what each of them holds.

use integration::Result;

use super::{Plan, Started, rounds};
use crate::client::{Protocol, websocket};
use crate::figures::{Figures, Results};
use crate::machine::open_files;
use crate::peers::{self, Contestant, PATH, Shape};
use crate::site::Site;

/// TLS connections that wait for their second request.
pub(super) fn idle(
    site: &Site,
    contestants: &[&'static dyn Contestant],
    plan: Plan,
    results: &mut Results,
) -> Result<()> {
    let count = most()?;
    afresh(site, contestants, plan, results, |started| {
        let target = started.running.target(site, Protocol::Http1, PATH);
        let (_, before) = started.used()?;
        let mut connections = Vec::with_capacity(count);
        while connections.len() < count {
            let mut connection = target.connect()?;
            connection.send()?;
            connection.receive()?;
            connections.push(connection);
        }
        let (_, after) = started.used()?;
        Ok(Figures::from([
            ("connections".into(), count as f64),
            ("connection_kib".into(), (after - before) / count as f64),
            ("rest_mib".into(), before / 1024.0),
        ]))
    })
}

/// WebSockets, and one message on each.
pub(super) fn websockets(
    site: &Site,
    contestants: &[&'static dyn Contestant],
    plan: Plan,
    results: &mut Results,
) -> Result<()> {
    let count = most()?;
    afresh(site, contestants, plan, results, |started| {
        let target = started.running.target(site, Protocol::Http1, PATH);
        let (_, before) = started.used()?;
        let mut sockets = Vec::with_capacity(count);
        while sockets.len() < count {
            sockets.push(websocket::open(&target)?);
        }
        let (opened, after) = started.used()?;
        sockets.iter_mut().try_for_each(websocket::ask)?;
        let (asked, _) = started.used()?;
        Ok(Figures::from([
            ("connections".into(), count as f64),
            ("connection_kib".into(), (after - before) / count as f64),
            ("message_cpu_us".into(), (asked - opened) * 1e6 / count as f64),
        ]))
    })
}

/// Starts each proxy anew in every round: what an allocator has once had it keeps.
fn afresh(
    site: &Site,
    contestants: &[&'static dyn Contestant],
    plan: Plan,
    results: &mut Results,
    mut work: impl FnMut(&Started) -> Result<Figures>,
) -> Result<()> {
    let mut contestants = contestants.to_vec();
    rounds(plan, &mut contestants, results, |contestant| {
        let running = peers::start(*contestant, site, Shape::Identity)?;
        let started = Started { contestant: *contestant, running };
        let figures = work(&started)?;
        started.running.stop()?;
        Ok(figures)
    })
}

/// As many as wanted, or as the limit of open files allows a proxy that has two sockets for each, or that thinks so.
fn most() -> Result<usize> {
    Ok(WANTED.min(open_files()?.saturating_sub(SPARE) / 2))
}

const WANTED: usize = 10_000;

/// Files that everybody has open besides.
const SPARE: usize = 500;
