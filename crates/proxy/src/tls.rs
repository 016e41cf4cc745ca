//! Terminates TLS: certificates chosen by server name, swapped without dropping a connection.

mod client_auth;
mod names;
mod subject;

use std::borrow::Cow;
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::ClientAuthMode;
use crate::expiry::{self, Expiry};
use crate::{BuildError, Certificate, ListenerTls, TlsVersion};

pub(crate) use client_auth::VerifiedClient;
use client_auth::Verifier;
pub use names::CertificateNames;
pub(crate) use subject::client_certificate;

/// TLS of one listener.
#[derive(Debug)]
pub(crate) struct Terminator {
    pub(crate) certificates: Arc<Certificates>,
    listener: Box<str>,
    tls: ListenerTls,
    terms: ArcSwap<Terms>,
}

/// What one handshake is made by, exchanged as a whole.
#[derive(Debug)]
struct Terms {
    config: Arc<ServerConfig>,
    clients: Option<Arc<Verifier>>,
}

impl Terminator {
    /// Reads all files. Tickets that `before` gave out stay good.
    ///
    /// # Errors
    /// What is wrong with each file.
    pub(crate) fn build(listener: &str, tls: &ListenerTls, before: Option<&Self>) -> Result<Self, Vec<BuildError>> {
        let certificates = Certificates::load(listener, tls.certificates.clone()).map(Arc::new);
        let clients = clients(tls);
        let (certificates, clients) = match (certificates, clients) {
            (Ok(certificates), Ok(clients)) => (certificates, clients),
            (Err(mut errors), clients) => {
                errors.extend(clients.err());
                return Err(errors);
            }
            (Ok(_), Err(error)) => return Err(vec![error]),
        };
        let before = before.map(|before| before.terms.load_full());
        let terms =
            Terms::new(listener, tls, &certificates, clients, before.as_deref()).map_err(|error| vec![error])?;
        let (listener, tls) = (listener.into(), tls.clone());
        Ok(Self { certificates, listener, tls, terms: ArcSwap::from_pointee(terms) })
    }

    /// Reads all files again. One that is bad keeps the last good one in service.
    ///
    /// # Errors
    /// What is wrong with each file.
    pub(crate) fn reload(&self) -> Result<(), Vec<BuildError>> {
        let mut errors = self.certificates.reload().err().unwrap_or_default();
        errors.extend(self.reload_clients().err());
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    fn reload_clients(&self) -> Result<(), BuildError> {
        let Some(read) = clients(&self.tls)? else { return Ok(()) };
        let current = self.terms.load();
        if current.clients.as_ref().is_some_and(|current| current.is_same(&read)) {
            return Ok(());
        }
        self.terms.store(Arc::new(Terms::new(&self.listener, &self.tls, &self.certificates, Some(read), None)?));
        tracing::info!(listener.name = &*self.listener, "authorities and revocation lists of clients exchanged");
        Ok(())
    }

    /// Returns when certificates, authorities and revocation lists in service end.
    pub(crate) fn expiries(&self) -> Vec<Expiry> {
        let mut expiries = self.certificates.expiries();
        expiries.extend(self.terms.load().clients.iter().flat_map(|clients| clients.expiries.iter().cloned()));
        expiries
    }

    /// Shakes hands.
    pub(crate) async fn accept<S>(&self, stream: S) -> io::Result<(TlsStream<S>, Option<VerifiedClient>)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let terms = self.terms.load_full();
        let stream = TlsAcceptor::from(Arc::clone(&terms.config)).accept(stream).await?;
        let chain = stream.get_ref().1.peer_certificates();
        let client = chain.zip(terms.clients.as_ref()).map(|(chain, by)| VerifiedClient::new(chain, Arc::clone(by)));
        let client = client.transpose().map_err(io::Error::other)?;
        Ok((stream, client))
    }

    /// Returns whether a client that is connected, with this certificate or none, might connect now.
    pub(crate) fn admits(&self, client: Option<&VerifiedClient>, now: Timestamp) -> bool {
        match client {
            Some(client) => self.terms.load().clients.as_ref().is_some_and(|current| client.stands(current, now)),
            None => self.tls.client_auth.as_ref().is_none_or(|auth| auth.mode != ClientAuthMode::Require),
        }
    }
}

