//! The threads that serve connections, each with a runtime of its own: what a connection does, its requests and their
//! HTTP/1.1 upstream connections included, stays on one thread and wakes no other.

use std::cell::Cell;
use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;

use crate::entrance::EntranceId;

/// The threads. Dropping them ends what they still do, and waits for it.
#[derive(Debug)]
pub(crate) struct Workers(Vec<Worker>);

#[derive(Debug)]
struct Worker {
    desk: Desk,
    // Ends the thread when dropped.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Where connections are handed to the threads.
#[derive(Clone, Debug)]
pub(crate) struct Desks(Arc<[Desk]>);

#[derive(Clone, Debug)]
struct Desk {
    runtime: Handle,
    connections: Arc<AtomicUsize>,
}

/// A connection that counts as served by one of the threads, until dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    connections: Arc<AtomicUsize>,
}

/// A value for each thread that serves connections, and one for all other threads.
#[derive(Debug)]
pub(crate) struct PerWorker<T> {
    of_workers: Box<[T]>,
    of_others: T,
}

impl Workers {
    /// Starts a thread for each processor.
    ///
    /// # Errors
    /// The system gives none.
    pub(crate) fn start() -> io::Result<Self> {
        (0..count()).map(Worker::start).collect::<io::Result<_>>().map(Self)
    }

    pub(crate) fn desks(&self) -> Desks {
        Desks(self.0.iter().map(|worker| worker.desk.clone()).collect())
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        // All are told before any is waited for.
        self.0.iter_mut().for_each(|worker| drop(worker.stop.take()));
        for thread in self.0.iter_mut().filter_map(|worker| worker.thread.take()) {
            if thread.join().is_err() {
                tracing::error!("a thread that served connections ended before its time");
            }
        }
    }
}

impl Worker {
    fn start(number: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().thread_name("worker-blocking").build()?;
        let desk = Desk { runtime: runtime.handle().clone(), connections: Arc::default() };
        let (stop, stopped) = oneshot::channel();
        let thread =
            thread::Builder::new().name(format!("worker-{number}")).spawn(move || run(number, runtime, stopped))?;
        Ok(Self { desk, stop: Some(stop), thread: Some(thread) })
    }
}

impl Desks {
    /// Returns a seat at the thread that serves the fewest connections, and that thread where it is not the one that asks.
    pub(crate) fn next(&self) -> Option<(Seat, Option<&Handle>)> {
        let own = NUMBER.get();
        let (number, desk) = self.0.iter().enumerate().min_by_key(|(number, desk)| {
            // Whoever stays where it was accepted wakes nobody.
            (desk.connections.load(Ordering::Relaxed), own != Some(*number))
        })?;
        desk.connections.fetch_add(1, Ordering::Relaxed);
        let seat = Seat { connections: Arc::clone(&desk.connections) };
        Some((seat, Some(&desk.runtime).filter(|_| own != Some(number))))
    }

    /// Returns the thread that accepts on a socket: each has one, and they are spread over all.
    pub(crate) fn of(&self, socket: EntranceId) -> Option<&Handle> {
        Some(&self.0.get(socket.number().checked_rem(self.0.len())?)?.runtime)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<T: Default> Default for PerWorker<T> {
    fn default() -> Self {
        Self { of_workers: (0..count()).map(|_| T::default()).collect(), of_others: T::default() }
    }
}

impl<T> PerWorker<T> {
    /// Returns the value of the thread that asks.
    pub(crate) fn own(&self) -> &T {
        NUMBER.get().and_then(|number| self.of_workers.get(number)).unwrap_or(&self.of_others)
    }

    /// Returns the values of all threads.
    pub(crate) fn all(&self) -> impl Iterator<Item = &T> {
        self.of_workers.iter().chain([&self.of_others])
    }
}

fn run(number: usize, runtime: Runtime, stopped: oneshot::Receiver<()>) {
    NUMBER.set(Some(number));
    // Nobody sends; the other half is dropped.
    let _ = runtime.block_on(stopped);
    // Ends all tasks here and now, but waits for no name to be resolved.
    runtime.shutdown_background();
}

/// Returns how many threads serve connections.
fn count() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

thread_local! {
    // None on threads that serve no connections.
    static NUMBER: Cell<Option<usize>> = const { Cell::new(None) };
}

#[cfg(test)]
mod tests;
