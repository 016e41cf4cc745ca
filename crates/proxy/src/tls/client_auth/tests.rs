//! Client certificates through real sockets, while authorities and lists change.

use std::path::Path;
use std::sync::Arc;

use identity::Scheme;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer, KeyIdMethod, KeyPair,
    RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::test_support::{Proxy, Setup, certificate, echo, route, send_raw};
use crate::{ClientAuth, ClientAuthMode, ListenerTls, TlsVersion};

/// An authority for clients, and what it wrote.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn client(&self, serial: u64) -> Client {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, format!("client {serial}"));
        params.serial_number = Some(SerialNumber::from(serial));
        params.subject_alt_names = vec![SanType::URI("spiffe://example.com/build".try_into().unwrap())];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        Client { chain: vec![certificate], key: key.serialize_pem() }
    }

    fn revokes(&self, serials: &[u64], next_update: i32) -> String {
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(next_update, 1, 1),
            crl_number: SerialNumber::from(1u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

struct Client {
    chain: Vec<CertificateDer<'static>>,
    key: String,
}

/// The folder of a listener's files, and the one certificate that it shows.
struct Files {
    folder: TempDir,
    server: crate::Certificate,
}

impl Files {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let server = certificate(folder.path(), "app", &["app.test"]);
        Self { folder, server }
    }

    fn write(&self, name: &str, text: &str) -> &Self {
        std::fs::write(self.folder.path().join(name), text).unwrap();
        self
    }

    async fn start(&self, mode: ClientAuthMode, allow: &str) -> Proxy {
        let path = |name: &str| self.folder.path().join(name);
        let mut setup = Setup::cleartext();
        setup.listener.tls = Some(ListenerTls {
            certificates: vec![self.server.clone()],
            min_version: TlsVersion::V1_2,
            client_auth: Some(ClientAuth {
                mode,
                ca_file: path("ca.pem"),
                crl_file: Some(path("crl.pem")).filter(|file| file.exists()),
            }),
        });
        let mut https = route("app.test", echo().await);
        https.scheme = Scheme::Https;
        setup.route(https, allow).start()
    }

    fn config(&self, client: Option<&Client>) -> Arc<rustls::ClientConfig> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.server.cert_file).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        Arc::new(match client {
            Some(client) => {
                let key = PrivateKeyDer::from_pem_slice(client.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(client.chain.clone(), key).unwrap()
            }
            None => builder.with_no_client_auth(),
        })
    }
}

async fn connect(proxy: &Proxy, config: &Arc<rustls::ClientConfig>) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let name = ServerName::try_from("app.test").unwrap();
    TlsConnector::from(Arc::clone(config)).connect(name, stream).await.unwrap()
}

/// The status of a request on a connection of its own; 0 where the handshake is refused, which a client of TLS 1.3
/// learns when it reads.
async fn status(proxy: &Proxy, config: &Arc<rustls::ClientConfig>) -> u16 {
    send_raw(connect(proxy, config).await, GET).await.status
}

/// The status of one of several requests on a connection.
async fn next_status(stream: &mut TlsStream<TcpStream>) -> String {
    stream.write_all(b"GET /status/204 HTTP/1.1\r\nHost: app.test\r\n\r\n").await.unwrap();
    let mut read = Vec::new();
    while !read.windows(4).any(|end| end == b"\r\n\r\n") {
        assert!(stream.read_buf(&mut read).await.unwrap() > 0);
    }
    String::from_utf8_lossy(&read).split(' ').nth(1).unwrap().to_owned()
}

const GET: &str = "GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n";

const REFUSED: &str = r#"portcullis_tls_handshakes_total{listener="test",result="client-certificate-refused"}"#;

fn refused(proxy: &Proxy) -> String {
    let metrics = proxy.metrics();
    metrics.lines().find_map(|line| line.strip_prefix(REFUSED)).unwrap().trim().to_owned()
}

