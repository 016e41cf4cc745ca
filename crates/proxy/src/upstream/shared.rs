//! Connections that requests share, as many as it takes: who has room, who connects, and who waits for it.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::failure::{FailureKind, UpstreamFailure};

/// What carries many requests at a time.
pub(crate) trait Carrier {
    /// What a request gets of it.
    type Stream;

    /// Returns whether it is known how many requests it takes.
    fn is_settled(&self) -> bool;

    /// Begins one more exchange beside those that are `active`.
    fn begin(&self, active: usize) -> Begun<Self::Stream>;
}

/// What becomes of one more exchange.
pub(crate) enum Begun<S> {
    /// It may go on this.
    Stream(S),
    /// There is no room now.
    Full,
    /// There will be no room any more.
    Gone,
}

/// The connections to one endpoint.
#[derive(Debug)]
pub(crate) struct Pool<C> {
    state: Mutex<State<C>>,
    /// A connection came, went, or has room again.
    pub(super) changed: Notify,
    waiting: AtomicUsize,
}

#[derive(Debug)]
struct State<C> {
    connections: Vec<Arc<Connection<C>>>,
    turn: usize,
    attempts: u64,
    /// The attempt under way: one at a time, whose outcome all requests share that wait for it.
    attempt: Option<u64>,
    failed: Option<(u64, UpstreamFailure)>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Connection<C> {
    carrier: C,
    active: AtomicUsize,
    is_retired: AtomicBool,
}

/// What a request is to do.
enum Turn<C: Carrier> {
    /// Go.
    Go(Slot<C>, C::Stream),
    /// Start this attempt to connect.
    Connect(u64),
    /// Wait for a change; the attempt under way, if that is what is waited for.
    Wait(Option<u64>),
    /// Fail as the attempt did that was waited for.
    Fail(UpstreamFailure),
}

/// The right to one exchange, until dropped.
#[derive(Debug)]
pub(crate) struct Slot<C> {
    connection: Arc<Connection<C>>,
    pool: Arc<Pool<C>>,
}

/// Counts a request that waits, while it lives.
struct Waiter<'a, C>(&'a Pool<C>);

/// Stops using connections whose address may be gone.
pub(super) trait Retire: std::fmt::Debug + Send + Sync {
    /// Uses no connection for further requests; those that are open end in their time.
    fn retire_all(&self);
}

impl<C> Default for Pool<C> {
    fn default() -> Self {
        let state = State { connections: Vec::new(), turn: 0, attempts: 0, attempt: None, failed: None };
        Self { state: Mutex::new(state), changed: Notify::new(), waiting: AtomicUsize::new(0) }
    }
}

impl<C: Carrier> Pool<C> {
    /// Takes a stream of a connection with room.
    pub(super) fn take(self: &Arc<Self>) -> Option<(Slot<C>, C::Stream)> {
        let (connection, stream) = self.lock().next()?;
        Some((Slot { connection, pool: Arc::clone(self) }, stream))
    }

    /// Waits until some connection has room; has `connect` make one where nobody does yet. `None` as soon as `is_moot`.
    pub(super) async fn wait(
        self: &Arc<Self>,
        limit: Duration,
        connect: impl Fn(u64),
        is_moot: impl Fn() -> bool,
    ) -> Result<Option<(Slot<C>, C::Stream)>, UpstreamFailure> {
        let _waiter = self.waiter();
        // Longer than an attempt, which has its own limit: this one ends the wait for a stream of those that are busy.
        let patience = Instant::now() + limit * 2;
        let mut awaited = None;
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            match self.turn(awaited) {
                Turn::Go(slot, stream) => return Ok(Some((slot, stream))),
                Turn::Fail(failure) => return Err(failure),
                Turn::Connect(attempt) => {
                    awaited = Some(attempt);
                    connect(attempt);
                }
                Turn::Wait(attempt) => awaited = attempt,
            }
            if timeout_at(patience, changed).await.is_err() {
                return Err(UpstreamFailure::new(FailureKind::Timeout, "no connection had room for another stream"));
            }
            if is_moot() {
                return Ok(None);
            }
        }
    }
    /// Says what a request is to do that may have to wait. `awaited` is the attempt that the caller has waited for.
    fn turn(self: &Arc<Self>, awaited: Option<u64>) -> Turn<C> {
        let mut state = self.lock();
        if let Some((connection, stream)) = state.next() {
            return Turn::Go(Slot { connection, pool: Arc::clone(self) }, stream);
        }
        if let Some(attempt) = state.attempt {
            return Turn::Wait(Some(attempt));
        }
        if state.connections.iter().any(|connection| !connection.carrier.is_settled()) {
            return Turn::Wait(None);
        }
        if let Some((attempt, failure)) = &state.failed
            && awaited == Some(*attempt)
        {
            return Turn::Fail(failure.clone());
        }
        state.attempts += 1;
        state.attempt = Some(state.attempts);
        Turn::Connect(state.attempts)
    }

    /// Lets requests use a connection, and returns it to whoever drives it.
    pub(super) fn add(&self, carrier: C) -> Weak<Connection<C>> {
        let (active, is_retired) = (AtomicUsize::new(0), AtomicBool::new(false));
        let connection = Arc::new(Connection { carrier, active, is_retired });
        let weak = Arc::downgrade(&connection);
        self.lock().connections.push(connection);
        weak
    }

    /// Returns how many connections there are, and exchanges on them.
    pub(super) fn counts(&self) -> (usize, usize) {
        let state = self.lock();
        let usable = || state.connections.iter().filter(|connection| connection.is_usable());
        (usable().count(), usable().map(|connection| connection.active.load(Ordering::Relaxed)).sum())
    }
}

