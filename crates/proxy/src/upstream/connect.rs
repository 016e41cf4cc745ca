//! Opens connections: name, address, TCP or a Unix socket, TLS.

use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus_client::metrics::counter::Counter;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::dial::{Dial, cannot_connect, too_slow};
use super::http3::{self, Quic};
use super::shared::Retire;
use super::socket::Socket;
use super::stream::Stream;
use super::tls::{self, Material, SystemRoots};
use super::{FailureKind, UpstreamFailure};
use crate::BuildError;
use crate::config::{self, EndpointScheme, Route, UpstreamProtocol, UpstreamTls};
use crate::expiry::Expiry;

/// How one endpoint is reached.
#[derive(Debug)]
pub(super) struct Connector {
    /// The endpoint as logs name it.
    pub(super) name: Arc<str>,
    /// Its host as `Host` says it.
    pub(super) authority: Box<str>,
    /// What is spoken.
    pub(super) speaks: Speaks,
    /// Bounds one connection, from the look-up of the name to the end of the TLS handshake.
    pub(super) limit: Duration,
    place: Place,
    tls: Option<Tls>,
    quic: Option<Quic>,
}

/// What is spoken to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    /// HTTP/1.1, as configured.
    Http1,
    /// HTTP/2, as configured.
    Http2,
    /// What ALPN chooses.
    Negotiated,
    /// HTTP/3, as configured.
    Http3,
    /// HTTP/2 where the endpoint shows it, without TLS, else HTTP/1.1. A new connection is HTTP/1.1 until then.
    Probed,
    /// No HTTP of ours: what clients of tunnels speak.
    Tcp,
}

/// What a new connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spoken {
    Http1,
    Http2,
    Http3,
}

/// What the connection is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Requests.
    Exchange,
    /// An HTTP/1.1 upgrade, which HTTP/2 does not have.
    Upgrade,
}

#[derive(Debug)]
enum Place {
    Tcp(Dial),
    Socket(PathBuf),
}

#[derive(Debug)]
struct Tls {
    server_name: ServerName<'static>,
    settings: UpstreamTls,
    speaks: Speaks,
    clients: ArcSwap<Clients>,
}

/// What the files said when they were last good.
#[derive(Debug)]
struct Clients {
    exchange: Arc<ClientConfig>,
    upgrade: Arc<ClientConfig>,
    quic: tls::Client,
    fingerprint: [u8; 32],
    expiries: Vec<Expiry>,
}

impl Connector {
    pub(super) fn build(
        route: &Route,
        address: &config::Endpoint,
        material: Option<Material>,
        roots: &SystemRoots,
        dns_failures: impl FnOnce() -> Counter,
    ) -> Result<Self, BuildError> {
        // Where the scheme says TLS, nothing turns it off.
        let speaks = match (route.upstream_protocol, address.scheme) {
            (UpstreamProtocol::FromScheme | UpstreamProtocol::Auto, EndpointScheme::Https) => Speaks::Negotiated,
            (UpstreamProtocol::Auto, EndpointScheme::Http) => Speaks::Probed,
            (_, EndpointScheme::Tcp) => Speaks::Tcp,
            (UpstreamProtocol::Http3, _) => Speaks::Http3,
            (UpstreamProtocol::FromScheme, EndpointScheme::Http)
            | (_, EndpointScheme::Unix)
            | (UpstreamProtocol::Http1, _) => Speaks::Http1,
            (UpstreamProtocol::FromScheme | UpstreamProtocol::Auto, EndpointScheme::H2c)
            | (UpstreamProtocol::Http2 | UpstreamProtocol::H2c, _) => Speaks::Http2,
        };
        let bare = address.host.trim_start_matches('[').trim_end_matches(']');
        let (dns, limit) = (&route.upstream.dns, route.timeouts.connect);
        let place = match address.scheme {
            EndpointScheme::Unix => Place::Socket(PathBuf::from(&address.host)),
            EndpointScheme::Http | EndpointScheme::Https | EndpointScheme::H2c | EndpointScheme::Tcp => {
                Place::Tcp(Dial::new(&address.host, address.port, dns, limit, dns_failures))
            }
        };
        let tls = match material {
            Some(material) => Some(Tls::build(route, bare, speaks, material, roots)?),
            None => None,
        };
        let host = if bare.contains(':') { format!("[{bare}]") } else { bare.to_owned() };
        let name = match address.scheme {
            EndpointScheme::Http => format!("http://{host}:{}", address.port),
            EndpointScheme::Https => format!("https://{host}:{}", address.port),
            EndpointScheme::H2c => format!("h2c://{host}:{}", address.port),
            EndpointScheme::Unix => format!("unix://{}", address.host),
            EndpointScheme::Tcp => format!("tcp://{host}:{}", address.port),
        };
        let authority = super::written(address).into();
        let quic = (speaks == Speaks::Http3).then(|| Quic::new(&route.upstream.http2));
        Ok(Self { name: name.into(), authority, speaks, limit, place, tls, quic })
    }

