//! The folder that a start leaves, and what the demo says of itself.

use std::fs;
use std::sync::Arc;

use http::Request;
use identity::SystemClock;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::Value;

use super::{Demo, refused};
use crate::browser::send_tls;
use crate::{Authority, DemoError};

async fn start(folder: &std::path::Path) -> Demo {
    Demo::start(folder, 0, Arc::new(SystemClock)).await.unwrap()
}

#[tokio::test]
async fn the_configuration_names_what_is_running() {
    let folder = tempfile::tempdir().unwrap();
    let demo = start(folder.path()).await;
    let config = fs::read_to_string(demo.config_file()).unwrap();
    assert!(config.contains(&format!("issuer: {}", demo.provider.issuer())));
    assert!(config.contains(&format!("to: h2c://{}", demo.grpc.address())));
    assert!(config.contains(&format!("address: \"127.0.0.1:{}\"", demo.port())));
    let named: Vec<_> = demo.urls().filter(|(name, _)| *name != "provider").collect();
    assert!(named.iter().all(|(_, url)| config.contains(url)), "{named:?}");
    for file in ["ca.pem", "demo.pem", "demo.key", "client-secret", "policies/demo.yaml"] {
        assert!(folder.path().join(file).exists(), "{file}");
    }
    demo.shutdown().await;
}

#[tokio::test]
async fn programs_that_trust_the_authority_reach_the_provider_without_resolving_a_name() {
    let folder = tempfile::tempdir().unwrap();
    let demo = start(folder.path()).await;
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let tls = Authority::read(read("ca.pem"), &read("ca.key")).unwrap().client_config().unwrap();
    let request = Request::get("/.well-known/openid-configuration").body(String::new()).unwrap();
    let address = demo.provider.issuer().trim_start_matches("https://").parse().unwrap();
    let answer = send_tls(address, "127.0.0.1", &tls, request).await;
    let discovery: Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(discovery["issuer"], demo.provider.issuer());
}

#[tokio::test]
async fn a_later_start_keeps_the_authority_and_what_was_edited() {
    let folder = tempfile::tempdir().unwrap();
    start(folder.path()).await.shutdown().await;
    let path = |name: &str| folder.path().join(name);
    let authority = fs::read(path("ca.pem")).unwrap();
    fs::write(path("policies/demo.yaml"), "policies: []\n").unwrap();
    let mut mine = fs::read_to_string(path("portcullis.yaml")).unwrap();
    mine += "# mine\n";
    fs::write(path("portcullis.yaml"), mine).unwrap();

    let demo = start(folder.path()).await;
    assert_eq!(fs::read(demo.ca_file()).unwrap(), authority);
    assert_eq!(fs::read_to_string(path("policies/demo.yaml")).unwrap(), "policies: []\n");
    let config = fs::read_to_string(demo.config_file()).unwrap();
    assert!(config.ends_with("# mine\n"));
    assert!(config.contains(&format!("issuer: {}", demo.provider.issuer())), "only the addresses are new");
    assert!(config.contains(&format!("to: h2c://{}", demo.grpc.address())));
    assert!(config.contains(&format!("from: https://app.localhost:{}\n", demo.port())));
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_can_read_the_keys() {
    use std::os::unix::fs::PermissionsExt as _;
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("demo");
    start(&folder).await;
    let mode = |name: &str| fs::metadata(folder.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("."), 0o700);
    for file in ["ca.key", "demo.key", "client-secret"] {
        assert_eq!(mode(file), 0o600, "{file}");
    }
}

#[tokio::test]
async fn the_certificate_of_the_proxy_has_no_address_which_grpc_clients_would_refuse() {
    let folder = tempfile::tempdir().unwrap();
    start(folder.path()).await;
    let leaf = CertificateDer::from_pem_file(folder.path().join("demo.pem")).unwrap();
    let holds = |name: &[u8]| leaf.windows(name.len()).any(|bytes| bytes == name);
    // RFC 5280 §4.2.1.6: [2] is a name, [7] an address.
    assert!(holds(b"\x82\x0dapp.localhost"));
    assert!(!holds(b"\x87\x04\x7f\x00\x00\x01"));
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_says_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let error = Demo::start(folder.path(), port, Arc::new(SystemClock)).await.unwrap_err();
    assert!(matches!(error, DemoError::PortTaken { .. }));
    assert!(error.to_string().contains("--port"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is written before the port is known");
}

#[tokio::test]
async fn a_second_demo_leaves_the_files_of_the_first_alone() {
    let folder = tempfile::tempdir().unwrap();
    let first = start(folder.path()).await;
    let config = fs::read_to_string(first.config_file()).unwrap();
    let error = Demo::start(folder.path(), 0, Arc::new(SystemClock)).await.unwrap_err();
    assert!(matches!(error, DemoError::FolderTaken { .. }), "{error}");
    assert_eq!(fs::read_to_string(first.config_file()).unwrap(), config);
    first.shutdown().await;
    start(folder.path()).await;
}

#[tokio::test]
async fn a_file_in_place_of_the_folder_is_called_a_file() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("notes");
    fs::write(&file, "").unwrap();
    let error = Demo::start(&file, 0, Arc::new(SystemClock)).await.unwrap_err().to_string();
    assert_eq!(error, format!("`{}` is a file: choose a folder with `--dir`", file.display()));
}

#[test]
fn a_port_without_permission_is_not_called_taken() {
    let error = refused(443, std::io::ErrorKind::PermissionDenied.into()).to_string();
    assert_eq!(error, "port 443 needs root: choose one from 1024 up with `--port`, or any free one with `--port 0`");
    assert!(matches!(refused(443, std::io::ErrorKind::AddrInUse.into()), DemoError::PortTaken { .. }));
}

#[tokio::test]
async fn the_summary_and_the_guide_name_files_users_and_urls() {
    let folder = tempfile::tempdir().unwrap();
    let demo = start(folder.path()).await;
    let summary = demo.summary();
    for key in ["ca_file", "config_file", "audit_dir", "admin", "users", "urls"] {
        assert!(summary.get(key).is_some(), "{key}");
    }
    assert_eq!(summary["users"][0]["email"], "ada@example.com");
    assert_eq!(summary["urls"]["app"], format!("https://app.localhost:{}", demo.port()));
    let guide = demo.guide().unwrap();
    for part in [
        "ada ",
        "grace ",
        "carl ",
        "curl --cacert",
        "audit tail --follow --dir",
        demo.admin_url().as_str(),
        demo.ca_file().to_str().unwrap(),
    ] {
        assert!(guide.contains(part), "`{part}` is missing:\n{guide}");
    }
}
