//! What is open for long: uploads, downloads, event streams, gRPC, WebSockets, TLS connections that pass undecrypted. Each is decided again when the configuration
//! changes, and when its session ends or its user's claims change.
//!
//! Whoever sends a stream registers when it has to wait, and decides for itself when it is woken in doubt. An answer that
//! never waits costs nothing but a look at one counter.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use authenticate::Session;
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::Snapshot;
use crate::exchange::Exchange;
use crate::listener::Serving;

/// The streams that wait.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    /// How often there was a doubt.
    doubts: AtomicU32,
    // By a number that one exchange has for itself; in parts, so that threads seldom meet.
    waiting: [Mutex<HashMap<usize, Waiting>>; PARTS],
}

#[derive(Debug)]
struct Waiting {
    waker: Waker,
    session: Option<Arc<Session>>,
    decided_by: Arc<Snapshot>,
}

/// What may be open for long. It stays in its place in memory while it waits.
pub(crate) trait Lasting {
    /// Returns those among which it waits.
    fn streams(&self) -> &Streams;

    /// Returns by whose session it was opened.
    fn session(&self) -> Option<&Arc<Session>>;

    /// Returns the configuration that has allowed it last.
    fn decided_by(&self) -> &Arc<Snapshot>;
}

/// The place of one of them among the streams. Whoever has it leaves it in the end.
#[derive(Debug)]
pub(crate) struct Stream {
    seen: u32,
    // The place, and who is woken there; none before it has waited.
    place: Option<(usize, Waker)>,
}

impl Streams {
    /// Wakes those streams about which there is a doubt, until `serving` is stopped: every one that another configuration
    /// admitted than that in force, and every one whose session has ended, or whose provider says something else of its user.
    pub(crate) async fn watch(serving: Serving) {
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut current = serving.snapshot.load_full();
        let mut since = Instant::now();
        loop {
            ticks.tick().await;
            let now = serving.snapshot.load_full();
            if !Arc::ptr_eq(&now, &current) {
                (current, since) = (now, Instant::now());
            }
            // What ends within this time was a request, and ends by the configuration that admitted it.
            let settled = since.elapsed() >= GRACE;
            let is_doubtful = |waiting: &Waiting| {
                settled && !Arc::ptr_eq(&waiting.decided_by, &current)
                    || waiting.session.as_ref().is_some_and(|session| !is_as_before(&current, session))
            };
            serving.streams.wake(is_doubtful);
        }
    }

    fn wake(&self, is_doubtful: impl Fn(&Waiting) -> bool) {
        for part in &self.waiting {
            let woken: Vec<_> =
                lock(part).values().filter(|waiting| is_doubtful(waiting)).map(|one| one.waker.clone()).collect();
            if !woken.is_empty() {
                self.doubts.fetch_add(1, Ordering::Release);
                woken.into_iter().for_each(Waker::wake);
            }
        }
    }

    fn part(&self, place: usize) -> Option<&Mutex<HashMap<usize, Waiting>>> {
        // Each lies in an allocation of its own: the low bits of their addresses are all the same.
        self.waiting.get((place >> 9) % PARTS)
    }
}

impl Stream {
    pub(crate) fn new(streams: &Streams) -> Self {
        Self { seen: streams.doubts.load(Ordering::Acquire), place: None }
    }

    /// Returns whether there was a doubt since this was asked last.
    pub(crate) fn is_doubtful(&mut self, streams: &Streams) -> bool {
        let doubts = streams.doubts.load(Ordering::Acquire);
        std::mem::replace(&mut self.seen, doubts) != doubts
    }

    /// Has the task woken when there is a doubt.
    pub(crate) fn wait(&mut self, lasting: &impl Lasting, cx: &Context<'_>) {
        if self.place.as_ref().is_some_and(|(_, waker)| waker.will_wake(cx.waker())) {
            return;
        }
        let place = std::ptr::from_ref(lasting).addr();
        let waiting = Waiting {
            waker: cx.waker().clone(),
            session: lasting.session().cloned(),
            decided_by: Arc::clone(lasting.decided_by()),
        };
        if let Some(part) = lasting.streams().part(place) {
            lock(part).insert(place, waiting);
            self.place = Some((place, cx.waker().clone()));
        }
    }

    /// Waits until there is a doubt.
    pub(crate) async fn doubt(&mut self, lasting: &impl Lasting) {
        poll_fn(|cx| {
            if self.is_doubtful(lasting.streams()) {
                return Poll::Ready(());
            }
            self.wait(lasting, cx);
            Poll::Pending
        })
        .await;
    }

    /// Leaves the place: for ever, or to take it again with what was decided since.
    pub(crate) fn leave(&mut self, streams: &Streams) {
        if let Some((place, _)) = self.place.take()
            && let Some(part) = streams.part(place)
        {
            lock(part).remove(&place);
        }
    }
}

/// The place of a request whose answer has not begun. Leaves it when it is dropped, as when its client leaves.
#[derive(Debug)]
pub(crate) struct Opening<'a> {
    stream: Stream,
    streams: &'a Streams,
}

impl<'a> Opening<'a> {
    pub(crate) fn new(streams: &'a Streams) -> Self {
        Self { stream: Stream::new(streams), streams }
    }

    /// Waits until there is a doubt about what `began` some time ago: most requests are answered before, and take no place.
    pub(crate) async fn doubt(&mut self, began: Instant, lasting: &impl Lasting) {
        // A body that always has more to read uses up the turns of the task, the clock's among them.
        unconstrained(sleep_until(began + SOON)).await;
        self.stream.doubt(lasting).await;
    }

    /// Leaves the place, to take it again with what was decided since.
    pub(crate) fn leave(&mut self) {
        self.stream.leave(self.streams);
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Lasting for Exchange {
    fn streams(&self) -> &Streams {
        self.streams()
    }

    fn session(&self) -> Option<&Arc<Session>> {
        self.session.as_ref()
    }

    fn decided_by(&self) -> &Arc<Snapshot> {
        self.decided_by()
    }
}

/// Returns whether a session goes on as it was. One whose requests have all become streams is refreshed by being looked at.
fn is_as_before(current: &Snapshot, session: &Arc<Session>) -> bool {
    let Some(known) = current.authenticator.as_ref().filter(|known| known.goes_on(session)) else { return false };
    known.keep_fresh(session);
    !session.is_outdated()
}

fn lock(part: &Mutex<HashMap<usize, Waiting>>) -> MutexGuard<'_, HashMap<usize, Waiting>> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often streams are looked at. A session that has ended is honoured no longer than this and a wake-up.
const LOOK: Duration = Duration::from_millis(250);

/// An answer that ends so soon after a change is a request in flight, and no stream.
const GRACE: Duration = Duration::from_millis(250);

/// A request that is not answered so soon is looked at as streams are.
const SOON: Duration = Duration::from_millis(500);

const PARTS: usize = 16;

#[cfg(test)]
mod tests;
