//! TLS of the listener for operators, which is none of the proxy's: its files are loaded, renewed and told of like those of
//! the others.

use std::io;

use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::server::TlsStream;

use crate::expiry::Expiry;
use crate::tls::{Terminator, VerifiedClient};
use crate::{BuildError, ListenerTls};

/// The certificates of the listener for operators, and those by which it knows operators.
#[derive(Debug)]
pub struct OperatorTls {
    terminator: Terminator,
    asks: bool,
}

/// The certificate that an operator has shown.
#[derive(Debug)]
pub struct OperatorCertificate(VerifiedClient);

impl OperatorTls {
    pub(crate) fn load(tls: &ListenerTls, before: Option<&Self>) -> Result<Self, Vec<BuildError>> {
        let terminator = Terminator::build(NAME, tls, before.map(|before| &before.terminator))?;
        Ok(Self { terminator, asks: tls.client_auth.is_some() })
    }

    /// Shakes hands.
    ///
    /// # Errors
    /// It failed, or the certificate of the operator is none that counts.
    pub async fn accept<S>(&self, stream: S) -> io::Result<(TlsStream<S>, Option<OperatorCertificate>)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (stream, client) = self.terminator.accept(stream).await?;
        Ok((stream, client.map(OperatorCertificate)))
    }

    /// Returns whether operators are asked for a certificate.
    #[must_use]
    pub const fn asks(&self) -> bool {
        self.asks
    }

    /// Returns whether a certificate that was shown still counts: it may have been revoked, or have ended, since.
    #[must_use]
    pub fn admits(&self, certificate: &OperatorCertificate, now: Timestamp) -> bool {
        self.asks && self.terminator.admits(Some(&certificate.0), now)
    }

    /// Returns whether a certificate of the listener is for this host, so that no browser was led here by another.
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        self.terminator.certificates.select(Some(&host)).is_some_and(|shown| shown.covers(&host))
    }

    pub(crate) fn reload(&self) -> Result<(), Vec<BuildError>> {
        self.terminator.reload()
    }

    pub(crate) fn expiries(&self) -> Vec<Expiry> {
        self.terminator.expiries()
    }
}

impl OperatorCertificate {
    /// Returns whom it names.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.0.certificate.subject
    }
}

/// What the listener is called beside those of the configuration.
pub(crate) const NAME: &str = "admin";
