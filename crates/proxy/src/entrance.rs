//! The listeners of one configuration: their TLS is loaded, nothing is bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use identity::{ClientAddress, Ip};
use jiff::Timestamp;

use crate::client_address::{SignIns, TrustedProxies};
use crate::client_places::{ClientPlace, ClientPlaces};
use crate::expiry::Expiry;
use crate::metrics::{Limit, ListenerMetrics};
use crate::open_places::OpenPlaces;
use crate::tls::Terminator;
use crate::{BuildError, Listener, ListenerTls, Metrics, OperatorTls, ServeError, operator_tls};

/// The listeners of one configuration.
#[derive(Debug)]
pub struct Entrances {
    // In the order of the configuration.
    list: Box<[Arc<Entrance>]>,
    operators: Option<Arc<OperatorTls>>,
    metrics: Arc<Metrics>,
}

/// A listener as its connections see it.
#[derive(Debug)]
pub(crate) struct Entrance {
    /// Which socket: the same for all entrances that follow each other on it.
    pub(crate) id: EntranceId,
    pub(crate) config: Listener,
    pub(crate) tls: Option<Terminator>,
    pub(crate) trusted_proxies: TrustedProxies,
    sign_ins: Arc<SignIns>,
    pub(crate) metrics: ListenerMetrics,
    pub(crate) places: Arc<OpenPlaces>,
    client_places: Arc<ClientPlaces>,
}

/// Names a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EntranceId(u32);

impl Entrances {
    /// Reads the certificates of every listener, that for operators among them. A listener that is in `before` keeps what its clients hold on to: tickets
    /// for TLS resumption, and the count of its connections.
    ///
    /// # Errors
    /// What is wrong with each certificate.
    pub fn load(
        listeners: Vec<Listener>,
        operators: Option<&ListenerTls>,
        metrics: &Arc<Metrics>,
        before: Option<&Self>,
    ) -> Result<Self, Vec<ServeError>> {
        let mut entrances = Vec::with_capacity(listeners.len());
        let mut errors = Vec::new();
        for listener in listeners {
            let earlier = before.and_then(|before| before.on_socket_of(&listener));
            match Entrance::load(listener, metrics, earlier) {
                Ok(entrance) => entrances.push(Arc::new(entrance)),
                Err(mut of_listener) => errors.append(&mut of_listener),
            }
        }
        let before = before.and_then(|before| before.operators.as_deref());
        let operators = operators.map(|tls| OperatorTls::load(tls, before)).transpose();
        let operators = operators.map_err(|bad| errors.extend(of_listener(operator_tls::NAME, bad)));
        match operators {
            Ok(operators) if errors.is_empty() => {
                let operators = operators.map(Arc::new);
                Ok(Self { list: entrances.into(), operators, metrics: Arc::clone(metrics) })
            }
            Ok(_) | Err(()) => Err(errors),
        }
    }

    /// Returns the TLS of the listener for operators, where it has any.
    #[must_use]
    pub const fn operators(&self) -> Option<&Arc<OperatorTls>> {
        self.operators.as_ref()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Entrance>> {
        self.list.iter()
    }

    pub(crate) fn get(&self, id: EntranceId) -> Option<&Arc<Entrance>> {
        self.iter().find(|entrance| entrance.id == id)
    }

    /// Reads the certificates of every listener again; a pair that is bad keeps the last good one in service.
    pub(crate) fn reload_certificates(&self) -> impl Iterator<Item = ServeError> {
        let of_operators = self.operators.iter().filter_map(|tls| tls.reload().err());
        let of_operators = of_operators.flat_map(|bad| of_listener(operator_tls::NAME, bad));
        let of_entrances = self.iter().flat_map(|entrance| {
            let bad = entrance.tls.as_ref().and_then(|tls| tls.reload().err()).unwrap_or_default();
            of_listener(&entrance.config.name, bad).collect::<Vec<_>>()
        });
        of_entrances.chain(of_operators)
    }

    /// Returns when what the listeners have in service ends, each with the listener's name.
    pub(crate) fn expiries(&self) -> impl Iterator<Item = (&str, Expiry)> {
        let of_operators = self.operators.iter().flat_map(|tls| tls.expiries());
        let of_operators = of_operators.map(|expiry| (operator_tls::NAME, expiry));
        let of_entrances = self.iter().flat_map(|entrance| {
            let expiries = entrance.tls.as_ref().map(Terminator::expiries).unwrap_or_default();
            expiries.into_iter().map(|expiry| (entrance.config.name.as_str(), expiry))
        });
        of_entrances.chain(of_operators)
    }

    /// Tells how the last reading of all certificate files went.
    pub(crate) fn certificates_reloaded(&self, success: bool) {
        self.metrics.certificates_reloaded(success);
    }

    fn on_socket_of(&self, listener: &Listener) -> Option<&Entrance> {
        self.iter().map(|entrance| &**entrance).find(|entrance| entrance.is_on_socket_of(listener))
    }
}

impl Entrance {
    fn load(config: Listener, metrics: &Arc<Metrics>, before: Option<&Self>) -> Result<Self, Vec<ServeError>> {
        let tls_before = before.and_then(|before| before.tls.as_ref());
        let tls = config.tls.as_ref().map(|tls| Terminator::build(&config.name, tls, tls_before)).transpose();
        let tls = tls.map_err(|errors| of_listener(&config.name, errors).collect::<Vec<_>>())?;
        Ok(Self {
            id: before.map_or_else(EntranceId::next, |before| before.id),
            trusted_proxies: TrustedProxies::new(&config.trusted_proxies),
            sign_ins: before.map(|before| Arc::clone(&before.sign_ins)).unwrap_or_default(),
            metrics: metrics.listener(&config.name),
            client_places: before.map(|before| Arc::clone(&before.client_places)).unwrap_or_default(),
            places: before.map(|before| Arc::clone(&before.places)).unwrap_or_default(),
            config,
            tls,
        })
    }

    /// Takes a place for a connection of a client, if it has one left. Behind a trusted proxy are many clients.
    ///
    /// # Errors
    /// The client has as many connections as it may.
    pub(crate) fn place_of(&self, client: Ip) -> Result<Option<ClientPlace>, Limit> {
        if self.trusted_proxies.contains(client) {
            return Ok(None);
        }
        let place = self.client_places.take(client, self.config.limits.max_connections_per_client);
        place.map(Some).ok_or(Limit::MaxConnectionsPerClient)
    }

    /// Notes that a user signed in.
    pub(crate) fn note_sign_in(&self, address: &ClientAddress, user: &str, now: Timestamp) {
        self.sign_ins.note(&self.config.name, address, user, now, &self.metrics);
    }

    /// Port 0 is another one each time, so there the name tells.
    fn is_on_socket_of(&self, listener: &Listener) -> bool {
        self.config.address == listener.address && (listener.address.port() != 0 || self.config.name == listener.name)
    }
}

impl EntranceId {
    fn next() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Returns its number, the same for nobody else.
    pub(crate) const fn number(self) -> usize {
        self.0 as usize
    }
}

fn of_listener(name: &str, errors: Vec<BuildError>) -> impl Iterator<Item = ServeError> {
    errors.into_iter().map(move |source| ServeError::Tls { listener: name.to_owned(), source })
}