impl<C> Pool<C> {
    /// Ends an attempt.
    pub(super) fn settle(&self, attempt: u64, outcome: Result<(), UpstreamFailure>) {
        let mut state = self.lock();
        state.attempt = None;
        state.failed = outcome.err().map(|failure| (attempt, failure));
        drop(state);
        self.changed.notify_waiters();
    }

    fn waiter(&self) -> Waiter<'_, C> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waiter(self)
    }

    fn lock(&self) -> MutexGuard<'_, State<C>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: std::fmt::Debug + Send + Sync> Retire for Pool<C> {
    fn retire_all(&self) {
        let retired = std::mem::take(&mut self.lock().connections);
        retired.iter().for_each(|connection| connection.is_retired.store(true, Ordering::Relaxed));
        self.changed.notify_waiters();
    }
}

impl<C: Carrier> State<C> {
    /// Begins one more exchange on the next connection with room.
    fn next(&mut self) -> Option<(Arc<Connection<C>>, C::Stream)> {
        self.connections.retain(|connection| connection.is_usable());
        self.turn = self.turn.wrapping_add(1);
        let first = self.turn.checked_rem(self.connections.len())?;
        let (earlier, later) = self.connections.split_at_checked(first)?;
        later.iter().chain(earlier).find_map(|connection| {
            let active = connection.active.load(Ordering::Relaxed);
            match connection.carrier.begin(active) {
                Begun::Stream(stream) => {
                    connection.active.fetch_add(1, Ordering::Relaxed);
                    Some((Arc::clone(connection), stream))
                }
                Begun::Full if active > 0 => None,
                // A peer that takes nothing although nothing is on its way may never again: else its connections pile up.
                Begun::Full | Begun::Gone => {
                    connection.is_retired.store(true, Ordering::Relaxed);
                    None
                }
            }
        })
    }
}

impl<C> Connection<C> {
    pub(super) const fn carrier(&self) -> &C {
        &self.carrier
    }

    /// Returns whether there is an exchange on it.
    pub(super) fn is_busy(&self) -> bool {
        self.active.load(Ordering::Relaxed) > 0
    }

    /// Uses it for no further exchange.
    pub(super) fn retire(&self, pool: &Pool<C>) {
        self.is_retired.store(true, Ordering::Relaxed);
        // What nothing goes over ends here, and not with the next request.
        let retired = pool.lock().connections.extract_if(.., |connection| !connection.is_usable()).collect::<Vec<_>>();
        drop(retired);
        pool.changed.notify_waiters();
    }

    fn is_usable(&self) -> bool {
        !self.is_retired.load(Ordering::Relaxed)
    }
}

impl<C> Slot<C> {
    pub(super) const fn connection(&self) -> &Arc<Connection<C>> {
        &self.connection
    }

    pub(super) const fn pool(&self) -> &Arc<Pool<C>> {
        &self.pool
    }

    /// Uses the connection for no further exchange.
    pub(super) fn retire(&self) {
        self.connection.retire(&self.pool);
    }
}

impl<C> Drop for Slot<C> {
    fn drop(&mut self) {
        self.connection.active.fetch_sub(1, Ordering::Relaxed);
        if self.pool.waiting.load(Ordering::Relaxed) > 0 {
            self.pool.changed.notify_one();
        }
    }
}

impl<C> Drop for Waiter<'_, C> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
