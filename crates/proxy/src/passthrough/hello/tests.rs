//! First messages, whole, in pieces, and none.

use std::sync::Arc;

use proptest::prelude::*;
use rustls_pki_types::ServerName;
use tokio::io::AsyncWriteExt;

use super::*;

/// The first message of a client for a name, in records of at most so many bytes.
fn hello(name: &str, fragment: Option<usize>) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    config.max_fragment_size = fragment;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut bytes).unwrap();
    }
    bytes
}

/// Reads what comes in pieces of so many bytes.
async fn read_in_pieces(bytes: Vec<u8>, size: usize) -> Result<Option<Hello>, Invalid> {
    let (mut client, mut server) = tokio::io::duplex(size);
    let sending = tokio::spawn(async move { client.write_all(&bytes).await });
    let found = read(&mut server).await;
    drop(server);
    let _ = sending.await.unwrap();
    found
}

#[tokio::test]
async fn a_hello_is_read_however_it_is_cut() {
    for (fragment, piece) in [(None, 64 * 1024), (None, 1), (Some(32), 64 * 1024), (Some(32), 1)] {
        let bytes = hello("DB.example.com", fragment);
        let found = read_in_pieces(bytes.clone(), piece).await.unwrap().unwrap();
        assert_eq!(found.server_name.as_deref(), Some("db.example.com"));
        assert_eq!(found.bytes, bytes);
    }
}

#[tokio::test]
async fn a_client_may_name_no_server_and_say_nothing() {
    let found = read_in_pieces(hello("192.0.2.1", None), 4096).await.unwrap().unwrap();
    assert_eq!(found.server_name, None);
    assert!(read_in_pieces(Vec::new(), 1).await.unwrap().is_none());
}

#[tokio::test]
async fn what_is_no_hello_is_refused() {
    for bytes in [&b"GET / HTTP/1.1\r\nHost: db.example.com\r\n\r\n"[..], b"\0\0\0\x08\x04\xd2\x16\x2f", &[0x80, 0x2e]]
    {
        assert!(read_in_pieces(bytes.to_vec(), 4096).await.is_err());
    }
    let whole = hello("db.example.com", None);
    let cut = read_in_pieces(whole[..whole.len() - 1].to_vec(), 4096).await.unwrap_err();
    assert_eq!(cut.reason, "it ends in the middle");
}

#[tokio::test]
async fn a_hello_has_a_bound() {
    // A message of 16 MiB, in records that are each allowed.
    let mut bytes = vec![22, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff];
    bytes.resize(5 + 0x4000, 0);
    let record = [&[22, 3, 1, 0x40, 0][..], &[0; 0x4000]].concat();
    bytes.extend(record.repeat(4));
    assert!(read_in_pieces(bytes, 4096).await.is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(at in 0usize..2000, with in any::<u8>(), cut in 0usize..2000) {
        let mut bytes = hello("db.example.com", None);
        let length = bytes.len();
        bytes[at % length] = with;
        bytes.truncate(cut);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _ = runtime.block_on(read_in_pieces(bytes, 4096));
    }
}
