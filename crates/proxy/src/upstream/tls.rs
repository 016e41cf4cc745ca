//! TLS origination: what is believed, what is presented, and what exactly was wrong.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::digest::{Context, SHA256};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs as provider};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use crate::BuildError;
use crate::config::UpstreamTls;
use crate::expiry::{Expiry, Kind};

/// The certificates and the key of a route's `upstream_tls`, read and checked.
#[derive(Debug)]
pub(super) struct Material {
    authorities: Option<Vec<CertificateDer<'static>>>,
    presented: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    /// When what they hold ends.
    pub(super) expiries: Vec<Expiry>,
    /// Of the contents of the files: tells one set from the next.
    pub(super) fingerprint: [u8; 32],
}

impl Material {
    /// Reads the files that `settings` names.
    ///
    /// # Errors
    /// A file cannot be read or does not hold what it should.
    pub(super) fn read(settings: &UpstreamTls) -> Result<Self, BuildError> {
        let mut fingerprint = Context::new(&SHA256);
        let mut read = |path: &Path| -> Result<Vec<u8>, BuildError> {
            let content = fs::read(path).map_err(|error| unusable(path, format!("cannot be read: {error}")))?;
            fingerprint.update(&(content.len() as u64).to_be_bytes());
            fingerprint.update(&content);
            Ok(content)
        };
        let authorities = match &settings.ca_file {
            Some(path) => Some(certificates(path, &read(path)?)?),
            None => None,
        };
        let presented = match &settings.client_certificate {
            Some(pair) => {
                let chain = certificates(&pair.cert_file, &read(&pair.cert_file)?)?;
                let key = PrivateKeyDer::from_pem_slice(&read(&pair.key_file)?)
                    .map_err(|error| unusable(&pair.key_file, format!("holds no private key in PEM: {error}")))?;
                Some((chain, key))
            }
            None => None,
        };
        let of_authorities = settings.ca_file.as_ref().zip(authorities.as_ref());
        let of_authorities = of_authorities.and_then(|(file, all)| Expiry::of_certificates(Kind::Authority, file, all));
        let of_own = settings.client_certificate.as_ref().zip(presented.as_ref());
        let of_own =
            of_own.and_then(|(pair, (chain, _))| Expiry::of_certificates(Kind::Certificate, &pair.cert_file, chain));
        let expiries = of_authorities.into_iter().chain(of_own).collect();
        let mut digest = [0; 32];
        digest.copy_from_slice(fingerprint.finish().as_ref());
        Ok(Self { authorities, presented, expiries, fingerprint: digest })
    }

    /// Makes the client side of TLS that `settings` asks for, without ALPN.
    ///
    /// # Errors
    /// An authority or the client certificate is refused.
    pub(super) fn client(self, settings: &UpstreamTls, system: &SystemRoots) -> Result<Client, BuildError> {
        let unfit = |error: &dyn std::fmt::Display| unusable(Path::new("upstream_tls"), error.to_string());
        let algorithms = Arc::new(provider::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = if settings.danger_skip_verify {
            Arc::new(Unverified::new(&algorithms))
        } else {
            let roots = match (self.authorities, &settings.ca_file) {
                (Some(authorities), Some(path)) => Arc::new(private_roots(path, authorities)?),
                _ => system.get(),
            };
            let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&algorithms)).build();
            verifier.map_err(|error| unfit(&error))?
        };
        let builder = ClientConfig::builder_with_provider(algorithms)
            .with_safe_default_protocol_versions()
            .map_err(|error| unfit(&error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier));
        let config = match (self.presented, &settings.client_certificate) {
            (Some((chain, key)), Some(pair)) => builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| unusable(&pair.key_file, client_certificate_problem(&error, &pair.cert_file)))?,
            _ => builder.with_no_client_auth(),
        };
        Ok(Client { config, verifier })
    }
}

/// The client side of TLS.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) config: ClientConfig,
    /// What `config` verifies the upstream's certificate with.
    pub(super) verifier: Arc<dyn ServerCertVerifier>,
}

