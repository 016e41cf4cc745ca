//! What is counted of connections that are carried both ways, without being looked into.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::gauge::Gauge;

/// What a tunnel carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carries {
    /// What its client speaks, by `CONNECT`.
    Tcp,
    /// A WebSocket.
    WebSocket,
    /// A TLS connection that is passed on by its server name.
    Tls,
}

impl Carries {
    pub(super) const ALL: [Self; 3] = [Self::Tcp, Self::WebSocket, Self::Tls];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::WebSocket => "websocket",
            Self::Tls => "tls",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct TunnelLabels {
    route: String,
    carries: &'static str,
}

impl TunnelLabels {
    pub(super) fn new(route: &str, carries: Carries) -> Self {
        Self { route: route.to_owned(), carries: carries.as_str() }
    }
}

/// Counts one tunnel as open.
#[derive(Debug)]
pub(crate) struct OpenTunnel(Gauge);

impl OpenTunnel {
    pub(super) fn new(open: Gauge) -> Self {
        open.inc();
        Self(open)
    }
}

impl Drop for OpenTunnel {
    fn drop(&mut self) {
        self.0.dec();
    }
}
