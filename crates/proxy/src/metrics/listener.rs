//! What is counted of the connections of one listener.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

/// The handles of one listener.
#[derive(Clone, Debug)]
pub(crate) struct ListenerMetrics {
    pub(super) opened: Counter,
    pub(super) open: Gauge,
    pub(super) streams: Gauge,
    pub(super) addresses_lost: Counter,
    pub(super) addresses_shared: Counter,
    pub(super) proxy_headers_refused: Counter,
    // By the place in `Limit::ALL`.
    pub(super) limits_reached: [Counter; Limit::ALL.len()],
    pub(super) handshakes_ok: Counter,
    pub(super) handshakes_failed: Counter,
    pub(super) clients_refused: Counter,
}

/// A limit of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// The next client has to wait.
    MaxConnections,
    /// A client's further connection was closed.
    MaxConnectionsPerClient,
    /// A handshake took too long.
    HandshakeTimeout,
    /// A head took too long.
    HeaderTimeout,
    /// Nothing came for too long.
    IdleTimeout,
    /// A head was too large: 431.
    MaxHeaderBytes,
}

impl Limit {
    pub(super) const ALL: [Self; 6] = [
        Self::MaxConnections,
        Self::MaxConnectionsPerClient,
        Self::HandshakeTimeout,
        Self::HeaderTimeout,
        Self::IdleTimeout,
        Self::MaxHeaderBytes,
    ];

    /// Returns its key in the configuration.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::MaxConnections => "max_connections",
            Self::MaxConnectionsPerClient => "max_connections_per_client",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::HeaderTimeout => "header_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::MaxHeaderBytes => "max_header_bytes",
        }
    }
}

/// How a handshake went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handshake {
    /// It agreed.
    Ok,
    /// It failed.
    Failed,
    /// It failed for want of a good certificate of the client.
    ClientRefused,
}

impl From<bool> for Handshake {
    fn from(ok: bool) -> Self {
        if ok { Self::Ok } else { Self::Failed }
    }
}

impl ListenerMetrics {
    /// Counts a connection as open until the value is dropped.
    pub(crate) fn open(&self) -> OpenConnection {
        self.opened.inc();
        self.open.inc();
        OpenConnection(self.open.clone())
    }

    /// Counts a request on HTTP/2 as open.
    pub(crate) fn stream_opened(&self) {
        self.streams.inc();
    }

    /// Counts it as ended.
    pub(crate) fn stream_ended(&self) {
        self.streams.dec();
    }

    /// Counts a request whose client's address is lost, and returns how many there were before.
    pub(crate) fn address_lost(&self) -> u64 {
        self.addresses_lost.inc()
    }

    /// Counts an address that many users share, and returns how many there were before.
    pub(crate) fn address_shared(&self) -> u64 {
        self.addresses_shared.inc()
    }

    /// Counts a connection that came to a limit.
    pub(crate) fn limit_reached(&self, limit: Limit) {
        let place = Limit::ALL.iter().position(|other| *other == limit);
        if let Some(counter) = place.and_then(|place| self.limits_reached.get(place)) {
            counter.inc();
        }
    }

    /// Counts a connection without a good PROXY header.
    pub(crate) fn proxy_header_refused(&self) {
        self.proxy_headers_refused.inc();
    }

    /// Counts a handshake.
    pub(crate) fn handshake(&self, handshake: Handshake) {
        match handshake {
            Handshake::Ok => self.handshakes_ok.inc(),
            Handshake::Failed => self.handshakes_failed.inc(),
            Handshake::ClientRefused => self.clients_refused.inc(),
        };
    }
}

/// Counts one connection as open.
#[derive(Debug)]
pub(crate) struct OpenConnection(Gauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}
