//! Load on open connections: as fast as answers come, or at a rate that does not wait for them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, Builder, ScopedJoinHandle};
use std::time::Duration;

use integration::Result;
use tokio::time::Instant;

use crate::client::{Answered, Connection, Protocol, Target};
use crate::figures::Figures;

/// Open connections to one proxy, and what an answer must look like.
#[derive(Debug)]
pub(crate) struct Load {
    target: Target,
    connections: Vec<Connection>,
    streams: usize,
    expected: Answered,
}

/// How long requests took, in order, and how many had to be sent again on another connection.
#[derive(Debug)]
pub(crate) struct Latencies {
    taken: Vec<Duration>,
    failed: usize,
}

impl Load {
    /// Connects: 16 requests at once, as many connections over HTTP/1.1, streams of four connections over HTTP/2.
    pub(crate) fn open(target: &Target, expected: Answered) -> Result<Self> {
        let streams = match target.protocol {
            Protocol::Http1 => 1,
            Protocol::Http2 => STREAMS,
        };
        Self::connections(target, expected, IN_FLIGHT / streams, streams)
    }

    /// Connects so often, with one request at once on each.
    pub(crate) fn wide(target: &Target, expected: Answered, connections: usize) -> Result<Self> {
        Self::connections(target, expected, connections, 1)
    }

    fn connections(target: &Target, expected: Answered, connections: usize, streams: usize) -> Result<Self> {
        let connections = (0..connections).map(|_| target.connect()).collect::<Result<_>>()?;
        Ok(Self { target: target.clone(), connections, streams, expected })
    }

    /// Sends so many requests, the next one when one was answered; returns how long that took.
    pub(crate) fn closed(&mut self, requests: u32) -> Result<Duration> {
        let (left, began) = (AtomicU32::new(requests), Instant::now());
        let (left, streams, expected) = (&left, self.streams, self.expected);
        let next = || left.try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
        each(&mut self.connections, |connection, _| {
            let mut open = 0;
            loop {
                while open < streams && next() {
                    connection.send()?;
                    open += 1;
                }
                if open == 0 {
                    return Ok(());
                }
                check(connection.receive()?, expected)?;
                open -= 1;
            }
        })?;
        Ok(began.elapsed())
    }

    /// Sends requests at a rate for so long; returns how long each took, from when it should have been sent.
    ///
    /// A request whose connection still waits for the last answer is sent late, and the delay counts: a proxy that stalls
    /// does not slow down those who call (no coordinated omission).
    pub(crate) fn at_rate(&mut self, per_second: f64, duration: Duration) -> Result<Latencies> {
        let interval = Duration::from_secs_f64(self.connections.len() as f64 / per_second);
        let between = interval / u32::try_from(self.connections.len())?;
        let began = Instant::now() + LEAD;
        let (target, expected) = (&self.target, self.expected);
        let each = each(&mut self.connections, |connection, number| {
            let mut due = began + between * u32::try_from(number)?;
            let (mut taken, mut failed) = (Vec::new(), 0);
            while due < began + duration {
                // To some microseconds, given the timer slack that `main` asks for.
                thread::sleep(due.saturating_duration_since(Instant::now()));
                if connection.ended()? {
                    *connection = target.connect()?;
                }
                if exchange(connection, expected).is_err() {
                    failed += 1;
                    *connection = target.connect()?;
                    exchange(connection, expected)?;
                }
                taken.push(due.elapsed());
                due += interval;
            }
            Ok((taken, failed))
        })?;
        let failed = each.iter().map(|(_, failed)| failed).sum();
        let mut taken: Vec<_> = each.into_iter().flat_map(|(taken, _)| taken).collect();
        taken.sort_unstable();
        Ok(Latencies { taken, failed })
    }
}

impl Latencies {
    /// Returns what they come to, under names that begin with `prefix`.
    pub(crate) fn figures(&self, prefix: &str) -> Figures {
        let quantiles = [("p50_us", 0.5), ("p99_us", 0.99), ("p999_us", 0.999)];
        let mut figures: Figures =
            quantiles.iter().map(|(name, share)| (format!("{prefix}{name}"), self.quantile(*share))).collect();
        figures.insert(format!("{prefix}failed"), self.failed as f64);
        figures
    }

    /// Returns what this share of them did not exceed, in microseconds.
    fn quantile(&self, share: f64) -> f64 {
        let at = (self.taken.len() as f64 * share) as usize;
        self.taken.get(at.min(self.taken.len().saturating_sub(1))).map_or(f64::NAN, |taken| taken.as_secs_f64() * 1e6)
    }
}

fn exchange(connection: &mut Connection, expected: Answered) -> Result<()> {
    connection.send()?;
    check(connection.receive()?, expected)
}

/// Drives each connection on a thread of its own.
fn each<T: Send>(
    connections: &mut [Connection],
    drive: impl Fn(&mut Connection, usize) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let drive = &drive;
    thread::scope(|scope| {
        let threads = connections.iter_mut().enumerate().map(|(number, connection)| {
            Builder::new().stack_size(STACK).spawn_scoped(scope, move || drive(connection, number))
        });
        let threads: Vec<ScopedJoinHandle<'_, _>> = threads.collect::<std::io::Result<_>>()?;
        threads.into_iter().map(|thread| thread.join().map_err(|_| "a thread of the load panicked")?).collect()
    })
}

fn check(answered: Answered, expected: Answered) -> Result<()> {
    if answered == expected { Ok(()) } else { Err(format!("{answered} in place of {expected}").into()) }
}

/// Requests at once.
pub(crate) const IN_FLIGHT: usize = 16;

/// Streams of one HTTP/2 connection.
pub(crate) const STREAMS: usize = 4;

const STACK: usize = 256 << 10;

/// Until all threads are there.
const LEAD: Duration = Duration::from_millis(20);
