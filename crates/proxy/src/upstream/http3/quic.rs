//! QUIC connections to an HTTP/3 endpoint, and why there is none.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ConnectionError, Endpoint, TransportConfig, VarInt};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{AlertDescription, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::config::UpstreamHttp2;
use crate::upstream::dial::cannot_connect;
use crate::upstream::tls::{self, Client};
use crate::upstream::{FailureKind, UpstreamFailure};

/// How connections of QUIC to one endpoint are made.
#[derive(Debug)]
pub(in crate::upstream) struct Quic {
    transport: Arc<TransportConfig>,
}

impl Quic {
    pub(in crate::upstream) fn new(settings: &UpstreamHttp2) -> Self {
        let mut transport = TransportConfig::default();
        transport
            .stream_receive_window(VarInt::from_u32(settings.initial_stream_window_size))
            .receive_window(VarInt::from_u32(settings.initial_connection_window_size))
            .send_window(SEND_WINDOW)
            // RFC 9114 §6.1: no peer opens streams of both directions to a client.
            .max_concurrent_bidi_streams(VarInt::from_u32(0))
            .max_concurrent_uni_streams(MAX_PEER_STREAMS)
            .datagram_receive_buffer_size(None);
        match settings.keepalive_interval {
            Some(interval) => {
                transport.keep_alive_interval(Some(interval.min(MOST_QUIET)));
                transport.max_idle_timeout(Some(VarInt::from_u32(SILENCE).into()));
            }
            None => {
                transport.max_idle_timeout(None);
            }
        }
        Self { transport: Arc::new(transport) }
    }

    /// Connects to one address; `client` says what is believed and presented. There is no 0-RTT: what it carries can be
    /// replayed (RFC 8470).
    pub(in crate::upstream) async fn connect(
        &self,
        address: SocketAddr,
        name: &ServerName<'_>,
        client: &Client,
    ) -> Result<quinn::Connection, UpstreamFailure> {
        let unusable = |error: &dyn std::fmt::Display| {
            UpstreamFailure::new(FailureKind::Tls, format!("tls: cannot be used over QUIC: {error}"))
        };
        let problem = Problem::default();
        let verifier = Remembering { inner: Arc::clone(&client.verifier), problem: Arc::clone(&problem) };
        let mut client = client.config.clone();
        client.dangerous().set_certificate_verifier(Arc::new(verifier));
        let client = QuicClientConfig::try_from(client).map_err(|error| unusable(&error))?;
        let mut config = quinn::ClientConfig::new(Arc::new(client));
        config.transport_config(Arc::clone(&self.transport));
        let own = match address {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        // A socket for each connection: the kernel spreads them, and one that fails takes no other with it.
        let endpoint = Endpoint::client(own).map_err(|error| cannot_connect(&address, &error))?;
        let connecting = endpoint.connect_with(config, address, &name.to_str());
        let connecting = connecting.map_err(|error| unusable(&error))?;
        connecting.await.map_err(|error| {
            let found = problem.lock().unwrap_or_else(PoisonError::into_inner).take();
            refused(address, &error, found)
        })
    }
}

/// Says that an address kept silent: over UDP nothing else tells that nobody listens.
pub(in crate::upstream) fn silent(address: SocketAddr, limit: Duration) -> UpstreamFailure {
    let detail = format!(
        "cannot connect to `{address}`: no QUIC handshake within {limit:?}; over UDP silence is all that tells that \
         nobody speaks HTTP/3 there, or that a firewall drops UDP"
    );
    UpstreamFailure::new(FailureKind::Silence, detail)
}

fn refused(address: SocketAddr, error: &ConnectionError, problem: Option<Error>) -> UpstreamFailure {
    if let Some(problem) = problem.or_else(|| tls_error(error)) {
        let problem = io::Error::other(problem);
        let detail = tls::reason(&problem).unwrap_or_else(|| format!("tls handshake: {problem}"));
        return UpstreamFailure::new(FailureKind::Tls, detail);
    }
    let kind = match error {
        ConnectionError::VersionMismatch | ConnectionError::TransportError(_) => FailureKind::Protocol,
        ConnectionError::ConnectionClosed(_)
        | ConnectionError::ApplicationClosed(_)
        | ConnectionError::Reset
        | ConnectionError::TimedOut
        | ConnectionError::LocallyClosed
        | ConnectionError::CidsExhausted => FailureKind::Connect,
    };
    UpstreamFailure::new(kind, format!("cannot connect to `{address}` over QUIC: {error}"))
}

/// Returns what was wrong in TLS, where that ended a connection.
pub(super) fn tls_error(error: &ConnectionError) -> Option<Error> {
    // RFC 9001 §4.8: alerts are codes.
    let alert = |code: u64| u8::try_from(code.checked_sub(CRYPTO)?).ok().map(AlertDescription::from);
    match error {
        ConnectionError::ConnectionClosed(close) => alert(close.error_code.into()).map(Error::AlertReceived),
        ConnectionError::TransportError(own) => {
            let has_no_protocol = alert(own.code.into())? == AlertDescription::NoApplicationProtocol;
            Some(if has_no_protocol { Error::NoApplicationProtocol } else { Error::General(own.reason.clone()) })
        }
        ConnectionError::VersionMismatch
        | ConnectionError::ApplicationClosed(_)
        | ConnectionError::Reset
        | ConnectionError::TimedOut
        | ConnectionError::LocallyClosed
        | ConnectionError::CidsExhausted => None,
    }
}

/// What a verifier found.
type Problem = Arc<Mutex<Option<Error>>>;

/// Remembers what a verifier found: quinn only passes on what it says in words.
#[derive(Debug)]
struct Remembering {
    inner: Arc<dyn ServerCertVerifier>,
    problem: Problem,
}

impl Remembering {
    fn remember<T>(&self, found: Result<T, Error>) -> Result<T, Error> {
        found.inspect_err(|error| {
            *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
        })
    }
}

impl ServerCertVerifier for Remembering {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.remember(self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.remember(self.inner.verify_tls12_signature(message, certificate, signed))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.remember(self.inner.verify_tls13_signature(message, certificate, signed))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Bytes that are sent and not acknowledged yet, for all streams of a connection.
const SEND_WINDOW: u64 = 4 * 1024 * 1024;

/// Streams by which a peer may speak of the connection: one for control, two for QPACK, and what nobody knows.
const MAX_PEER_STREAMS: VarInt = VarInt::from_u32(8);

/// How long a connection is quiet at most, where it is kept alive: addresses are forgotten on the way after half a minute
/// (RFC 9308 §3.2), and peers end what is quiet for as long.
const MOST_QUIET: Duration = Duration::from_secs(10);

/// Milliseconds that a peer may be silent which is asked for a sign of life.
const SILENCE: u32 = 30_000;

/// What alerts of TLS are counted from.
const CRYPTO: u64 = 0x100;
