//! Accepts connections: a place before each accept, one task each, on the thread that serves the fewest.
//!
//! Each socket is accepted on by one of the threads that serve: a connection that stays there wakes nobody.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus_client::registry::Registry;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connection::{self, Place};
use crate::entrance::Entrance;
use crate::metrics::Limit;
use crate::open_places::OpenPlace;
use crate::streams::Streams;
use crate::worker::{Desks, Workers};
use crate::{Listener, ServeError, Snapshot, expiry};

/// The listeners, and the configuration in force.
#[derive(Debug)]
pub struct Server {
    doors: Mutex<Doors>,
    accepting: TaskTracker,
    serving: Serving,
    // Taken when serving starts, so that they end with it.
    workers: Mutex<Option<Workers>>,
}

/// The bound sockets.
#[derive(Debug)]
struct Doors {
    // In the order of the configuration.
    list: Vec<Door>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Bound, nothing is accepted yet.
    Closed,
    Open,
    /// Nothing more is accepted.
    Stopped,
}

/// One socket, which outlives the configurations that have it.
#[derive(Debug)]
struct Door {
    address: SocketAddr,
    entrance: watch::Sender<Arc<Entrance>>,
    // Taken when accepting starts: a second handle would keep the port open after accepting has stopped.
    socket: Option<std::net::TcpListener>,
    // With tokens of this door alone.
    serving: Serving,
}

impl Server {
    /// Binds every listener of a configuration, or none, and starts the threads that serve connections. A listener whose
    /// address one of the sockets in `handed_over` has takes that one, with the clients who wait there.
    ///
    /// # Errors
    /// An address cannot be bound, or there are no threads.
    pub fn bind(snapshot: Snapshot, mut handed_over: Vec<std::net::TcpListener>) -> Result<Self, Vec<ServeError>> {
        let workers = Workers::start().map_err(|error| vec![ServeError::Threads(error)])?;
        let serving = Serving {
            snapshot: Arc::new(ArcSwap::from_pointee(snapshot)),
            connections: TaskTracker::new(),
            tunnels: TaskTracker::new(),
            streams: Arc::default(),
            stop: CancellationToken::new(),
            close: CancellationToken::new(),
            desks: workers.desks(),
        };
        let list = bind_all(&serving, &serving.snapshot.load(), &[], &mut handed_over)?;
        for unused in handed_over.iter().filter_map(|socket| socket.local_addr().ok()) {
            tracing::warn!(server.address = %unused, "a socket was handed over for an address that no listener has");
        }
        let doors = Mutex::new(Doors { list, state: State::Closed });
        Ok(Self { doors, accepting: TaskTracker::new(), serving, workers: Mutex::new(Some(workers)) })
    }

    /// Returns name and bound address of each listener, in the order of the configuration.
    #[must_use]
    pub fn addresses(&self) -> Vec<(String, SocketAddr)> {
        self.doors().list.iter().map(|door| (door.entrance.borrow().config.name.clone(), door.address)).collect()
    }

