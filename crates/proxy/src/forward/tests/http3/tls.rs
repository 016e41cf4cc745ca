//! TLS over QUIC: what is believed and presented, with the same reasons as over TCP.

use std::fs;

use rcgen::CertificateParams;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use super::super::tls::{Authority, leaf, server};
use super::peer::{peer_with, raw_peer_with};
use super::*;
use crate::Certificate;

async fn get(address: SocketAddr, tls: UpstreamTls) -> Response<Incoming> {
    let mut over_quic = route(EndpointScheme::Https, &[address]);
    over_quic.upstream_protocol = UpstreamProtocol::Http3;
    over_quic.upstream_tls = tls;
    let front = front(Http::One, &over_quic).await;
    Client::connect(Http::One, &front).await.get("/").await
}

async fn refused(config: ServerConfig, tls: UpstreamTls) -> String {
    let (address, _connections, _endpoint) = raw_peer_with(config, 1, |_| async {});
    let (kind, detail) = failure(get(address, tls).await).await;
    assert_eq!(kind, "Tls", "{detail}");
    detail
}

#[tokio::test]
async fn each_refusal_has_its_own_reason() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let with = |params: &CertificateParams| server(&authority, params, &["h3"]);
    let unknown = "upstream certificate: unknown issuer";
    assert_eq!(refused(with(&leaf()), stranger.trusted()).await, unknown);
    assert_eq!(refused(with(&leaf()), UpstreamTls::default()).await, unknown);
    let mut expired = leaf();
    expired.not_before = rcgen::date_time_ymd(2001, 1, 1);
    expired.not_after = rcgen::date_time_ymd(2002, 1, 1);
    assert_eq!(refused(with(&expired), authority.trusted()).await, "upstream certificate: expired");
    let other = CertificateParams::new(vec!["other.internal".to_owned()]).unwrap();
    assert_eq!(
        refused(with(&other), authority.trusted()).await,
        "upstream certificate: not valid for `127.0.0.1`; it is for `other.internal`"
    );
    let wrong = UpstreamTls { server_name: Some("else.internal".to_owned()), ..authority.trusted() };
    let detail = refused(with(&leaf()), wrong).await;
    assert!(detail.starts_with("upstream certificate: not valid for `else.internal`; it is for "), "{detail}");
}

#[tokio::test]
async fn another_protocol_of_alpn_is_refused() {
    let authority = Authority::new();
    let detail = refused(server(&authority, &leaf(), &["hq-interop"]), authority.trusted()).await;
    assert_eq!(detail, "upstream refused the handshake: alert NoApplicationProtocol");
}

#[tokio::test]
async fn verification_is_skipped_only_where_the_route_says_danger() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (address, _, _endpoint) =
        peer_with(server(&authority, &leaf(), &["h3"]), |_, exchange| answer_with(exchange, "ok"));
    let skipping = UpstreamTls { danger_skip_verify: true, ..stranger.trusted() };
    assert_eq!(get(address, skipping).await.status(), 200);
}

#[tokio::test]
async fn a_client_certificate_is_presented_where_the_route_has_one() {
    let authority = Authority::new();
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let (certificate, key) = authority.issue(&leaf());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = vec![b"h3".to_vec()];
    let (address, _, _endpoint) = peer_with(config, |_, exchange| answer_with(exchange, "known"));
    let path = authority.folder.path();
    let pair = Certificate { cert_file: path.join("leaf.pem"), key_file: path.join("leaf.key") };
    let presenting = UpstreamTls { client_certificate: Some(pair), ..authority.trusted() };
    assert_eq!(text(get(address, presenting).await).await, "known");
    // TLS 1.3 looks at the client's certificate when the client is done.
    let (kind, detail) = failure(get(address, authority.trusted()).await).await;
    assert_eq!((kind.as_str(), detail.as_str()), ("Tls", "upstream refused the handshake: alert CertificateRequired"));
}

#[tokio::test]
async fn renewed_files_are_used_for_new_connections() {
    let (old, new) = (Authority::new(), Authority::new());
    let (address, _, _endpoint) = peer_with(server(&new, &leaf(), &["h3"]), |_, exchange| answer_with(exchange, "ok"));
    let mut over_quic = route(EndpointScheme::Https, &[address]);
    over_quic.upstream_protocol = UpstreamProtocol::Http3;
    let file = old.folder.path().join("ca.pem");
    over_quic.upstream_tls.ca_file = Some(file.clone());
    let cluster = Arc::new(Cluster::build(&over_quic, &Pools::default()).unwrap());
    let front = front_of(Http::One, Arc::clone(&cluster)).await;
    let client = Client::connect(Http::One, &front).await;
    assert_eq!(failure(client.get("/").await).await.0, "Tls");
    fs::copy(new.folder.path().join("ca.pem"), &file).unwrap();
    cluster.reload_certificates().unwrap();
    assert_eq!(client.get("/").await.status(), 200);
}