    /// Reads the files of TLS again.
    pub(super) fn reload_certificates(&self) -> Result<(), BuildError> {
        self.tls.as_ref().map_or(Ok(()), Tls::reload)
    }

    /// Returns the fingerprint of the files of TLS when they were last good.
    pub(super) fn tls_fingerprint(&self) -> Option<[u8; 32]> {
        self.tls.as_ref().map(|tls| tls.clients.load().fingerprint)
    }

    /// Returns when what the files of TLS held when they were last good ends.
    pub(super) fn expiries(&self) -> Vec<Expiry> {
        self.tls.as_ref().map(|tls| tls.clients.load().expiries.clone()).unwrap_or_default()
    }

    /// Returns the scheme of requests.
    pub(super) const fn scheme(&self) -> http::uri::Scheme {
        if self.tls.is_some() { http::uri::Scheme::HTTPS } else { http::uri::Scheme::HTTP }
    }

    /// Begins to look the name up, if the endpoint has one.
    pub(super) fn watch(&self) {
        if let Place::Tcp(dial) = &self.place {
            dial.watch();
        }
    }

    /// Stops using connections of `pool` for new requests when an address of the name is gone.
    pub(super) fn retire_in(&self, pool: Weak<dyn Retire>) {
        if let Place::Tcp(dial) = &self.place {
            dial.retire_in(pool);
        }
    }

    /// Opens a connection to the socket, or to one of the addresses, trying each.
    pub(super) async fn connect(&self, purpose: Purpose) -> Result<(Stream, Spoken), UpstreamFailure> {
        match &self.place {
            Place::Tcp(dial) => dial.open(|tcp| self.speak(tcp, purpose)).await,
            Place::Socket(path) => match timeout(self.limit, UnixStream::connect(path)).await {
                Ok(Ok(unix)) => Ok((Stream::Clear(unix.into()), Spoken::Http1)),
                Ok(Err(error)) => Err(cannot_connect(&self.name, &error)),
                Err(_) => Err(too_slow("connection", self.limit)),
            },
        }
    }

    /// Opens a connection of QUIC to one of the addresses, trying each.
    pub(super) async fn connect_over_quic(&self) -> Result<quinn::Connection, UpstreamFailure> {
        let (Place::Tcp(dial), Some(tls), Some(quic)) = (&self.place, &self.tls, &self.quic) else {
            return Err(UpstreamFailure::new(FailureKind::Tls, "HTTP/3 needs TLS"));
        };
        let clients = tls.clients.load_full();
        let late = |address| http3::silent(address, self.limit);
        dial.each(late, |address| quic.connect(address, &tls.server_name, &clients.quic)).await
    }