/// The system's authorities, read when first needed.
#[derive(Debug, Default)]
pub(super) struct SystemRoots {
    roots: OnceLock<Arc<RootCertStore>>,
}

impl SystemRoots {
    fn get(&self) -> Arc<RootCertStore> {
        Arc::clone(self.roots.get_or_init(|| {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                // An image without certificates of its own (scratch, distroless).
                roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
            }
            Arc::new(roots)
        }))
    }
}

/// Returns the name that is sent as SNI and verified.
pub(super) fn server_name(name: &str) -> Option<ServerName<'static>> {
    let bare = name.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(name);
    ServerName::try_from(bare.to_owned()).ok()
}

/// Says exactly why TLS failed, if that is why `error` came about.
#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is not exhaustive, and rustls words the rest well")]
pub(super) fn reason(error: &io::Error) -> Option<String> {
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    Some(match error {
        Error::InvalidCertificate(problem) => format!("upstream certificate: {}", certificate_problem(problem)),
        Error::AlertReceived(alert) => format!("upstream refused the handshake: alert {alert:?}"),
        Error::PeerIncompatible(problem) => format!("upstream speaks no TLS version or algorithm of ours: {problem:?}"),
        Error::NoCertificatesPresented => "upstream certificate: none presented".to_owned(),
        Error::NoApplicationProtocol => "upstream agrees to no protocol offered by ALPN".to_owned(),
        Error::InvalidMessage(problem) => format!("upstream does not answer with TLS: {problem:?}"),
        other => format!("tls: {other}"),
    })
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is not exhaustive, and rustls words the rest well")]
fn certificate_problem(problem: &CertificateError) -> String {
    match problem {
        CertificateError::UnknownIssuer => "unknown issuer".to_owned(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "not valid yet".to_owned(),
        CertificateError::Revoked => "revoked".to_owned(),
        CertificateError::BadSignature => "bad signature".to_owned(),
        CertificateError::BadEncoding => "malformed".to_owned(),
        CertificateError::NotValidForName => "not valid for the name".to_owned(),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names: Vec<_> = presented.iter().map(|name| format!("`{}`", bare_name(name))).collect();
            let names = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
            format!("not valid for `{}`; it is for {names}", expected.to_str())
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "not meant for servers".to_owned()
        }
        // rustls has no word of its own for what `openssl req -x509` makes by default.
        CertificateError::Other(other) if other.0.to_string() == "CaUsedAsEndEntity" => {
            "that of an authority; give the upstream one with `basicConstraints=CA:FALSE`".to_owned()
        }
        other => other.to_string(),
    }
}

/// Returns the name in what rustls shows of it: `DnsName("app.internal")`, `IpAddress(10.0.0.1)`.
fn bare_name(shown: &str) -> &str {
    let inner = shown.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.map_or(shown, |inner| inner.trim_matches('"'))
}

fn client_certificate_problem(error: &Error, certificate: &Path) -> String {
    if matches!(error, Error::InconsistentKeys(_)) {
        format!("is not the key of `{}`", certificate.display())
    } else {
        format!("cannot be used: {error}")
    }
}

fn certificates(path: &Path, content: &[u8]) -> Result<Vec<CertificateDer<'static>>, BuildError> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(content)
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(path, format!("is not PEM: {error}")))?;
    if found.is_empty() { Err(unusable(path, "holds no certificate in PEM".to_owned())) } else { Ok(found) }
}

fn private_roots(path: &Path, authorities: Vec<CertificateDer<'static>>) -> Result<RootCertStore, BuildError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots
            .add(authority)
            .map_err(|error| unusable(path, format!("holds a certificate that is no authority: {error}")))?;
    }
    Ok(roots)
}

fn unusable(path: &Path, reason: String) -> BuildError {
    BuildError::UnusableFile { path: path.display().to_string(), reason }
}

/// Believes any certificate, but still wants the peer to hold its key: `danger_skip_verify`.
#[derive(Debug)]
struct Unverified {
    algorithms: WebPkiSupportedAlgorithms,
}

impl Unverified {
    const fn new(provider: &CryptoProvider) -> Self {
        Self { algorithms: provider.signature_verification_algorithms }
    }
}

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
