//! Certificates, one file pair at a time.

use std::sync::Arc;

use tempfile::TempDir;

use super::{Certificates, Terminator};
use crate::test_support::certificate;
use crate::{Certificate, ListenerTls, TlsVersion};

fn load(files: Vec<Certificate>) -> Result<Certificates, String> {
    Certificates::load("test", files)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

#[test]
fn the_exact_name_goes_before_the_wildcard_and_the_first_serves_the_rest() {
    let folder = TempDir::new().unwrap();
    let certificates = load(vec![
        certificate(folder.path(), "first", &["first.example.com"]),
        certificate(folder.path(), "wildcard", &["*.example.com"]),
        certificate(folder.path(), "exact", &["app.example.com"]),
    ])
    .unwrap();
    let check = |name: Option<&str>, expected: usize| {
        assert_eq!(certificates.select(name).unwrap().position, expected, "{name:?}");
    };
    check(Some("app.example.com"), 2);
    check(Some("APP.example.COM"), 2);
    check(Some("other.example.com"), 1);
    check(Some("a.b.example.com"), 0);
    check(Some("example.com"), 0);
    check(Some("unknown.test"), 0);
    check(None, 0);
}

#[test]
fn a_key_of_another_certificate_is_refused_by_name() {
    let folder = TempDir::new().unwrap();
    let one = certificate(folder.path(), "one", &["one.test"]);
    let two = certificate(folder.path(), "two", &["two.test"]);
    let error = load(vec![Certificate { cert_file: one.cert_file, key_file: two.key_file }]);
    let error = error.unwrap_err();
    assert!(error.contains("two.key`: the key does not belong to the certificate in `"), "{error}");
    assert!(error.contains("one.pem"), "{error}");
    let missing = Certificate { cert_file: folder.path().join("none.pem"), key_file: one.key_file };
    assert!(load(vec![missing]).unwrap_err().contains("none.pem"));
}

#[test]
fn a_file_that_turns_bad_keeps_the_last_good_certificate_in_service() {
    let folder = TempDir::new().unwrap();
    let files = certificate(folder.path(), "app", &["app.test"]);
    let other = certificate(folder.path(), "other", &["other.test"]);
    let certificates = load(vec![files.clone(), other]).unwrap();
    let before = certificates.select(Some("app.test")).unwrap();
    let other_before = certificates.select(Some("other.test")).unwrap();
    std::fs::write(&files.cert_file, "no certificate").unwrap();
    certificate(folder.path(), "other", &["other.test"]);
    let errors = certificates.reload().unwrap_err();
    assert_eq!(errors.len(), 1);
    assert!(Arc::ptr_eq(&before.key, &certificates.select(Some("app.test")).unwrap().key));
    assert!(!Arc::ptr_eq(&other_before.key, &certificates.select(Some("other.test")).unwrap().key));
    certificate(folder.path(), "app", &["app.test"]);
    certificates.reload().unwrap();
    assert!(!Arc::ptr_eq(&before.key, &certificates.select(Some("app.test")).unwrap().key));
}

#[test]
fn early_data_is_off_and_the_first_key_exchange_is_post_quantum() {
    let folder = TempDir::new().unwrap();
    let tls = ListenerTls {
        certificates: vec![certificate(folder.path(), "app", &["app.test"])],
        min_version: TlsVersion::V1_2,
        client_auth: None,
    };
    let terminator = Terminator::build("test", &tls, None).unwrap();
    let config = &terminator.terms.load().config;
    assert_eq!(config.max_early_data_size, 0);
    assert_eq!(config.crypto_provider().kx_groups[0].name(), rustls::NamedGroup::X25519MLKEM768);
    assert_eq!(config.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
}
