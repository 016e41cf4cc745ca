//! The names on the certificate, and the bounds of the authority.

use identity::{Clock as _, SystemClock};
use rustls::pki_types::ServerName;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{Authority, Leaf};

async fn handshake(authority: &Authority, leaf: &Leaf, name: &str) -> bool {
    let (client, server) = tokio::io::duplex(1 << 16);
    let acceptor = TlsAcceptor::from(leaf.server_config().unwrap());
    let connector = TlsConnector::from(authority.client_config().unwrap());
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let (client, _) = tokio::join!(connector.connect(name, client), acceptor.accept(server));
    client.is_ok()
}

#[tokio::test]
async fn clients_that_trust_the_authority_reach_every_name_on_loopback() {
    let now = SystemClock.now();
    let authority = Authority::generate(now).unwrap();
    let hosts = ["app.localhost", "ws.localhost", "127.0.0.1"];
    let leaf = authority.sign(&hosts.map(Into::into), now).unwrap();
    for name in hosts {
        assert!(handshake(&authority, &leaf, name).await, "{name}");
    }
    for name in ["example.com", "other.localhost", "127.0.0.2"] {
        assert!(!handshake(&authority, &leaf, name).await, "{name}");
    }
}

#[tokio::test]
async fn the_authority_cannot_vouch_for_anything_beyond_loopback() {
    let now = SystemClock.now();
    let authority = Authority::generate(now).unwrap();
    let leaf = authority.sign(&["bank.example".into()], now).unwrap();
    assert!(!handshake(&authority, &leaf, "bank.example").await);
}

#[tokio::test]
async fn an_authority_that_was_written_and_read_again_is_the_same_one() {
    let now = SystemClock.now();
    let first = Authority::generate(now).unwrap();
    let again = Authority::read(first.certificate_pem().into(), &first.key_pem()).unwrap();
    let leaf = again.sign(&["app.localhost".into()], now).unwrap();
    assert!(handshake(&first, &leaf, "app.localhost").await);
}

#[test]
fn a_file_that_holds_no_authority_is_refused() {
    let key = Authority::generate(SystemClock.now()).unwrap().key_pem();
    assert!(Authority::read("nonsense".into(), &key).is_err());
    assert!(Authority::read(String::new(), "nonsense").is_err());
}
