//! TLS origination: what is believed, what is negotiated, and the exact reason of each refusal.

use std::fs;

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::expiry::{Expiry, Kind};
use crate::{BuildError, Certificate};

/// An authority and a folder for its files.
pub(super) struct Authority {
    pub(super) folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
    pub(super) certificate: CertificateDer<'static>,
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let folder = tempfile::tempdir().unwrap();
        // Two authorities of one name would differ in signatures alone.
        params.distinguished_name.push(DnType::CommonName, folder.path().display().to_string());
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        Self { folder, certificate: certificate.der().clone(), issuer: Issuer::new(params, key) }
    }

    pub(super) fn issue(&self, params: &CertificateParams) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.folder.path().join("leaf.pem"), certificate.pem()).unwrap();
        fs::write(self.folder.path().join("leaf.key"), key.serialize_pem()).unwrap();
        (certificate.der().clone(), PrivatePkcs8KeyDer::from(key.serialize_der()).into())
    }

    pub(super) fn trusted(&self) -> UpstreamTls {
        UpstreamTls { ca_file: Some(self.folder.path().join("ca.pem")), ..UpstreamTls::default() }
    }
}

pub(super) fn leaf() -> CertificateParams {
    CertificateParams::new(vec!["127.0.0.1".to_owned(), "app.internal".to_owned()]).unwrap()
}

pub(super) fn server(authority: &Authority, params: &CertificateParams, alpn: &[&str]) -> ServerConfig {
    let (certificate, key) = authority.issue(params);
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

async fn tls_upstream(config: ServerConfig) -> Upstream {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    raw_upstream(move |tcp| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(stream) = acceptor.accept(tcp).await else { return };
            let session = stream.get_ref().1;
            let http = if session.alpn_protocol() == Some(b"h2") { Http::Two } else { Http::One };
            let sni = session.server_name().unwrap_or("none").to_owned();
            let client = session.peer_certificates().is_some();
            serve(TokioIo::new(stream), http, 200, move |request: Request<Incoming>| {
                let seen = format!("{:?} {sni} {client} {}", request.version(), request.uri());
                async move { Response::new(full(seen)) }
            })
            .await;
        }
    })
    .await
}

async fn get(upstream: &Upstream, tls: UpstreamTls, protocol: UpstreamProtocol) -> Response<Incoming> {
    let mut over_tls = route(EndpointScheme::Https, &[upstream.address]);
    over_tls.upstream_tls = tls;
    over_tls.upstream_protocol = protocol;
    let front = front(Http::One, &over_tls).await;
    Client::connect(Http::One, &front).await.get("/").await
}

async fn refused(config: ServerConfig, tls: UpstreamTls) -> String {
    let response = get(&tls_upstream(config).await, tls, UpstreamProtocol::FromScheme).await;
    let (kind, detail) = failure(response).await;
    assert_eq!(kind, "Tls", "{detail}");
    detail
}

