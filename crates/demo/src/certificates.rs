//! The demo's certificate authority and the certificate that it signs.

use std::sync::Arc;

use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, NameConstraints,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::DemoError;

/// A certificate authority that can vouch for this machine only, whoever comes to trust it.
#[derive(Debug)]
pub struct Authority {
    certificate: String,
    key: KeyPair,
}

/// A certificate for names on loopback, and its key.
#[derive(Debug)]
pub struct Leaf {
    certificate: String,
    key: KeyPair,
    chain: Vec<CertificateDer<'static>>,
}

impl Authority {
    /// Makes an authority.
    ///
    /// # Errors
    /// The machine gives no random numbers.
    pub fn generate(now: Timestamp) -> Result<Self, DemoError> {
        let key = KeyPair::generate()?;
        let certificate = authority_params(now)?.self_signed(&key)?.pem();
        Ok(Self { certificate, key })
    }

    /// Reads an authority that was written before.
    ///
    /// # Errors
    /// The texts are not a certificate and its key.
    pub fn read(certificate: String, key: &str) -> Result<Self, DemoError> {
        let authority = Self { certificate, key: KeyPair::from_pem(key)? };
        authority.client_config()?;
        Ok(authority)
    }

    /// Signs a certificate for `hosts`: names, or addresses.
    ///
    /// # Errors
    /// A host is neither.
    pub fn sign(&self, hosts: &[String], now: Timestamp) -> Result<Leaf, DemoError> {
        let params = authority_params(now)?;
        let issuer = Issuer::from_params(&params, &self.key);
        let key = KeyPair::generate()?;
        // No `*.localhost`: clients refuse a wildcard right below a top-level name, and rustls the whole certificate.
        let mut params = CertificateParams::new(hosts)?;
        params.distinguished_name.push(DnType::CommonName, "Portcullis demo");
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        validity(&mut params, now, LEAF_DAYS)?;
        let leaf = params.signed_by(&key, &issuer)?;
        Ok(Leaf { certificate: leaf.pem(), key, chain: vec![leaf.der().clone()] })
    }

    /// Returns the certificate, PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate
    }

    /// Returns the key, PEM.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// Returns the settings of a client that trusts this authority and no other.
    ///
    /// # Errors
    /// The certificate cannot be read.
    pub fn client_config(&self) -> Result<Arc<ClientConfig>, DemoError> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.certificate.as_bytes())?)?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::new(config))
    }
}

impl Leaf {
    /// Returns the certificate, PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate
    }

    /// Returns the key, PEM.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// Returns the settings of an HTTP/1.1 server that presents this certificate.
    ///
    /// # Errors
    /// Certificate and key do not fit each other.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, DemoError> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// Describes the authority; the same on every start, so that a key from an earlier one signs under the same name.
fn authority_params(now: Timestamp) -> Result<CertificateParams, DemoError> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Portcullis demo (this machine only)");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    // RFC 5280 §4.2.1.10: whoever steals the key of an imported authority can still imitate nothing but loopback.
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![
            GeneralSubtree::DnsName("localhost".into()),
            GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix([127, 0, 0, 0], 8)),
        ],
        excluded_subtrees: Vec::new(),
    });
    validity(&mut params, now, AUTHORITY_DAYS)?;
    Ok(params)
}

/// Dates a certificate from yesterday, for clocks that differ a little.
fn validity(params: &mut CertificateParams, now: Timestamp, days: i32) -> Result<(), DemoError> {
    let today = now.to_zoned(TimeZone::UTC).date();
    let date = |date: Date| -> Result<_, DemoError> {
        let (Ok(month), Ok(day)) = (u8::try_from(date.month()), u8::try_from(date.day())) else {
            return Err(DemoError::Clock);
        };
        Ok(rcgen::date_time_ymd(date.year().into(), month, day))
    };
    params.not_before = date(today.yesterday().map_err(|_| DemoError::Clock)?)?;
    params.not_after = date(today.checked_add(days.days()).map_err(|_| DemoError::Clock)?)?;
    Ok(())
}

const AUTHORITY_DAYS: i32 = 3650;

/// Browsers refuse certificates that last longer than 398 days.
const LEAF_DAYS: i32 = 397;

#[cfg(test)]
mod tests;
