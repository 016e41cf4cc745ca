//! Callers who take their time: each wait has its limit, and what is slow holds up nobody else.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use integration::{Proxy, Setup, Upstream, frame, raw, status};
use rustls_pki_types::ServerName;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::Result;

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: one.localhost\r\n\r\n";

async fn impatient(upstream: &Upstream) -> Result<Proxy> {
    let listener = json!([{
        "address": "127.0.0.1:0",
        "tls": { "certificates": [{ "cert_file": "cert.pem", "key_file": "key.pem" }] },
        "limits": { "header_timeout": "1s", "handshake_timeout": "1s", "idle_timeout": "1s" },
    }]);
    let route =
        json!({ "authenticate": "none", "allow": "request.tls.sni == 'one.localhost'", "timeout": { "idle": "1s" } });
    Setup::default().section(&json!({ "listeners": listener })).route("one", &upstream.url(), &route).start().await
}

async fn connect(proxy: &Proxy, alpn: &[u8]) -> Result<TlsStream<TcpStream>> {
    let mut tls = (*proxy.tls()).clone();
    tls.alpn_protocols = vec![alpn.to_vec()];
    let stream = TcpStream::connect(proxy.address()).await?;
    Ok(TlsConnector::from(Arc::new(tls)).connect(ServerName::try_from("one.localhost")?, stream).await?)
}

/// Sends one byte after the other for as long as they are taken, and returns what came back until the end.
async fn drip(stream: impl AsyncRead + AsyncWrite, bytes: Vec<u8>) -> Result<String> {
    let (mut read, mut write) = tokio::io::split(stream);
    let dripping = async move {
        let mut clock = interval(Duration::from_millis(20));
        for byte in bytes {
            clock.tick().await;
            if write.write_all(&[byte]).await.is_err() || write.flush().await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let mut answer = Vec::new();
    // A connection that is cut has ended as well.
    let ended = async { drop(read.read_to_end(&mut answer).await) };
    let ended = async {
        tokio::select! {
            () = ended => {}
            () = dripping => {}
        }
    };
    timeout(Duration::from_secs(10), ended).await.map_err(|_| "still open")?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn endless(start: &[u8]) -> Vec<u8> {
    [start, &[b'a'; 1000]].concat()
}

#[tokio::test]
async fn a_head_that_does_not_end_is_cut_off() -> Result {
    let upstream = Upstream::hello().await?;
    let proxy = impatient(&upstream).await?;
    let first = drip(connect(&proxy, b"http/1.1").await?, endless(b"GET / HTTP/1.1\r\nx: "));
    let mut kept_alive = connect(&proxy, b"http/1.1").await?;
    kept_alive.write_all(GET).await?;
    let second = drip(kept_alive, endless(b"GET / HTTP/1.1\r\nx: "));
    let headers = frame(1, 4, 1, &[0x82; 1000]);
    let preface = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &frame(4, 0, 0, &[]), &headers].concat();
    let over_http2 = drip(connect(&proxy, b"h2").await?, preface);
    let (first, second, over_http2) = tokio::join!(first, second, over_http2);
    assert!(!first?.contains("hello"));
    assert_eq!(second?.matches("hello").count(), 1);
    assert!(!over_http2?.contains("hello"));
    assert_eq!(upstream.seen().len(), 1);
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_cut_off() -> Result {
    let upstream = Upstream::hello().await?;
    let proxy = impatient(&upstream).await?;
    let hello = endless(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]);
    drip(TcpStream::connect(proxy.address()).await?, hello).await?;
    drip(TcpStream::connect(proxy.address()).await?, Vec::new()).await?;
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_connection_without_requests_is_closed() -> Result {
    let upstream = Upstream::hello().await?;
    let proxy = impatient(&upstream).await?;
    let silent = drip(connect(&proxy, b"http/1.1").await?, Vec::new());
    let mut kept_alive = connect(&proxy, b"http/1.1").await?;
    kept_alive.write_all(GET).await?;
    let kept_alive = drip(kept_alive, Vec::new());
    let mut over_http2 = connect(&proxy, b"h2").await?;
    over_http2.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await?;
    // Pings are no requests.
    let pings = frame(6, 0, 0, &[0; 8]).repeat(100);
    let over_http2 = drip(over_http2, pings);
    let (silent, kept_alive, over_http2) = tokio::join!(silent, kept_alive, over_http2);
    assert_eq!(silent?, "");
    assert!(kept_alive?.ends_with("hello"));
    over_http2?;
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_body_that_stops_coming_is_given_up() -> Result {
    let upstream = Upstream::hello().await?;
    let proxy = impatient(&upstream).await?;
    let mut stream = connect(&proxy, b"http/1.1").await?;
    stream.write_all(b"POST / HTTP/1.1\r\nhost: one.localhost\r\ncontent-length: 10\r\n\r\na").await?;
    let answer = drip(stream, Vec::new()).await?;
    assert!(!answer.contains("hello"), "{answer}");
    assert!(upstream.seen().is_empty());
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_caller_that_goes_away_in_the_middle_of_a_head_leaves_nothing() -> Result {
    let upstream = Upstream::hello().await?;
    let proxy = impatient(&upstream).await?;
    let mut stream = connect(&proxy, b"http/1.1").await?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: one.local").await?;
    stream.shutdown().await?;
    drip(stream, Vec::new()).await?;
    assert!(upstream.seen().is_empty());
    assert!(proxy.stop().await?.is_empty());
    Ok(())
}

/// Sends every byte in a segment of its own.
struct Segments(TcpStream);

impl AsyncRead for Segments {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Segments {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf.get(..1).unwrap_or_default())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn a_client_hello_in_pieces_is_the_same_as_one_whole() -> Result {
    let upstream = Upstream::hello().await?;
    let route = json!({ "authenticate": "none", "allow": "request.tls.sni == 'one.localhost'" });
    let proxy =
        Setup::default().route("one", &upstream.url(), &route).route("two", &upstream.url(), &route).start().await?;
    for (name, expected) in [("one.localhost", "200"), ("two.localhost", "403")] {
        let mut tls = (*proxy.tls()).clone();
        // Records of 64 bytes at most, as well as segments of one.
        tls.max_fragment_size = Some(64);
        let stream = TcpStream::connect(proxy.address()).await?;
        stream.set_nodelay(true)?;
        let connecting = TlsConnector::from(Arc::new(tls)).connect(ServerName::try_from(name)?, Segments(stream));
        let mut stream = connecting.await?;
        let request = format!("GET / HTTP/1.1\r\nhost: {name}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.flush().await?;
        stream.read_to_string(&mut answer).await?;
        assert_eq!(answer.get(9..12), Some(expected), "{name}: {answer}");
    }
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_slow_caller_holds_up_nobody_else() -> Result {
    let upstream = Upstream::hello().await?;
    let proxy = Setup::default()
        .route("one", &upstream.url(), &json!({ "authenticate": "none", "allow": "request.method == 'GET'" }))
        .start()
        .await?;
    let mut slow = Vec::new();
    for _ in 0..100 {
        slow.push(TcpStream::connect(proxy.address()).await?);
        let mut stream = connect(&proxy, b"http/1.1").await?;
        stream.write_all(b"GET / HT").await?;
        slow.push(stream.into_inner().0);
    }
    let answer = timeout(Duration::from_secs(5), raw(&proxy, "one.localhost", GET)).await??;
    assert_eq!(status(&answer), 200, "{answer}");
    drop(slow);
    proxy.stop().await?;
    Ok(())
}