fn clients(tls: &ListenerTls) -> Result<Option<Verifier>, BuildError> {
    tls.client_auth.as_ref().map(Verifier::read).transpose()
}

impl Terms {
    fn new(
        listener: &str,
        tls: &ListenerTls,
        certificates: &Arc<Certificates>,
        clients: Option<Verifier>,
        before: Option<&Self>,
    ) -> Result<Self, BuildError> {
        let versions: &[_] = match tls.min_version {
            TlsVersion::V1_2 => &[&rustls::version::TLS13, &rustls::version::TLS12],
            TlsVersion::V1_3 => &[&rustls::version::TLS13],
        };
        // The provider is named here rather than installed for the process: nothing else can then exchange it. Its
        // first key exchange is X25519MLKEM768, so that what is recorded today stays closed to a quantum computer.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let unusable =
            |source: rustls::Error| BuildError::UnusableFile { path: listener.to_owned(), reason: source.to_string() };
        // One reading like the last: whom it has verified need not be verified again.
        let same = before.and_then(|before| before.clients.as_ref());
        let clients =
            clients.map(|read| same.filter(|same| same.is_same(&read)).map_or_else(|| Arc::new(read), Arc::clone));
        let builder =
            ServerConfig::builder_with_provider(provider).with_protocol_versions(versions).map_err(unusable)?;
        let builder = match &clients {
            Some(clients) => builder.with_client_cert_verifier(Arc::clone(&clients.webpki)),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::clone(certificates) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![H2.to_vec(), b"http/1.1".to_vec()];
        // Early data can be replayed by whoever recorded it.
        config.max_early_data_size = 0;
        // Each connection brings the ticket of one that follows it (RFC 8446 §C.4). A second one would be made in vain.
        config.send_tls13_tickets = 1;
        if clients.is_some() {
            // A resumed session is not verified: a certificate that was revoked, or has ended, would come in again.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        } else if let Some(before) = before.filter(|before| before.clients.is_none()) {
            config.ticketer = Arc::clone(&before.config.ticketer);
            config.session_storage = Arc::clone(&before.config.session_storage);
        } else {
            config.ticketer = aws_lc_rs::Ticketer::new().map_err(unusable)?;
        }
        Ok(Self { config: Arc::new(config), clients })
    }
}

/// Returns whether a handshake failed for want of a good certificate of the client.
pub(crate) fn is_client_refused(error: &io::Error) -> bool {
    let error = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    matches!(error, Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented))
}

/// The certificates of one listener, in the order of the configuration.
#[derive(Debug)]
pub(crate) struct Certificates {
    listener: Box<str>,
    // Invariant: not empty.
    files: Vec<Certificate>,
    index: ArcSwap<Index>,
}

