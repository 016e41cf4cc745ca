//! The hosts that a certificate is good for.

use std::path::Path;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The hosts that a certificate is good for.
#[derive(Debug)]
pub struct CertificateNames {
    // Invariant: lower case. A wildcard is held without its `*.`.
    pub(super) exact: Vec<Box<str>>,
    pub(super) wildcard: Vec<Box<str>>,
}

impl CertificateNames {
    /// Reads the first certificate of a PEM file; `None` where there is none that can be read.
    #[must_use]
    pub fn read(cert_file: &Path) -> Option<Self> {
        of(&CertificateDer::from_pem_file(cert_file).ok()?).ok().map(|(names, _)| names)
    }

    /// Returns whether they cover a host, given in lower case.
    #[must_use]
    pub fn cover(&self, host: &str) -> bool {
        let parent = host.split_once('.').map(|(_, parent)| parent);
        self.exact.iter().any(|name| **name == *host)
            || parent.is_some_and(|parent| self.wildcard.iter().any(|name| **name == *parent))
    }
}

/// Returns the names in a certificate, and the end of its validity.
pub(super) fn of(certificate: &CertificateDer<'_>) -> Result<(CertificateNames, i64), String> {
    let (_, certificate) =
        X509Certificate::from_der(certificate).map_err(|error| format!("not a certificate: {error}"))?;
    let mut names = CertificateNames { exact: Vec::new(), wildcard: Vec::new() };
    let alternative = certificate.subject_alternative_name().map_err(|error| error.to_string())?;
    for name in alternative.iter().flat_map(|extension| &extension.value.general_names) {
        let GeneralName::DNSName(name) = name else { continue };
        match name.strip_prefix("*.") {
            Some(parent) => names.wildcard.push(parent.to_ascii_lowercase().into()),
            None => names.exact.push(name.to_ascii_lowercase().into()),
        }
    }
    Ok((names, certificate.validity().not_after.timestamp()))
}
