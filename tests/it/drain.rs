//! The end: requests may finish, what is idle is told to go, and every record is written.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use integration::{Proxy, Setup, Upstream, connect, http2, read_request, status};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::Result;

fn open() -> Value {
    json!({ "authenticate": "none", "allow": "true" })
}

/// Answers when it is told to, or `/now` at once.
async fn held() -> Result<(Upstream, watch::Sender<bool>, watch::Receiver<bool>)> {
    let (release, released) = watch::channel(false);
    let (begin, begun) = watch::channel(false);
    let upstream = Upstream::with(move |mut stream| {
        let (mut released, begin) = (released.clone(), begin.clone());
        async move {
            let mut buffer = Vec::new();
            while let Some(request) = read_request(&mut stream, &mut buffer).await {
                if !request.line.starts_with("GET /now ") {
                    begin.send_replace(true);
                    let _ = released.wait_for(|released| *released).await;
                }
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await;
            }
        }
    })
    .await?;
    Ok((upstream, release, begun))
}

async fn draining(proxy: &mut Proxy) -> Result {
    proxy.drain();
    while status(&proxy.admin_get("localhost", "/readyz").await?) != 503 {}
    assert!(proxy.admin_get("localhost", "/readyz").await?.contains("draining"));
    Ok(())
}

#[tokio::test]
async fn requests_end_and_idle_connections_are_closed() -> Result {
    let (upstream, release, mut begun) = held().await?;
    let mut proxy = Setup::default()
        .route("one", &upstream.url(), &open())
        .section(&json!({ "drain_timeout": "60s" }))
        .start()
        .await?;
    let mut idle = connect(&proxy, "one.localhost", &["http/1.1"]).await?;
    idle.write_all(b"GET /now HTTP/1.1\r\nhost: one.localhost\r\n\r\n").await?;
    let mut idle_requests = http2(&proxy, "one.localhost").await?;
    let now = || Request::get("https://one.localhost/now").body(()).unwrap();
    idle_requests.send_request(now(), true)?.0.await?;
    let mut requests = http2(&proxy, "one.localhost").await?;
    let running = requests.send_request(Request::get("https://one.localhost/held").body(())?, true)?.0;
    begun.wait_for(|begun| *begun).await?;

    draining(&mut proxy).await?;
    let mut rest = Vec::new();
    let _ = idle.read_to_end(&mut rest).await;
    assert!(rest.ends_with(b"hello"), "the idle connection was closed after its answer");
    // GOAWAY: the client may open no stream more, on either connection.
    while let Ok(ready) = idle_requests.clone().ready().await {
        idle_requests = ready;
        // Our own end reads what came only when it has a turn.
        tokio::task::yield_now().await;
    }
    while let Ok(mut ready) = requests.clone().ready().await {
        let Ok((response, _)) = ready.send_request(now(), true) else { break };
        if response.await.is_err() {
            break;
        }
    }
    while TcpStream::connect(proxy.address()).await.is_ok() {}

    release.send_replace(true);
    let mut response = running.await?;
    assert_eq!(response.status(), 200);
    assert_eq!(response.body_mut().data().await.expect("a body")?, Bytes::from_static(b"hello"));
    let records = proxy.stop().await?;
    let held = records.iter().find(|record| record["path"] == "/held").expect("recorded");
    assert_eq!((&held["status"], &held["bytes_out"]), (&json!(200), &json!(5)));
    Ok(())
}

#[tokio::test]
async fn what_does_not_end_in_time_is_closed_and_recorded() -> Result {
    let (upstream, _release, mut begun) = held().await?;
    let sockets = Upstream::with(|mut stream| async move {
        let Some(request) = read_request(&mut stream, &mut Vec::new()).await else { return };
        let key = request.all("sec-websocket-key").concat();
        let accept = tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes());
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: {accept}\r\n\r\n"
        );
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await?;
    let mut proxy = Setup::default()
        .route("held", &upstream.url(), &open())
        .route("sockets", &sockets.url(), &open())
        .section(&json!({ "drain_timeout": "300ms" }))
        .start()
        .await?;
    let mut held = connect(&proxy, "held.localhost", &["http/1.1"]).await?;
    held.write_all(b"GET /held HTTP/1.1\r\nhost: held.localhost\r\n\r\n").await?;
    begun.wait_for(|begun| *begun).await?;
    let mut socket = connect(&proxy, "sockets.localhost", &["http/1.1"]).await?;
    let opening = "GET /ws HTTP/1.1\r\nhost: sockets.localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.write_all(opening.as_bytes()).await?;
    let mut head = [0; 12];
    socket.read_exact(&mut head).await?;
    assert_eq!(&head, b"HTTP/1.1 101");
    draining(&mut proxy).await?;
    for stream in [&mut held, &mut socket] {
        let mut rest = Vec::new();
        assert!(tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await.is_ok());
    }
    let records = proxy.stop().await?;
    let status = |path: &str| {
        let found: Vec<_> = records.iter().filter(|record| record["path"] == path).collect();
        assert_eq!(found.len(), 1, "{records:#?}");
        assert_eq!(found[0]["decision"], "allow");
        found[0]["status"].clone()
    };
    assert_eq!((status("/held"), status("/ws")), (json!(0), json!(101)));
    Ok(())
}