impl Certificates {
    fn load(listener: &str, files: Vec<Certificate>) -> Result<Self, Vec<BuildError>> {
        let provider = aws_lc_rs::default_provider();
        let mut served = Vec::new();
        let mut errors = Vec::new();
        for (position, files) in files.iter().enumerate() {
            match Served::read(position, files, &provider) {
                Ok(certificate) => served.push(Arc::new(certificate)),
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let index = ArcSwap::from_pointee(Index::new(served));
        Ok(Self { listener: listener.into(), files, index })
    }

    /// Reads all files again. A pair that is bad keeps the last good one in service.
    ///
    /// # Errors
    /// What is wrong with each file.
    pub(crate) fn reload(&self) -> Result<(), Vec<BuildError>> {
        let provider = aws_lc_rs::default_provider();
        let mut errors = Vec::new();
        let old = self.index.load();
        let served = old.served.iter().zip(&self.files).map(|(last_good, files)| {
            Served::read(last_good.position, files, &provider).map_or_else(
                |error| {
                    errors.push(error);
                    Arc::clone(last_good)
                },
                Arc::new,
            )
        });
        let served: Vec<_> = served.collect();
        for ((new, old), files) in served.iter().zip(&old.served).zip(&self.files) {
            if new.key.cert != old.key.cert {
                tracing::info!(listener.name = &*self.listener, path = %files.cert_file.display(), "certificate exchanged");
            }
        }
        self.index.store(Arc::new(Index::new(served)));
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// Returns the certificate that a client who asks for `name` is shown.
    pub(crate) fn select(&self, name: Option<&str>) -> Option<Arc<Served>> {
        self.index.load().select(name)
    }

    /// Returns when each certificate in service ends.
    fn expiries(&self) -> Vec<Expiry> {
        let expiry = |(served, files): (&Arc<Served>, &Certificate)| {
            Expiry::new(expiry::Kind::Certificate, &files.cert_file, served.not_after)
        };
        self.index.load().served.iter().zip(&self.files).map(expiry).collect()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.select(client_hello.server_name()).map(|served| Arc::clone(&served.key))
    }
}

/// One certificate in service.
#[derive(Debug)]
pub(crate) struct Served {
    position: usize,
    key: Arc<CertifiedKey>,
    names: CertificateNames,
    not_after: i64,
}

impl Served {
    /// Returns whether the certificate is good for a host, given in lower case.
    pub(crate) fn covers(&self, host: &str) -> bool {
        self.names.cover(host)
    }

    /// Returns whether both stand at the same place of the configuration: a renewed certificate replaces its
    /// predecessor.
    pub(crate) const fn replaces(&self, other: &Self) -> bool {
        self.position == other.position
    }

    fn read(position: usize, files: &Certificate, provider: &CryptoProvider) -> Result<Self, BuildError> {
        let chain = CertificateDer::pem_file_iter(&files.cert_file)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|source| unusable(&files.cert_file, source))?;
        let leaf = chain.first().ok_or_else(|| unusable(&files.cert_file, "there is no certificate in it"))?;
        let (names, not_after) = names::of(leaf).map_err(|reason| unusable(&files.cert_file, reason))?;
        let key = PrivateKeyDer::from_pem_file(&files.key_file).map_err(|source| unusable(&files.key_file, source))?;
        let key = CertifiedKey::from_der(chain, key, provider).map_err(|source| {
            if matches!(source, rustls::Error::InconsistentKeys(_)) {
                let certificate = files.cert_file.display();
                unusable(&files.key_file, format!("the key does not belong to the certificate in `{certificate}`"))
            } else {
                unusable(&files.key_file, source)
            }
        })?;
        Ok(Self { position, key: Arc::new(key), names, not_after })
    }
}

#[derive(Debug)]
struct Index {
    served: Vec<Arc<Served>>,
    exact: HashMap<Box<str>, usize>,
    wildcard: HashMap<Box<str>, usize>,
}

impl Index {
    fn new(served: Vec<Arc<Served>>) -> Self {
        let mut exact = HashMap::new();
        let mut wildcard = HashMap::new();
        for (position, certificate) in served.iter().enumerate() {
            for name in &certificate.names.exact {
                exact.entry(name.clone()).or_insert(position);
            }
            for name in &certificate.names.wildcard {
                wildcard.entry(name.clone()).or_insert(position);
            }
        }
        Self { served, exact, wildcard }
    }

    fn select(&self, name: Option<&str>) -> Option<Arc<Served>> {
        let position = name.and_then(|name| {
            let name = lower(name);
            // RFC 6125 §6.4.3: a wildcard stands for exactly one label.
            let wildcard = || self.wildcard.get(name.split_once('.')?.1);
            self.exact.get(&*name).or_else(wildcard).copied()
        });
        self.served.get(position.unwrap_or(0)).cloned()
    }
}

fn lower(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

fn unusable(path: &Path, reason: impl std::fmt::Display) -> BuildError {
    BuildError::UnusableFile { path: path.display().to_string(), reason: reason.to_string() }
}

/// The ALPN name of HTTP/2 over TLS (RFC 9113 §3.2).
pub(crate) const H2: &[u8] = b"h2";

#[cfg(test)]
mod tests;