#[test]
fn the_ends_of_authorities_and_of_the_certificate_that_is_shown_are_known() {
    let authority = Authority::new();
    authority.issue(&leaf());
    let file = |name: &str| authority.folder.path().join(name);
    let mut route = route(EndpointScheme::Https, &["127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap()]);
    let pair = Certificate { cert_file: file("leaf.pem"), key_file: file("leaf.key") };
    route.upstream_tls = UpstreamTls { client_certificate: Some(pair), ..authority.trusted() };
    let cluster = Cluster::build(&route, &Pools::default()).unwrap();
    // rcgen's certificates end at the beginning of 4096.
    let expiry = |kind, name| Expiry::new(kind, &file(name), 67_090_118_400);
    assert_eq!(cluster.expiries(), [expiry(Kind::Authority, "ca.pem"), expiry(Kind::Certificate, "leaf.pem")]);
}

#[tokio::test]
async fn alpn_chooses_the_protocol_unless_the_route_does() {
    let authority = Authority::new();
    for (alpn, protocol, expected, reason) in [
        (&["h2", "http/1.1"][..], UpstreamProtocol::FromScheme, "h2", "alpn"),
        (&["http/1.1"][..], UpstreamProtocol::FromScheme, "http/1.1", "alpn"),
        (&["h2", "http/1.1"][..], UpstreamProtocol::Auto, "h2", "alpn"),
        (&["http/1.1"][..], UpstreamProtocol::Auto, "http/1.1", "alpn"),
        (&[][..], UpstreamProtocol::FromScheme, "http/1.1", "alpn"),
        (&["h2", "http/1.1"][..], UpstreamProtocol::Http1, "http/1.1", "configured"),
        (&["h2", "http/1.1"][..], UpstreamProtocol::Http2, "h2", "configured"),
    ] {
        let upstream = tls_upstream(server(&authority, &leaf(), alpn)).await;
        let response = get(&upstream, authority.trusted(), protocol).await;
        assert_eq!(header(&response, "x-protocol"), expected);
        assert_eq!(header(&response, "x-reason"), reason);
        if expected == "h2" {
            assert_eq!(text(response).await, format!("HTTP/2.0 none false https://{}/", upstream.address));
        }
    }
}

#[tokio::test]
async fn http2_alone_has_no_fallback() {
    let authority = Authority::new();
    for alpn in [&["http/1.1"][..], &[][..]] {
        let upstream = tls_upstream(server(&authority, &leaf(), alpn)).await;
        let (kind, _) = failure(get(&upstream, authority.trusted(), UpstreamProtocol::Http2).await).await;
        assert_eq!(kind, "Tls");
    }
}

#[tokio::test]
async fn what_alpn_chose_serves_all_requests() {
    let authority = Authority::new();
    for (alpn, connections) in [("h2", 1), ("http/1.1", 1)] {
        let upstream = tls_upstream(server(&authority, &leaf(), &[alpn])).await;
        let mut over_tls = route(EndpointScheme::Https, &[upstream.address]);
        over_tls.upstream_tls = authority.trusted();
        let front = front(Http::Two, &over_tls).await;
        let client = Client::connect(Http::Two, &front).await;
        for _ in 0..5 {
            assert!(!client.get("/").await.into_body().collect().await.unwrap().to_bytes().is_empty());
        }
        assert_eq!(upstream.connections(), connections, "{alpn}");
    }
}

#[tokio::test]
async fn each_refusal_has_its_own_reason() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    assert_eq!(
        refused(server(&authority, &leaf(), &[]), stranger.trusted()).await,
        "upstream certificate: unknown issuer"
    );
    assert_eq!(
        refused(server(&authority, &leaf(), &[]), UpstreamTls::default()).await,
        "upstream certificate: unknown issuer"
    );
    let mut expired = leaf();
    expired.not_before = rcgen::date_time_ymd(2001, 1, 1);
    expired.not_after = rcgen::date_time_ymd(2002, 1, 1);
    assert_eq!(refused(server(&authority, &expired, &[]), authority.trusted()).await, "upstream certificate: expired");
    let mut early = leaf();
    early.not_before = rcgen::date_time_ymd(4000, 1, 1);
    early.not_after = rcgen::date_time_ymd(4001, 1, 1);
    assert_eq!(
        refused(server(&authority, &early, &[]), authority.trusted()).await,
        "upstream certificate: not valid yet"
    );
    let mut purpose = leaf();
    purpose.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    assert_eq!(
        refused(server(&authority, &purpose, &[]), authority.trusted()).await,
        "upstream certificate: not meant for servers"
    );
    // As `openssl req -x509` makes them.
    let mut own_authority = leaf();
    own_authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    assert_eq!(
        refused(server(&authority, &own_authority, &[]), authority.trusted()).await,
        "upstream certificate: that of an authority; give the upstream one with `basicConstraints=CA:FALSE`"
    );
}

#[tokio::test]
async fn only_a_subject_alternative_name_of_the_right_type_names_an_upstream() {
    let authority = Authority::new();
    let other = CertificateParams::new(vec!["other.internal".to_owned()]).unwrap();
    assert_eq!(
        refused(server(&authority, &other, &[]), authority.trusted()).await,
        "upstream certificate: not valid for `127.0.0.1`; it is for `other.internal`"
    );
    let mut common_name = CertificateParams::default();
    common_name.distinguished_name.push(DnType::CommonName, "127.0.0.1");
    let of_another_kind = rcgen::OtherNameValue::Utf8String("127.0.0.1".to_owned());
    common_name.subject_alt_names = vec![
        SanType::URI("https://127.0.0.1".try_into().unwrap()),
        SanType::OtherName((vec![1, 3, 6, 1, 4, 1, 311, 20, 2, 3], of_another_kind)),
        SanType::Rfc822Name("a@127.0.0.1".try_into().unwrap()),
    ];
    let detail = refused(server(&authority, &common_name, &[]), authority.trusted()).await;
    assert!(detail.starts_with("upstream certificate: not valid for `127.0.0.1`"), "{detail}");
}

#[tokio::test]
async fn the_server_name_of_the_route_is_sent_and_verified() {
    let authority = Authority::new();
    let upstream = tls_upstream(server(&authority, &leaf(), &[])).await;
    let named = UpstreamTls { server_name: Some("app.internal".to_owned()), ..authority.trusted() };
    let response = get(&upstream, named, UpstreamProtocol::FromScheme).await;
    assert_eq!(text(response).await, "HTTP/1.1 app.internal false /");
    let wrong = UpstreamTls { server_name: Some("else.internal".to_owned()), ..authority.trusted() };
    let (_, detail) = failure(get(&upstream, wrong, UpstreamProtocol::FromScheme).await).await;
    assert!(detail.starts_with("upstream certificate: not valid for `else.internal`; it is for "), "{detail}");
}

#[tokio::test]
async fn verification_is_skipped_only_where_the_route_says_danger() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let upstream = tls_upstream(server(&authority, &leaf(), &[])).await;
    let skipping = UpstreamTls { danger_skip_verify: true, ..stranger.trusted() };
    assert_eq!(get(&upstream, skipping, UpstreamProtocol::FromScheme).await.status(), 200);
}

