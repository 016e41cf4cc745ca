//! When the certificates and revocation lists in service end; read from the configuration in force when metrics are asked
//! for, so that what was renewed or removed is told no more.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::Server;

/// When the first of what a file holds ends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Expiry {
    kind: Kind,
    file: String,
    /// In seconds since 1970.
    at: i64,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Our certificate: a listener's, or the one that an upstream is shown.
    Certificate,
    /// Those by which the other side is believed.
    Authority,
    /// Lists of clients' certificates that are revoked.
    RevocationList,
}

impl Expiry {
    pub(crate) fn new(kind: Kind, file: &Path, at: i64) -> Self {
        Self { kind, file: file.display().to_string(), at }
    }

    /// Returns when the first of some certificates ends; a certificate that cannot be read says nothing.
    pub(crate) fn of_certificates(kind: Kind, file: &Path, certificates: &[CertificateDer<'_>]) -> Option<Self> {
        let ends = certificates.iter().filter_map(|certificate| {
            let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
            Some(certificate.validity().not_after.timestamp())
        });
        ends.min().map(|at| Self::new(kind, file, at))
    }
}

/// Reads what is in service.
#[derive(Debug)]
struct Reader(Arc<Server>);

/// Registers the ends of all that is in service at a server.
pub(crate) fn register(registry: &mut Registry, server: &Arc<Server>) {
    registry.register_collector(Box::new(Reader(Arc::clone(server))));
}

impl Collector for Reader {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let snapshot = self.0.snapshot();
        let of_listeners = snapshot.entrances().expiries().map(|(listener, expiry)| ("listener", listener, expiry));
        let of_routes = snapshot.upstream_expiries().map(|(route, expiry)| ("route", route, expiry));
        let all: Vec<_> = of_listeners.chain(of_routes).collect();
        let mut family = encoder.encode_descriptor(
            "portcullis_tls_certificate_not_after_seconds",
            "End of validity of a certificate in service, in seconds since 1970; of several in a file, the first",
            None,
            MetricType::Gauge,
        )?;
        for (owner, name, expiry) in &all {
            let role = match expiry.kind {
                Kind::Certificate => "certificate",
                Kind::Authority => "authority",
                Kind::RevocationList => continue,
            };
            let labels = [(*owner, *name), ("role", role), ("file", &expiry.file)];
            ConstGauge::new(expiry.at).encode(family.encode_family(&labels)?)?;
        }
        let mut family = encoder.encode_descriptor(
            "portcullis_tls_revocation_list_next_update_seconds",
            "When the first revocation list of a file is out of date and no client's certificate counts, in seconds since \
             1970",
            None,
            MetricType::Gauge,
        )?;
        for (owner, name, expiry) in all.iter().filter(|(.., expiry)| expiry.kind == Kind::RevocationList) {
            let labels = [(*owner, *name), ("file", expiry.file.as_str())];
            ConstGauge::new(expiry.at).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
