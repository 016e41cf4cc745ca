//! Verifies the certificates of clients against authorities and revocation lists that are exchanged while we serve.

use std::sync::Arc;

use arc_swap::ArcSwap;
use authorize::ClientCertificate;
use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use x509_parser::prelude::{CertificateRevocationList, FromDer};

use super::{subject, unusable};
use crate::BuildError;
use crate::config::{ClientAuth, ClientAuthMode};
use crate::expiry::{Expiry, Kind};

/// What clients' certificates are verified against: one reading of the files.
#[derive(Debug)]
pub(crate) struct Verifier {
    pub(super) webpki: Arc<dyn ClientCertVerifier>,
    authorities: Vec<CertificateDer<'static>>,
    lists: Vec<CertificateRevocationListDer<'static>>,
    pub(super) expiries: Vec<Expiry>,
}

impl Verifier {
    /// Reads the files of a listener.
    pub(super) fn read(auth: &ClientAuth) -> Result<Self, BuildError> {
        let authorities = CertificateDer::pem_file_iter(&auth.ca_file)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|source| unusable(&auth.ca_file, source))?;
        if authorities.is_empty() {
            return Err(unusable(&auth.ca_file, "there is no certificate in it"));
        }
        let mut roots = RootCertStore::empty();
        for authority in &authorities {
            roots.add(authority.clone()).map_err(|source| unusable(&auth.ca_file, source))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let mut expiries: Vec<_> =
            Expiry::of_certificates(Kind::Authority, &auth.ca_file, &authorities).into_iter().collect();
        let mut lists = Vec::new();
        if let Some(file) = &auth.crl_file {
            lists = CertificateRevocationListDer::pem_file_iter(file)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|source| unusable(file, source))?;
            let next_update = next_update(&lists).map_err(|reason| unusable(file, reason))?;
            expiries.push(Expiry::new(Kind::RevocationList, file, next_update));
            // A list that is out of date may lack the certificate that was stolen yesterday: without the second line
            // it would be believed for ever.
            builder = builder.with_crls(lists.iter().cloned()).enforce_revocation_expiration();
        }
        if auth.mode == ClientAuthMode::Request {
            builder = builder.allow_unauthenticated();
        }
        let webpki = builder.build().map_err(|source| unusable(&auth.ca_file, source))?;
        Ok(Self { webpki, authorities, lists, expiries })
    }

    /// Returns whether both were made of the same authorities and lists.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.authorities == other.authorities && self.lists == other.lists
    }
}

/// A client's certificate, with what it was last verified against.
#[derive(Debug)]
pub(crate) struct VerifiedClient {
    /// As policies and the audit record see it.
    pub(crate) certificate: ClientCertificate,
    // Invariant: not empty, leaf first.
    chain: Box<[CertificateDer<'static>]>,
    verifier: ArcSwap<Verifier>,
}

impl VerifiedClient {
    /// Takes the chain that a handshake has verified.
    pub(super) fn new(chain: &[CertificateDer<'static>], verifier: Arc<Verifier>) -> Result<Self, String> {
        let leaf = chain.first().ok_or("the client's chain is empty")?;
        let certificate = subject::client_certificate(leaf)?;
        Ok(Self { certificate, chain: chain.into(), verifier: ArcSwap::new(verifier) })
    }

    /// Returns whether the certificate still counts. A connection may outlive the certificate, and the lists that it was
    /// checked against.
    pub(super) fn stands(&self, current: &Arc<Verifier>, now: Timestamp) -> bool {
        if self.certificate.not_after < now {
            return false;
        }
        if Arc::ptr_eq(&self.verifier.load(), current) {
            return true;
        }
        let Some((leaf, intermediates)) = self.chain.split_first() else { return false };
        let now = UnixTime::since_unix_epoch(now.as_duration().unsigned_abs());
        let verified = current.webpki.verify_client_cert(leaf, intermediates, now).is_ok();
        if verified {
            self.verifier.store(Arc::clone(current));
        }
        verified
    }
}

/// Returns when the first of the lists is out of date, in seconds since 1970.
fn next_update(lists: &[CertificateRevocationListDer<'_>]) -> Result<i64, String> {
    let mut first = None;
    for list in lists {
        let (_, list) =
            CertificateRevocationList::from_der(list).map_err(|error| format!("not a revocation list: {error}"))?;
        let next = list.next_update().ok_or("a revocation list does not say when the next one comes (nextUpdate)")?;
        first = Some(first.map_or(next.timestamp(), |first: i64| first.min(next.timestamp())));
    }
    first.ok_or_else(|| "there is no revocation list in it: write a PEM file".to_owned())
}

#[cfg(test)]
mod tests;