#[tokio::test]
async fn whoever_must_show_a_certificate_shows_one_of_the_authority() {
    let (files, ours, other) = (Files::new(), Authority::new("ours"), Authority::new("other"));
    let proxy = files.write("ca.pem", &ours.pem).start(ClientAuthMode::Require, "true").await;
    assert_eq!(status(&proxy, &files.config(Some(&ours.client(1)))).await, 200);
    assert_eq!(status(&proxy, &files.config(None)).await, 0);
    assert_eq!(status(&proxy, &files.config(Some(&other.client(1)))).await, 0);
    // Another thread counts it, once the client may know.
    while refused(&proxy) != "2" {
        tokio::task::yield_now().await;
    }
    let record = proxy.stop().await.remove(0);
    assert_eq!(record["tls"]["client_certificate"]["subject"], "CN=client 1");
    assert_eq!(record["tls"]["client_certificate"]["fingerprint_sha256"].as_str().unwrap().len(), 64);
}

#[tokio::test]
async fn where_a_certificate_is_only_asked_for_the_policy_sees_whether_it_came() {
    let (files, ours, other) = (Files::new(), Authority::new("ours"), Authority::new("other"));
    let allow = r#""spiffe://example.com/build" in request.tls.client_certificate.san_uri"#;
    let proxy = files.write("ca.pem", &ours.pem).start(ClientAuthMode::Request, allow).await;
    assert_eq!(status(&proxy, &files.config(Some(&ours.client(1)))).await, 200);
    assert_eq!(status(&proxy, &files.config(None)).await, 403);
    // One of nobody that is believed is refused, rather than taken for none.
    assert_eq!(status(&proxy, &files.config(Some(&other.client(1)))).await, 0);
}

#[tokio::test]
async fn a_certificate_that_is_revoked_while_we_serve_counts_no_longer_anywhere() {
    let (files, ours) = (Files::new(), Authority::new("ours"));
    files.write("ca.pem", &ours.pem).write("crl.pem", &ours.revokes(&[], 2100));
    let proxy = files.start(ClientAuthMode::Require, "true").await;
    let (good, bad) = (files.config(Some(&ours.client(1))), files.config(Some(&ours.client(2))));
    let (mut kept, mut cut) = (connect(&proxy, &good).await, connect(&proxy, &bad).await);
    assert_eq!((&*next_status(&mut kept).await, &*next_status(&mut cut).await), ("204", "204"));
    assert_eq!(status(&proxy, &bad).await, 200);

    files.write("crl.pem", &ours.revokes(&[2], 2100));
    proxy.reload_certificates().unwrap();
    // The client holds whatever tickets it was given: none opens the door again.
    assert_eq!(status(&proxy, &bad).await, 0);
    assert_eq!((&*next_status(&mut kept).await, &*next_status(&mut cut).await), ("204", "421"));
    assert_eq!(cut.read(&mut [0]).await.unwrap_or(0), 0, "the connection is closed");
    assert_eq!(status(&proxy, &good).await, 200);
    let records = proxy.stop().await;
    assert!(records.iter().any(|record| record["reason"] == "client-certificate-ended" && record["status"] == 421));
}

#[tokio::test]
async fn a_list_that_is_out_of_date_lets_nobody_in() {
    let (files, ours) = (Files::new(), Authority::new("ours"));
    files.write("ca.pem", &ours.pem).write("crl.pem", &ours.revokes(&[], 2021));
    let proxy = files.start(ClientAuthMode::Require, "true").await;
    assert_eq!(status(&proxy, &files.config(Some(&ours.client(1)))).await, 0);
    let metric = r#"portcullis_tls_revocation_list_next_update_seconds{listener="test",file=""#;
    assert!(proxy.metrics().lines().any(|line| line.starts_with(metric) && line.ends_with(" 1609459200")));
}

