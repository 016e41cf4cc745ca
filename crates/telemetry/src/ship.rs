//! Brings the lines of the audit log to a receiver: each receiver has a thread that follows the segments, waits while
//! the receiver is away, and goes on where it was.

mod carry;

use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;

use audit::{Follower, Progress};
use tokio::sync::watch;

use crate::logs::Logs;
use crate::otlp::Otlp;
use crate::syslog::{Connection, Syslog};

pub(crate) use self::carry::Courier;

/// The receivers of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sinks {
    /// One that takes syslog.
    pub syslog: Option<Syslog>,
    /// One that takes OTLP.
    pub otlp: Option<Otlp>,
}

/// Those who bring lines to receivers, until they are told to finish.
#[derive(Debug)]
pub struct Shippers {
    log: audit::Config,
    syslog: OnceLock<Shipper<Syslog>>,
    otlp: OnceLock<Shipper<Otlp>>,
}

/// All that can fail before other receivers are in force.
#[derive(Debug)]
pub struct Prepared {
    sinks: Sinks,
    syslog: Option<Shipper<Syslog>>,
    otlp: Option<Shipper<Otlp>>,
}

/// Who brings lines to one receiver after the other.
#[derive(Debug)]
struct Shipper<R> {
    orders: watch::Sender<Order<R>>,
    progress: Arc<Progress>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What a shipper is told to do.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Order<R> {
    /// To bring lines there.
    Bring(R),
    /// Nothing: there is no receiver, now.
    Rest,
    /// To bring what is left, and to end.
    Finish,
}

impl Shippers {
    /// Brings nothing yet.
    #[must_use]
    pub const fn new(log: audit::Config) -> Self {
        Self { log, syslog: OnceLock::new(), otlp: OnceLock::new() }
    }

    /// Gets ready to bring lines of the log, which is open, to these receivers. Changes nothing.
    ///
    /// # Errors
    /// It cannot be told where one was, or no thread can be had.
    pub fn prepare(&self, sinks: Sinks) -> io::Result<Prepared> {
        let syslog = match &sinks.syslog {
            Some(_) if self.syslog.get().is_none() => {
                Some(Shipper::start::<Connection>(Follower::open(&self.log, "syslog")?)?)
            }
            _ => None,
        };
        let otlp = match &sinks.otlp {
            Some(_) if self.otlp.get().is_none() => Some(Shipper::start::<Logs>(Follower::open(&self.log, "otlp")?)?),
            _ => None,
        };
        Ok(Prepared { sinks, syslog, otlp })
    }

    /// Brings lines to these receivers from now on. One that takes the place of another gets what that one has not got;
    /// one that is gone gets what is left, where that does not take long.
    pub fn follow(&self, prepared: Prepared) {
        let Prepared { sinks, syslog, otlp } = prepared;
        employ(&self.syslog, syslog, sinks.syslog);
        employ(&self.otlp, otlp, sinks.otlp);
    }

    /// Returns what became of the lines, by receiver.
    #[must_use]
    pub fn progress(&self) -> Vec<Arc<Progress>> {
        let syslog = self.syslog.get().and_then(Shipper::progress);
        syslog.into_iter().chain(self.otlp.get().and_then(Shipper::progress)).collect()
    }

    /// Brings what is left, where that does not take long, and ends. To be called when the log is closed. Blocks.
    pub fn finish(&self) {
        let threads = [self.syslog.get().and_then(Shipper::finish), self.otlp.get().and_then(Shipper::finish)];
        for thread in threads.into_iter().flatten() {
            if thread.join().is_err() {
                tracing::error!("a thread that ships audit records ended before its time");
            }
        }
    }
}

impl<R: Clone + PartialEq + Send + Sync + 'static> Shipper<R> {
    fn start<C: Courier<Receiver = R>>(follower: Follower) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (orders, told) = watch::channel(Order::Rest);
        let progress = Arc::clone(follower.progress());
        let name = format!("ship-{}", progress.name());
        let work = move || runtime.block_on(carry::work::<C>(follower, told));
        let thread = Mutex::new(Some(std::thread::Builder::new().name(name).spawn(work)?));
        Ok(Self { orders, progress, thread })
    }
}

impl<R> Shipper<R> {
    /// Returns what became of the lines, while there is a receiver.
    fn progress(&self) -> Option<Arc<Progress>> {
        matches!(*self.orders.borrow(), Order::Bring(_)).then(|| Arc::clone(&self.progress))
    }

    /// Lets it end, and returns the thread to wait for.
    fn finish(&self) -> Option<JoinHandle<()>> {
        self.orders.send_replace(Order::Finish);
        self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<R> Drop for Shipper<R> {
    /// Where nobody waits for it, it ends by itself.
    fn drop(&mut self) {
        self.orders.send_replace(Order::Finish);
    }
}

/// Tells who brings lines of one kind about their receiver. Whoever brought some once stays, and knows where it was.
fn employ<R: PartialEq>(place: &OnceLock<Shipper<R>>, newcomer: Option<Shipper<R>>, receiver: Option<R>) {
    let shipper = match newcomer {
        Some(newcomer) => Some(place.get_or_init(|| newcomer)),
        None => place.get(),
    };
    let Some(shipper) = shipper else { return };
    let order = receiver.map_or(Order::Rest, Order::Bring);
    shipper.orders.send_if_modified(|now| {
        let is_other = *now != order;
        if is_other {
            *now = order;
        }
        is_other
    });
}

#[cfg(test)]
pub(crate) mod tests;