#[tokio::test]
async fn a_client_certificate_is_presented_where_the_route_has_one() {
    let authority = Authority::new();
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let (certificate, key) = authority.issue(&leaf());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let upstream = tls_upstream(config).await;
    let path = authority.folder.path();
    let pair = Certificate { cert_file: path.join("leaf.pem"), key_file: path.join("leaf.key") };
    let presenting = UpstreamTls { client_certificate: Some(pair), ..authority.trusted() };
    let response = get(&upstream, presenting, UpstreamProtocol::FromScheme).await;
    assert_eq!(text(response).await, "HTTP/1.1 none true /");
    let (kind, detail) = failure(get(&upstream, authority.trusted(), UpstreamProtocol::FromScheme).await).await;
    assert_eq!((kind.as_str(), detail.as_str()), ("Tls", "upstream refused the handshake: alert CertificateRequired"));
}

#[tokio::test]
async fn renewed_files_are_used_for_new_connections_and_bad_ones_are_not() {
    let (old, new) = (Authority::new(), Authority::new());
    let upstream = tls_upstream(server(&new, &leaf(), &["http/1.1"])).await;
    let mut over_tls = route(EndpointScheme::Https, &[upstream.address]);
    let file = old.folder.path().join("ca.pem");
    over_tls.upstream_tls.ca_file = Some(file.clone());
    let cluster = Arc::new(Cluster::build(&over_tls, &Pools::default()).unwrap());
    let front = front_of(Http::One, Arc::clone(&cluster)).await;
    let client = Client::connect(Http::One, &front).await;
    assert_eq!(failure(client.get("/").await).await.0, "Tls");
    fs::copy(new.folder.path().join("ca.pem"), &file).unwrap();
    cluster.reload_certificates().unwrap();
    assert_eq!(client.get("/").await.status(), 200);
    fs::write(&file, "nothing").unwrap();
    assert!(cluster.reload_certificates().is_err());
    let client = Client::connect(Http::One, &front).await;
    assert_eq!(client.get("/").await.status(), 200);
}

#[tokio::test]
async fn an_upstream_that_speaks_no_tls_says_so() {
    let upstream = upstream(Http::One, |_| async { Response::new(empty()) }).await;
    let (kind, detail) = failure(get(&upstream, UpstreamTls::default(), UpstreamProtocol::FromScheme).await).await;
    assert_eq!(kind, "Tls");
    assert!(detail.starts_with("upstream does not answer with TLS"), "{detail}");
}

#[tokio::test]
async fn an_upstream_that_speaks_only_old_tls_is_refused() {
    let upstream = raw_upstream(|mut tcp| async move {
        let mut hello = [0; 5];
        tcp.read_exact(&mut hello).await.unwrap();
        let mut rest = vec![0; u16::from_be_bytes([hello[3], hello[4]]).into()];
        tcp.read_exact(&mut rest).await.unwrap();
        // `protocol_version`, fatal, in a record of TLS 1.0 (RFC 2246 §7.2).
        tcp.write_all(&[0x15, 3, 1, 0, 2, 2, 70]).await.unwrap();
    })
    .await;
    let (kind, detail) = failure(get(&upstream, UpstreamTls::default(), UpstreamProtocol::FromScheme).await).await;
    assert_eq!(kind, "Tls");
    assert!(detail.to_lowercase().contains("version"), "{detail}");
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let authority = Authority::new();
    let folder = authority.folder.path();
    authority.issue(&leaf());
    fs::write(folder.join("empty.pem"), "").unwrap();
    fs::write(folder.join("other.key"), KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let pair = |cert: &str, key: &str| Some(Certificate { cert_file: folder.join(cert), key_file: folder.join(key) });
    for (tls, file, expected) in [
        (
            UpstreamTls { ca_file: Some(folder.join("none.pem")), ..UpstreamTls::default() },
            "none.pem",
            "cannot be read",
        ),
        (
            UpstreamTls { ca_file: Some(folder.join("empty.pem")), ..UpstreamTls::default() },
            "empty.pem",
            "holds no certificate in PEM",
        ),
        (
            UpstreamTls { client_certificate: pair("leaf.pem", "ca.pem"), ..UpstreamTls::default() },
            "ca.pem",
            "holds no private key in PEM",
        ),
        (
            UpstreamTls { client_certificate: pair("leaf.pem", "other.key"), ..UpstreamTls::default() },
            "other.key",
            "is not the key of `",
        ),
    ] {
        let mut bad = route(EndpointScheme::Https, &["127.0.0.1:1".parse().unwrap()]);
        bad.upstream_tls = tls;
        match Cluster::build(&bad, &Pools::default()) {
            Err(BuildError::UnusableFile { path, reason }) => {
                assert!(path.ends_with(file), "{path}");
                assert!(reason.starts_with(expected), "{reason}");
            }
            other => panic!("{file}: {other:?}"),
        }
    }
    let mut unnamed = route(EndpointScheme::Https, &["127.0.0.1:1".parse().unwrap()]);
    unnamed.upstream_tls.server_name = Some("no name".to_owned());
    let error = Cluster::build(&unnamed, &Pools::default()).unwrap_err().to_string();
    assert_eq!(error, "route `app`: `no name` is no host name or address that an upstream can have");
}
