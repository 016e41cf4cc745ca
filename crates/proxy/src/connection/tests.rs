//! Sniffing of cleartext connections.

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::{PREFACE, Protocol, sniff};

const LONG: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn the_preface_of_http2_is_known_however_it_is_cut() {
    for cut in 1..PREFACE.len() {
        let (mut client, mut server) = tokio::io::duplex(64);
        let (first, second) = PREFACE.split_at(cut);
        let sending = async {
            client.write_all(first).await.unwrap();
            tokio::task::yield_now().await;
            client.write_all(second).await.unwrap();
        };
        let (sniffed, ()) = tokio::join!(sniff(&mut server, LONG, LONG), sending);
        assert_eq!(sniffed.unwrap(), Some((Protocol::Http2, PREFACE.to_vec())));
    }
}

#[tokio::test]
async fn anything_else_is_http1_and_nothing_is_nothing() {
    let (mut client, mut server) = tokio::io::duplex(64);
    client.write_all(b"PRI / HTTP/1.1\r\n").await.unwrap();
    assert_eq!(sniff(&mut server, LONG, LONG).await.unwrap().unwrap().0, Protocol::Http1);
    let (client, mut server) = tokio::io::duplex(64);
    drop(client);
    assert_eq!(sniff(&mut server, LONG, LONG).await.unwrap(), None);
}

#[test]
fn a_connection_takes_little_memory_while_it_waits() {
    fn size<A, B, C, D, E, F: Future>(_: fn(A, B, C, D, E) -> F) -> usize {
        size_of::<F>()
    }
    let all = size(super::serve);
    assert!(all < 2048, "{all} bytes for the task of every connection");
    let http = size_of::<crate::http1::Server<tokio_rustls::server::TlsStream<tokio::net::TcpStream>>>();
    assert!(http < 1536, "{http} bytes for every connection over TLS");
}