    /// Returns the configuration in force.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.serving.snapshot.load_full()
    }

    /// Registers what is read from the configuration in force when metrics are asked for.
    pub fn register(self: &Arc<Self>, registry: &mut Registry) {
        expiry::register(registry, self);
    }

    /// Puts another configuration in force, or, where an address cannot be bound, changes nothing. Listeners that both
    /// have keep their socket and their connections; those of a listener that is gone may end what they are doing, for at
    /// most `drain`.
    ///
    /// # Errors
    /// An address cannot be bound.
    pub fn exchange(&self, snapshot: Snapshot, drain: Duration) -> Result<(), Vec<ServeError>> {
        let mut doors = self.doors();
        let mut added = bind_all(&self.serving, &snapshot, &doors.list, &mut Vec::new())?;
        // All files of it are good, those of certificates among them.
        snapshot.entrances.certificates_reloaded(true);
        let snapshot = Arc::new(snapshot);
        self.serving.snapshot.store(Arc::clone(&snapshot));
        let mut old = std::mem::take(&mut doors.list);
        for entrance in snapshot.entrances.iter() {
            let is_here = |door: &Door| door.entrance.borrow().id == entrance.id;
            let door = old.iter().position(is_here).map(|index| old.swap_remove(index));
            let door = door.or_else(|| added.iter().position(is_here).map(|index| added.swap_remove(index)));
            let Some(door) = door else { continue };
            door.entrance.send_replace(Arc::clone(entrance));
            doors.list.push(door);
        }
        for door in old {
            self.accepting.spawn(door.retire(drain, self.serving.stop.clone()));
        }
        if doors.state == State::Open {
            doors.list.iter_mut().for_each(|door| door.open(&self.accepting));
        }
        Ok(())
    }

    /// Serves until `shutdown` ends, which says how long requests may take to end then; what has not ended is closed.
    /// Dropping the future closes all at once.
    pub async fn serve(&self, shutdown: impl Future<Output = Duration> + Send) {
        let serving = &self.serving;
        let _workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The tasks are not ours to drop: without these they would serve on after the future is gone.
        let _guards = (serving.stop.clone().drop_guard(), serving.close.clone().drop_guard());
        {
            let mut doors = self.doors();
            doors.state = State::Open;
            doors.list.iter_mut().for_each(|door| door.open(&self.accepting));
        }
        let watch = tokio::spawn(serving.close.clone().run_until_cancelled_owned(Streams::watch(serving.clone())));
        let drain = shutdown.await;
        self.doors().state = State::Stopped;
        serving.stop.cancel();
        self.accepting.close();
        self.accepting.wait().await;
        serving.drain(drain).await;
        watch.abort();
        // Before the threads end: what a provider answers to a refresh must not be lost with them.
        let authenticator = serving.snapshot.load().authenticator().cloned();
        if let Some(authenticator) = authenticator {
            authenticator.settle().await;
        }
    }

    fn doors(&self) -> MutexGuard<'_, Doors> {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Binds the listeners of a configuration that have no socket among `bound`.
fn bind_all(
    serving: &Serving,
    snapshot: &Snapshot,
    bound: &[Door],
    handed_over: &mut Vec<std::net::TcpListener>,
) -> Result<Vec<Door>, Vec<ServeError>> {
    let mut doors = Vec::new();
    let mut errors = Vec::new();
    for entrance in snapshot.entrances.iter() {
        if bound.iter().any(|door| door.entrance.borrow().id == entrance.id) {
            continue;
        }
        match Door::bind(entrance, serving, handed_over) {
            Ok(door) => doors.push(door),
            Err(source) => {
                let Listener { name, address, .. } = &entrance.config;
                errors.push(ServeError::Bind { listener: name.clone(), address: *address, source });
            }
        }
    }
    if errors.is_empty() { Ok(doors) } else { Err(errors) }
}

impl Door {
    fn bind(
        entrance: &Arc<Entrance>,
        serving: &Serving,
        handed_over: &mut Vec<std::net::TcpListener>,
    ) -> io::Result<Self> {
        let address = entrance.config.address;
        let is_ours = |socket: &std::net::TcpListener| socket.local_addr().is_ok_and(|bound| bound == address);
        let socket = match handed_over.iter().position(is_ours) {
            Some(index) => handed_over.swap_remove(index),
            None => bind_socket(address)?,
        };
        socket.set_nonblocking(true)?;
        let serving =
            Serving { stop: serving.stop.child_token(), close: serving.close.child_token(), ..serving.clone() };
        let (sender, _) = watch::channel(Arc::clone(entrance));
        Ok(Self { address: socket.local_addr()?, entrance: sender, socket: Some(socket), serving })
    }

    /// Starts to accept, unless it has.
    fn open(&mut self, accepting: &TaskTracker) {
        let Some(socket) = self.socket.take() else { return };
        let entrance = self.entrance.borrow().clone();
        let Some(worker) = self.serving.desks.of(entrance.id) else { return };
        let _entered = worker.enter();
        match TcpListener::from_std(socket) {
            Ok(socket) => {
                accepting.spawn_on(accept(socket, self.entrance.subscribe(), self.serving.clone()), worker);
            }
            Err(error) => tracing::error!(listener.name = entrance.config.name, %error, "cannot accept"),
        }
    }

    /// Stops accepting, and ends the connections once they have done what they are doing, or after `limit`. Where the
    /// server stops before that, its own limit holds.
    fn retire(self, limit: Duration, stopping: CancellationToken) -> impl Future<Output = ()> {
        let Serving { stop, close, .. } = self.serving;
        stop.cancel();
        async move {
            if tokio::time::timeout(limit, stopping.cancelled()).await.is_err() {
                close.cancel();
            }
        }
    }
}