#[tokio::test]
async fn the_ends_of_all_that_is_in_service_are_told() {
    let (files, ours) = (Files::new(), Authority::new("ours"));
    let proxy = files.write("ca.pem", &ours.pem).start(ClientAuthMode::Require, "true").await;
    for role in ["certificate", "authority"] {
        let metric = format!(r#"portcullis_tls_certificate_not_after_seconds{{listener="test",role="{role}",file=""#);
        assert_eq!(proxy.metrics().lines().filter(|line| line.starts_with(&metric)).count(), 1, "{}", proxy.metrics());
    }
}

#[tokio::test]
async fn a_list_of_another_authority_lets_nobody_in() {
    let (files, ours, other) = (Files::new(), Authority::new("ours"), Authority::new("other"));
    files.write("ca.pem", &ours.pem).write("crl.pem", &other.revokes(&[], 2100));
    let proxy = files.start(ClientAuthMode::Require, "true").await;
    assert_eq!(status(&proxy, &files.config(Some(&ours.client(1)))).await, 0);
}

#[tokio::test]
async fn an_authority_is_exchanged_while_we_serve_and_a_bad_file_keeps_the_last_good_one() {
    let (files, old, new) = (Files::new(), Authority::new("old"), Authority::new("new"));
    let proxy = files.write("ca.pem", &old.pem).start(ClientAuthMode::Require, "true").await;
    let (of_old, of_new) = (files.config(Some(&old.client(1))), files.config(Some(&new.client(1))));
    assert_eq!((status(&proxy, &of_old).await, status(&proxy, &of_new).await), (200, 0));

    files.write("ca.pem", "no certificate");
    let errors = proxy.reload_certificates().unwrap_err();
    assert!(errors[0].to_string().contains("ca.pem"), "{errors:?}");
    assert_eq!(status(&proxy, &of_old).await, 200);

    let mut open = connect(&proxy, &of_old).await;
    files.write("ca.pem", &format!("{}{}", old.pem, new.pem));
    proxy.reload_certificates().unwrap();
    assert_eq!((status(&proxy, &of_old).await, status(&proxy, &of_new).await), (200, 200));
    assert_eq!(next_status(&mut open).await, "204");

    files.write("ca.pem", &new.pem);
    proxy.reload_certificates().unwrap();
    assert_eq!((status(&proxy, &of_old).await, status(&proxy, &of_new).await), (0, 200));
    assert_eq!(next_status(&mut open).await, "421");
}

#[tokio::test]
async fn a_client_hello_in_single_bytes_is_asked_for_a_certificate_like_any_other() {
    let (files, ours) = (Files::new(), Authority::new("ours"));
    let proxy = files.write("ca.pem", &ours.pem).start(ClientAuthMode::Require, "true").await;
    for (client, expected) in [(Some(ours.client(1)), 200), (None, 0)] {
        let mut config = (*files.config(client.as_ref())).clone();
        // The smallest records that the library makes.
        config.max_fragment_size = Some(32);
        assert_eq!(status(&proxy, &Arc::new(config)).await, expected);
    }
}

#[test]
fn files_that_are_none_are_named() {
    let files = Files::new();
    let read = |folder: &Path| {
        let tls = ListenerTls {
            certificates: vec![files.server.clone()],
            min_version: TlsVersion::V1_2,
            client_auth: Some(ClientAuth {
                mode: ClientAuthMode::Require,
                ca_file: folder.join("ca.pem"),
                crl_file: Some(folder.join("crl.pem")),
            }),
        };
        crate::tls::Terminator::build("test", &tls, None).map(drop).unwrap_err()[0].to_string()
    };
    files.write("ca.pem", "").write("crl.pem", "");
    assert!(read(files.folder.path()).contains("ca.pem"));
    files.write("ca.pem", &Authority::new("ours").pem);
    let error = read(files.folder.path());
    assert!(error.contains("crl.pem") && error.contains("there is no revocation list in it"), "{error}");
}
