//! Brings the lines of the audit log to a receiver: each receiver has a thread that follows the segments, waits while
//! the receiver is away, and goes on where it was.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use audit::{Follower, Progress};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::logs::Logs;
use crate::otlp::Otlp;
use crate::syslog::{Connection, Syslog};

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
    threads: Vec<JoinHandle<()>>,
    progress: Vec<Arc<Progress>>,
    stop: watch::Sender<bool>,
}

/// A way to a receiver.
pub(crate) trait Courier: Send + 'static {
    /// Brings what is there; tells whether that was anything.
    fn deliver(&mut self, follower: &mut Follower) -> impl Future<Output = io::Result<bool>>;

    /// Says farewell when all was brought.
    fn finish(&mut self, follower: &mut Follower) -> impl Future<Output = ()>;
}

impl Shippers {
    /// Starts a thread for each receiver of a log, which is open.
    ///
    /// # Errors
    /// It cannot be told where one was, or no thread can be had.
    pub fn start(sinks: &Sinks, log: &audit::Config) -> io::Result<Self> {
        let mut shippers = Self { threads: Vec::new(), progress: Vec::new(), stop: watch::Sender::new(false) };
        if let Some(syslog) = &sinks.syslog {
            shippers.spawn(Connection::new(syslog.clone()), Follower::open(log, "syslog")?)?;
        }
        if let Some(otlp) = &sinks.otlp {
            shippers.spawn(Logs::new(otlp.clone(), &log.instance), Follower::open(log, "otlp")?)?;
        }
        Ok(shippers)
    }

    /// Returns what became of the lines, by receiver.
    #[must_use]
    pub fn progress(&self) -> Vec<Arc<Progress>> {
        self.progress.clone()
    }

    /// Brings what is left, where that does not take long, and ends. To be called when the log is closed. Blocks.
    pub fn finish(mut self) {
        self.stop.send_replace(true);
        for thread in std::mem::take(&mut self.threads) {
            if thread.join().is_err() {
                tracing::error!("a thread that ships audit records ended before its time");
            }
        }
    }

    fn spawn(&mut self, courier: impl Courier, follower: Follower) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (name, stopped) = (follower.progress().name(), self.stop.subscribe());
        self.progress.push(Arc::clone(follower.progress()));
        let ship = move || runtime.block_on(ship(courier, follower, stopped));
        self.threads.push(std::thread::Builder::new().name(format!("ship-{name}")).spawn(ship)?);
        Ok(())
    }
}

impl Drop for Shippers {
    /// Where nobody waits for them, they end by themselves.
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

/// Ships until it is stopped and nothing is left, or nothing more can be hoped for.
async fn ship(mut courier: impl Courier, mut follower: Follower, mut stopped: watch::Receiver<bool>) {
    let mut ending = stopped.clone();
    let too_late = async {
        let _ = ending.wait_for(|stopped| *stopped).await;
        sleep(FAREWELL).await;
    };
    let sink = follower.progress().name();
    let done = tokio::select! {
        () = carry(&mut courier, &mut follower, &mut stopped) => true,
        () = too_late => false,
    };
    if done {
        let _ = timeout(FAREWELL, courier.finish(&mut follower)).await;
    } else {
        tracing::warn!(sink, "audit records were not sent before the end; the next start goes on there");
    }
    follower.close();
}

async fn carry(courier: &mut impl Courier, follower: &mut Follower, stopped: &mut watch::Receiver<bool>) {
    let sink = follower.progress().name();
    let mut failed = 0;
    loop {
        // Before the last look: what was written until then is seen by it.
        let is_last = *stopped.borrow();
        match courier.deliver(follower).await {
            Ok(true) => {
                if std::mem::take(&mut failed) > 0 {
                    tracing::info!(sink, "audit records are sent again");
                }
            }
            Ok(false) if is_last => return,
            Ok(false) => drop(timeout(INTERVAL, stopped.changed()).await),
            Err(error) => {
                // Once, not for every attempt of a long night.
                if failed == 0 {
                    tracing::warn!(sink, %error, "audit records cannot be sent now: they wait in the log");
                }
                failed += 1;
                sleep(pause(failed)).await;
            }
        }
    }
}

/// Doubles, and is not the same for all who lost one receiver.
fn pause(failed: u32) -> Duration {
    let pause = FIRST_PAUSE.saturating_mul(1 << failed.min(10).saturating_sub(1)).min(LONGEST_PAUSE);
    let mut random = [0];
    // Without randomness all come at once: a pity, and no harm.
    let _ = aws_lc_rs::rand::fill(&mut random);
    pause.mul_f64(0.5 + f64::from(random[0]) / 512.0)
}

/// How long a line waits at most before it is looked for.
const INTERVAL: Duration = Duration::from_millis(250);
/// How long the end waits for receivers.
const FAREWELL: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