    /// Settles what is spoken over a connection.
    async fn speak(&self, tcp: TcpStream, purpose: Purpose) -> Result<(Stream, Spoken), UpstreamFailure> {
        let socket = Socket::from(tcp);
        let Some(tls) = &self.tls else {
            let spoken = match (self.speaks, purpose) {
                (Speaks::Http2, Purpose::Exchange) => Spoken::Http2,
                (Speaks::Http1 | Speaks::Negotiated | Speaks::Probed | Speaks::Http3 | Speaks::Tcp, _)
                | (_, Purpose::Upgrade) => Spoken::Http1,
            };
            return Ok((Stream::Clear(socket), spoken));
        };
        let stream = tls.handshake(socket, purpose).await?;
        let spoken = match (stream.get_ref().1.alpn_protocol(), self.speaks, purpose) {
            (Some(b"h2"), Speaks::Http2 | Speaks::Negotiated, Purpose::Exchange) => Spoken::Http2,
            (Some(b"http/1.1") | None, Speaks::Http1 | Speaks::Negotiated, _)
            | (Some(b"http/1.1") | None, _, Purpose::Upgrade) => Spoken::Http1,
            _ => return Err(UpstreamFailure::new(FailureKind::Tls, "upstream did not agree to the protocol by ALPN")),
        };
        Ok((Stream::Tls(Box::new(stream)), spoken))
    }
}

impl Tls {
    fn build(
        route: &Route,
        host: &str,
        speaks: Speaks,
        material: Material,
        roots: &SystemRoots,
    ) -> Result<Self, BuildError> {
        let name = route.upstream_tls.server_name.as_deref().unwrap_or(host);
        let server_name = tls::server_name(name)
            .ok_or_else(|| BuildError::UnusableUpstreamName { route: route.name.clone(), name: name.to_owned() })?;
        let settings = route.upstream_tls.clone();
        let clients = ArcSwap::from_pointee(Clients::build(&settings, speaks, material, roots)?);
        Ok(Self { server_name, settings, speaks, clients })
    }

    /// Reads the files again; connections that are open stay.
    fn reload(&self) -> Result<(), BuildError> {
        let material = Material::read(&self.settings)?;
        if material.fingerprint != self.clients.load().fingerprint {
            let clients = Clients::build(&self.settings, self.speaks, material, &SystemRoots::default())?;
            self.clients.store(Arc::new(clients));
        }
        Ok(())
    }

    async fn handshake(&self, socket: Socket, purpose: Purpose) -> Result<TlsStream<Socket>, UpstreamFailure> {
        let clients = self.clients.load_full();
        let config = match purpose {
            Purpose::Exchange => &clients.exchange,
            Purpose::Upgrade => &clients.upgrade,
        };
        TlsConnector::from(Arc::clone(config)).connect(self.server_name.clone(), socket).await.map_err(|error| {
            let detail = tls::reason(&error).unwrap_or_else(|| format!("tls handshake: {error}"));
            UpstreamFailure::new(FailureKind::Tls, detail)
        })
    }
}

impl Clients {
    fn build(
        settings: &UpstreamTls,
        speaks: Speaks,
        material: Material,
        roots: &SystemRoots,
    ) -> Result<Self, BuildError> {
        let (fingerprint, expiries) = (material.fingerprint, material.expiries.clone());
        let mut client = material.client(settings, roots)?;
        let mut upgrade = client.config.clone();
        let mut exchange = client.config.clone();
        upgrade.alpn_protocols = vec![b"http/1.1".to_vec()];
        client.config.alpn_protocols = vec![b"h3".to_vec()];
        exchange.alpn_protocols = match speaks {
            Speaks::Http1 => vec![b"http/1.1".to_vec()],
            Speaks::Http2 => vec![b"h2".to_vec()],
            Speaks::Negotiated | Speaks::Probed | Speaks::Http3 | Speaks::Tcp => {
                vec![b"h2".to_vec(), b"http/1.1".to_vec()]
            }
        };
        Ok(Self { exchange: Arc::new(exchange), upgrade: Arc::new(upgrade), quic: client, fingerprint, expiries })
    }
}
