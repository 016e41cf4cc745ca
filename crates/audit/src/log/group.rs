//! Group commit without a thread between: the requests that one thread works on at the same time wait for the first of
//! them, which writes for all. Nobody is woken across threads, and a write is shared by all that were ready for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// Those that wait for one leader.
#[derive(Debug, Default)]
pub(super) struct Group {
    members: Mutex<Members>,
}

#[derive(Debug, Default)]
struct Members {
    led: bool,
    wakers: Vec<Waker>,
}

/// The duty to write for a group. Giving it up, in whatever way, wakes those that relied on it.
#[derive(Debug)]
pub(super) struct Leader {
    group: Arc<Group>,
}

impl Group {
    /// Returns the group of the thread that calls.
    pub(super) fn of_this_thread() -> Arc<Self> {
        GROUP.with(Arc::clone)
    }

    /// Leads the group, or waits for whoever leads it.
    pub(super) fn join(self: &Arc<Self>, waker: &Waker) -> Option<Leader> {
        let mut members = self.lock();
        if members.led {
            members.wakers.push(waker.clone());
            return None;
        }
        members.led = true;
        drop(members);
        Some(Leader { group: Arc::clone(self) })
    }

    /// Waits for whoever leads the group.
    pub(super) fn wait(&self, waker: &Waker) {
        self.lock().wakers.push(waker.clone());
    }

    /// Wakes all that wait.
    pub(super) fn wake(&self) {
        let mut wakers = std::mem::take(&mut self.lock().wakers);
        wakers.drain(..).for_each(Waker::wake);
        // The memory is used again.
        let mut members = self.lock();
        if members.wakers.capacity() == 0 {
            members.wakers = wakers;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        self.group.lock().led = false;
        self.group.wake();
    }
}

thread_local! {
    static GROUP: Arc<Group> = Arc::default();
}