/// What all connections share while the server runs.
#[derive(Clone, Debug)]
pub(crate) struct Serving {
    /// The configuration in force.
    pub(crate) snapshot: Arc<ArcSwap<Snapshot>>,
    /// The tasks of connections.
    pub(crate) connections: TaskTracker,
    /// The tasks of upgraded connections, which outlive their connection's task.
    pub(crate) tunnels: TaskTracker,
    /// What is open for long.
    pub(crate) streams: Arc<Streams>,
    /// Accept nothing more, let requests end.
    pub(crate) stop: CancellationToken,
    /// Close what is still open.
    pub(crate) close: CancellationToken,
    /// Who serves connections.
    pub(crate) desks: Desks,
}

impl Serving {
    /// Awaits the first words of a client. One that was accepted just before the stop has a moment to say them: to it
    /// nothing told that nobody listens here any more.
    pub(crate) async fn first_words<T>(&self, words: impl Future<Output = T>) -> Option<T> {
        let silence = async {
            self.stop.cancelled().await;
            tokio::time::sleep(LAST_WORDS).await;
        };
        tokio::select! {
            biased;
            said = words => Some(said),
            () = silence => None,
        }
    }

    async fn drain(&self, limit: Duration) {
        self.connections.close();
        self.tunnels.close();
        let ended = async {
            self.connections.wait().await;
            self.tunnels.wait().await;
        };
        if tokio::time::timeout(limit, ended).await.is_err() {
            let open = self.connections.len() + self.tunnels.len();
            tracing::warn!(open, "closing what did not end within the drain timeout");
            self.close.cancel();
            self.connections.wait().await;
            self.tunnels.wait().await;
        }
    }
}

async fn accept(socket: TcpListener, mut entrance: watch::Receiver<Arc<Entrance>>, serving: Serving) {
    let stop = serving.stop.clone();
    let accepting = async {
        loop {
            let current = Arc::clone(&entrance.borrow_and_update());
            tokio::select! {
                biased;
                // Whoever comes after a reload comes to what it made of the listener.
                changed = entrance.changed() => if changed.is_err() { return },
                accepted = accept_one(&socket, &current) => {
                    let (stream, peer, place) = accepted;
                    if let Err(error) = hand_over(stream, peer, place, current, &serving) {
                        tracing::warn!(client.address = %peer, %error, "cannot serve a connection");
                    }
                }
            }
        }
    };
    stop.run_until_cancelled(accepting).await;
}

/// Has a connection served by the thread that serves the fewest.
fn hand_over(
    stream: TcpStream,
    peer: SocketAddr,
    open: OpenPlace,
    entrance: Arc<Entrance>,
    serving: &Serving,
) -> io::Result<()> {
    let Some((seat, worker)) = serving.desks.next() else { return Ok(()) };
    let place = Place { _place: open, _open: entrance.metrics.open(), _seat: seat, of_client: None };
    let serve = |stream| connection::serve(stream, peer, place, entrance, serving.clone());
    match worker {
        None => serving.connections.spawn(serve(stream)),
        Some(worker) => {
            // Its own runtime is going to wait for it.
            let stream = stream.into_std()?;
            let _entered = worker.enter();
            serving.connections.spawn_on(serve(TcpStream::from_std(stream)?), worker)
        }
    };
    Ok(())
}

/// Accepts one connection, whatever it takes: an error must never end the loop.
async fn accept_one(socket: &TcpListener, entrance: &Entrance) -> (TcpStream, SocketAddr, OpenPlace) {
    // The place comes first: past the limit clients wait in the kernel's queue and cost us nothing.
    let limit = entrance.config.limits.max_connections;
    let place = match entrance.places.try_take(limit) {
        Some(place) => place,
        None => {
            entrance.metrics.limit_reached(Limit::MaxConnections);
            entrance.places.take(limit).await
        }
    };
    loop {
        match socket.accept().await {
            Ok((stream, peer)) => return (stream, peer, place),
            // The client left between the handshake of TCP and our accept: its problem alone.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {
            }
            // EMFILE, ENFILE, ENOMEM: they stay until something is closed, so trying at once would spin.
            Err(error) => {
                tracing::warn!(listener.name = entrance.config.name, %error, "cannot accept connections, trying again");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

fn bind_socket(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // `[::]` takes IPv4 as well, whatever the system's default is.
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

const LAST_WORDS: Duration = Duration::from_secs(1);
const BACKLOG: i32 = 1024;
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
