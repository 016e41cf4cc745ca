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

/// A `ClientHello` with these extensions, in one record.
fn with(extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut hello = [&[3, 1][..], &[7; 32], &[0, 0, 2, 0xc0, 0x2b, 1, 0]].concat();
    let content = extensions.iter().flat_map(|(kind, content)| [kind.to_be_bytes().to_vec(), sized(content)].concat());
    if !extensions.is_empty() {
        hello.extend(sized(&content.collect::<Vec<_>>()));
    }
    let message = [&[1, 0][..], &sized(&hello)].concat();
    [&[22, 3, 1][..], &sized(&message)].concat()
}

fn sized(content: &[u8]) -> Vec<u8> {
    [&u16::try_from(content.len()).unwrap().to_be_bytes()[..], content].concat()
}

/// The extension `server_name` with these names.
fn names(names: &[&str]) -> (u16, Vec<u8>) {
    let list: Vec<_> = names.iter().flat_map(|name| [vec![0], sized(name.as_bytes())].concat()).collect();
    (0, sized(&list))
}

#[tokio::test]
async fn what_the_upstream_can_judge_is_left_to_it() {
    // TLS 1.1 has no signature algorithms; the others are what no client sends, but for the upstream to say so.
    let nonsense = [(0x0a0a, vec![]), (0x0a0a, vec![1]), (16, vec![0, 0]), names(&["db.test"]), (43, vec![])];
    for extensions in [&[names(&["db.test"])][..], &nonsense] {
        let bytes = [with(extensions), b"\x17\x03\x03\0\x05early".to_vec()].concat();
        let found = read_in_pieces(bytes.clone(), 4096).await.unwrap().unwrap();
        assert_eq!((found.server_name.as_deref(), found.bytes), (Some("db.test"), bytes));
    }
    assert_eq!(read_in_pieces(with(&[]), 4096).await.unwrap().unwrap().server_name, None);
}

#[tokio::test]
async fn a_server_name_is_one_and_has_no_trailing_dot() {
    let found = |extensions: Vec<_>| async move {
        read_in_pieces(with(&extensions), 4096).await.map(|hello| hello.unwrap().server_name)
    };
    assert_eq!(found(vec![names(&["DB.Test."])]).await.unwrap().as_deref(), Some("db.test"));
    assert_eq!(found(vec![names(&["192.0.2.1"])]).await.unwrap(), None);
    for several in [
        vec![names(&["db.test", "other.test"])],
        vec![names(&["db.test"]), names(&["other.test"])],
        vec![names(&[""])],
        vec![names(&["db.test\0.other.test"])],
    ] {
        assert_eq!(found(several).await.unwrap_err().alert, Some(47));
    }
    for malformed in [(0, vec![0, 9, 0, 0, 7]), (0, vec![])] {
        assert_eq!(found(vec![malformed]).await.unwrap_err().alert, Some(50));
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
    // The bound holds for what comes at once, too.
    for (padding, is_taken) in [(15_000, true), (16_360, false)] {
        let bytes = with(&[names(&["db.test"]), (21, vec![0; padding])]);
        assert_eq!(read_in_pieces(bytes, 64 * 1024).await.is_ok(), is_taken);
    }
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
