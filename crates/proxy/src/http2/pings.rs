//! Asks a peer for a sign of life (RFC 9113 §6.7).

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use h2::{Ping, PingPong};
use tokio::time::{Instant, Sleep, sleep};

/// Asks one connection's peer every so often.
#[derive(Debug)]
pub(crate) struct Pings {
    pings: PingPong,
    interval: Duration,
    timer: Pin<Box<Sleep>>,
    /// An answer is due when the timer ends.
    is_asked: bool,
}

impl Pings {
    /// Begins; nothing where nobody is to be asked.
    pub(crate) fn new(pings: Option<PingPong>, interval: Option<Duration>) -> Option<Self> {
        let interval = interval?;
        Some(Self { pings: pings?, interval, timer: Box::pin(sleep(interval)), is_asked: false })
    }

    /// Asks where it is time to and `is_needed`; ready when the answer to the last question does not come.
    pub(crate) fn poll(&mut self, is_needed: bool, cx: &mut Context<'_>) -> Poll<()> {
        // A connection that has ended tells whoever drives it.
        if self.is_asked && matches!(self.pings.poll_pong(cx), Poll::Ready(Ok(_))) {
            self.again(self.interval, false);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            if self.is_asked {
                return Poll::Ready(());
            }
            if is_needed && self.pings.send_ping(Ping::opaque()).is_ok() {
                self.again(PATIENCE, true);
            } else {
                self.again(self.interval, false);
            }
        }
        Poll::Pending
    }

    fn again(&mut self, pause: Duration, is_asked: bool) {
        self.is_asked = is_asked;
        self.timer.as_mut().reset(Instant::now() + pause);
    }
}

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);
