//! Where something is sent: a host, over TCP or TLS.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// A host that receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// Its name or address; an IPv6 address without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether and how it is reached over TLS.
    pub tls: Option<Tls>,
}

/// What is believed of a receiver, and shown to it. Files are read for each connection, so that what was renewed holds
/// for the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// The authorities believed; without it, those of the system.
    pub ca_file: Option<PathBuf>,
    /// Our certificate and its key.
    pub client: Option<(PathBuf, PathBuf)>,
    /// The name that the receiver's certificate must have; without it, that of the host.
    pub server_name: Option<String>,
}

/// Both directions of a connection.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

impl fmt::Display for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.authority())
    }
}

impl Receiver {
    /// Returns host and port as they stand in `Host`.
    pub(crate) fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    /// Connects.
    ///
    /// # Errors
    /// Nobody is there, or it is not who it should be.
    pub async fn connect(&self) -> io::Result<Box<dyn Duplex>> {
        timeout(PATIENCE, self.connect_at_leisure())
            .await
            .unwrap_or_else(|_| Err(told(io::ErrorKind::TimedOut, format!("no connection to `{self}` in time"))))
    }

    async fn connect_at_leisure(&self) -> io::Result<Box<dyn Duplex>> {
        let failed = |error: io::Error| told(error.kind(), format!("cannot connect to `{self}`: {error}"));
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(failed)?;
        stream.set_nodelay(true)?;
        // One that vanished is noticed as soon as it does not confirm what is sent.
        #[cfg(target_os = "linux")]
        SockRef::from(&stream).set_tcp_user_timeout(Some(PATIENCE))?;
        SockRef::from(&stream).set_keepalive(true)?;
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        let name = tls.server_name.as_ref().unwrap_or(&self.host).clone();
        let name = ServerName::try_from(name).map_err(|error| told(io::ErrorKind::InvalidInput, error.to_string()))?;
        let connected = TlsConnector::from(Arc::new(tls.config()?)).connect(name, stream).await;
        let failed = |error: io::Error| told(error.kind(), format!("tls with `{self}` failed: {error}"));
        Ok(Box::new(connected.map_err(failed)?))
    }
}

impl Tls {
    /// Returns how such a receiver is spoken to.
    ///
    /// # Errors
    /// A file cannot be used.
    pub fn config(&self) -> io::Result<ClientConfig> {
        let unusable = |error: rustls::Error| told(io::ErrorKind::InvalidData, error.to_string());
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_root_certificates(self.ca_file.as_deref().map_or_else(|| Ok(system_roots()), roots)?);
        let Some((cert_file, key_file)) = &self.client else { return Ok(config.with_no_client_auth()) };
        let chain = certificates(cert_file)?;
        let key = PrivateKeyDer::from_pem_file(key_file).map_err(|error| of_file(key_file, &error))?;
        config.with_client_auth_cert(chain, key).map_err(unusable)
    }
}

fn roots(path: &Path) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| of_file(path, &error))?;
    }
    Ok(roots)
}

fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        // An image without certificates of its own (scratch, distroless).
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let found: Vec<_> = read.map_err(|error| of_file(path, &error))?;
    if found.is_empty() { Err(of_file(path, &"no certificate in it, in PEM")) } else { Ok(found) }
}

fn of_file(path: &Path, error: &dyn fmt::Display) -> io::Error {
    told(io::ErrorKind::InvalidData, format!("`{}`: {error}", path.display()))
}

fn told(kind: io::ErrorKind, text: String) -> io::Error {
    io::Error::new(kind, text)
}

/// How long a connection may take, and how long a receiver may leave unconfirmed what was sent.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
