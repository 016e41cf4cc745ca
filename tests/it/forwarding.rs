//! Upstreams that are several, slow, or do not behave.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request};
use integration::{Setup, Upstream, connect, http2, raw, read_request, status};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::Result;

fn open(more: &Value) -> Value {
    let mut route = json!({ "authenticate": "none", "allow": "true" });
    route.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    route
}

#[tokio::test]
async fn endpoints_take_turns_and_one_that_is_down_costs_nobody_an_answer() -> Result {
    let (one, two) = (Upstream::hello().await?, Upstream::hello().await?);
    let all = json!({ "to": [one.url(), "http://127.0.0.1:1", two.url()] });
    let proxy = Setup::default().route("one", &one.url(), &open(&all)).start().await?;
    let browser = &mut proxy.browser();
    for _ in 0..6 {
        assert_eq!(browser.get("https://one.localhost/").await?.status, 200);
    }
    assert!(one.seen().len() >= 2 && two.seen().len() >= 2, "{} and {}", one.seen().len(), two.seen().len());
    let records = proxy.stop().await?;
    assert!(records.iter().any(|record| record["upstream"]["attempts"] == 2));
    Ok(())
}

#[tokio::test]
async fn every_limit_of_time_ends_what_it_is_for() -> Result {
    let silent = Upstream::with(|mut stream| async move {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await?;
    let stalls = Upstream::answering("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello").await?;
    let proxy = Setup::default()
        .route("headers", &silent.url(), &open(&json!({ "timeout": { "response_headers": "100ms" } })))
        .route("total", &silent.url(), &open(&json!({ "timeout": { "total": "100ms" } })))
        // TLS is never answered, and making the connection ends with TLS.
        .route(
            "connect",
            &format!("https://{}", silent.address()),
            &open(&json!({ "timeout": { "connect": "100ms" } })),
        )
        .route("idle", &stalls.url(), &open(&json!({ "timeout": { "idle": "100ms" } })))
        .route(
            "slow",
            &silent.url(),
            &open(&json!({ "timeout": { "idle": "100ms" }, "retry": { "attempts": 3, "on": ["504"] } })),
        )
        .start()
        .await?;
    for host in ["headers", "total", "connect"] {
        let url = format!("https://{host}.localhost/");
        let answer = proxy.browser().send(http::Method::GET, &url, &[], Bytes::new()).await?;
        assert_eq!((answer.status.as_u16(), &answer.json()?["error"]), (504, &json!("upstream_timeout")), "{host}");
    }
    let answer = raw(&proxy, "idle.localhost", b"GET / HTTP/1.1\r\nhost: idle.localhost\r\n\r\n").await?;
    assert!(answer.ends_with("hello"), "{answer}");
    // Whoever sends no more is told so, and no endpoint is blamed or tried again.
    let slow =
        raw(&proxy, "slow.localhost", b"PUT / HTTP/1.1\r\nhost: slow.localhost\r\ncontent-length: 10\r\n\r\nhello")
            .await?;
    assert!(slow.starts_with("HTTP/1.1 408 ") && slow.contains("request_body_timeout"), "{slow}");
    let records = proxy.stop().await?;
    let error = |route: &str| {
        let record = records.iter().find(|record| record["route"] == route).expect("recorded");
        // Who had the request is told, too.
        assert_eq!(record["upstream"]["attempts"], 1, "{record}");
        assert!(record["upstream"]["endpoint"].is_string(), "{record}");
        record["error"].as_str().unwrap_or_default().to_owned()
    };
    assert!(error("headers").contains("no response headers within 100ms"), "{}", error("headers"));
    assert!(error("total").contains("timeout.total"), "{}", error("total"));
    assert!(error("connect").contains("not done within 100ms"), "{}", error("connect"));
    assert!(error("idle").contains("no byte in either direction for 100ms"), "{}", error("idle"));
    assert!(error("slow").contains("request body: no byte of it for 100ms"), "{}", error("slow"));
    Ok(())
}

/// Answers `/good` well and any other path as its name says.
async fn misbehave(mut stream: TcpStream) {
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut buffer).await {
        let path = request.line.split(' ').nth(1).unwrap_or_default().to_owned();
        let (answer, then): (&str, &str) = match path.as_str() {
            "/early-close" => ("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhel", ""),
            "/bad-chunk" => ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\nzz\r\n", ""),
            "/negative" => ("HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\nhello", ""),
            "/two-lengths" => ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello", ""),
            "/no-http" => ("SSH-2.0-OpenSSH_9.6\r\n\r\n", ""),
            "/unasked-switch" => {
                ("HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n", "")
            }
            "/endless-headers" => ("HTTP/1.1 200 OK\r\n", "x-more: and more\r\n"),
            "/endless-hints" => ("", "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n"),
            "/silence" => return,
            _ => ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", "-"),
        };
        if stream.write_all(answer.as_bytes()).await.is_err() || then.is_empty() {
            return;
        }
        if path == "/too-much" {
            let more = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nsmuggled";
            let _ = stream.write_all(more.as_bytes()).await;
        }
        while !then.starts_with('-') {
            if stream.write_all(then.repeat(100).as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

#[tokio::test]
async fn no_misbehaviour_of_an_upstream_spoils_the_next_answer_on_the_connection() -> Result {
    let upstream = Upstream::with(misbehave).await?;
    let limits = json!({ "timeout": { "response_headers": "500ms" } });
    let proxy = Setup::default().route("one", &upstream.url(), &open(&limits)).start().await?;
    let mut requests = http2(&proxy, "one.localhost").await?;
    let mut over_http1 = connect(&proxy, "one.localhost", &["http/1.1"]).await?;
    for (path, expected) in [
        ("/early-close", 200),
        ("/bad-chunk", 200),
        ("/negative", 502),
        ("/two-lengths", 502),
        ("/no-http", 502),
        ("/unasked-switch", 502),
        ("/endless-headers", 502),
        ("/endless-hints", 504),
        ("/silence", 502),
        ("/too-much", 200),
    ] {
        for path in [path, "/good"] {
            let good = matches!(path, "/good" | "/too-much");
            let request = Request::get(format!("https://one.localhost{path}")).body(())?;
            let response = requests.send_request(request, true)?.0.await?;
            assert_eq!(response.status(), if path == "/good" { 200 } else { expected }, "{path}");
            let mut body = response.into_body();
            let mut read = Vec::new();
            let whole = loop {
                match body.data().await {
                    Some(Ok(bytes)) => read.extend_from_slice(&bytes),
                    Some(Err(error)) => {
                        assert!(error.is_reset(), "{path}: {error}");
                        break false;
                    }
                    None => break true,
                }
            };
            assert_eq!(whole, good || expected != 200, "{path}");
            assert!(!good || read == b"hello", "{path}: {}", String::from_utf8_lossy(&read));
        }
        // HTTP/1.1 has no streams: an answer that is our own keeps the connection, one that broke off ends it.
        if expected != 200 {
            for (path, expected) in [(path, expected), ("/good", 200)] {
                let request = format!("GET {path} HTTP/1.1\r\nhost: one.localhost\r\n\r\n");
                over_http1.write_all(request.as_bytes()).await?;
                let (head, _) = read_answer(&mut over_http1).await?;
                assert_eq!(status(&head), expected, "{path}: {head}");
            }
        } else if path != "/too-much" {
            let request = format!("GET {path} HTTP/1.1\r\nhost: one.localhost\r\n\r\nGET /good HTTP/1.1\r\n\r\n");
            let answer = raw(&proxy, "one.localhost", request.as_bytes()).await?;
            assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
        }
    }
    proxy.stop().await?;
    Ok(())
}

/// Reads one answer with `content-length`.
async fn read_answer(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Result<(String, Vec<u8>)> {
    let head = loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8(head)?.to_ascii_lowercase();
        // Hints are passed on.
        if status(&head) >= 200 {
            break head;
        }
    };
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
    let mut body = vec![0; length.ok_or("no length")?.parse()?];
    stream.read_exact(&mut body).await?;
    Ok((head, body))
}

#[tokio::test]
async fn identity_in_the_trailers_of_a_request_does_not_pass() -> Result {
    let (tell, mut told) = mpsc::unbounded_channel();
    let upstream = Upstream::with(move |stream| {
        let tell = tell.clone();
        async move {
            let Ok(mut connection) = h2::server::handshake(stream).await else { return };
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                let tell = tell.clone();
                tokio::spawn(async move {
                    let mut body = request.into_body();
                    while body.data().await.is_some() {}
                    let _ = tell.send(body.trailers().await.unwrap().unwrap_or_default());
                    respond.send_response(http::Response::new(()), true).unwrap();
                });
            }
        }
    })
    .await?;
    let rewritten = json!({
        "identity": { "headers": { "x-mail": "email" } },
        "credential": { "header": "x-api-key", "value": "the-key" },
    });
    let url = format!("h2c://{}", upstream.address());
    let proxy = Setup::default().route("one", &url, &open(&rewritten)).start().await?;
    let mut requests = http2(&proxy, "one.localhost").await?;
    let request = Request::post("https://one.localhost/").body(())?;
    let (response, mut send) = requests.send_request(request, false)?;
    send.send_data(Bytes::from_static(b"x"), false)?;
    let mut trailers = HeaderMap::new();
    for name in [
        "x-portcullis-jwt-assertion",
        "x_portcullis_jwt_assertion",
        "x-mail",
        "x-api-key",
        "x_api_key",
        "x-forwarded-for",
        "x-auth-request-email",
        "authorization",
        "cookie",
        "content-length",
        "x-checksum",
    ] {
        trailers.insert(name, "1".parse()?);
    }
    send.send_trailers(trailers)?;
    assert_eq!(response.await?.status(), 200);
    let passed: Vec<_> = told.recv().await.expect("told").keys().map(ToString::to_string).collect();
    assert_eq!(passed, ["x-checksum"]);
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_websocket_counts_as_a_connection_for_as_long_as_it_is_open() -> Result {
    let upstream = Upstream::with(|mut stream| async move {
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
    let listener = json!([{
        "address": "127.0.0.1:0",
        "tls": { "certificates": [{ "cert_file": "cert.pem", "key_file": "key.pem" }] },
        "limits": { "max_connections": 1 },
    }]);
    let proxy = Setup::default()
        .route("one", &upstream.url(), &open(&json!({})))
        .section(&json!({ "listeners": listener }))
        .start()
        .await?;
    let mut socket = connect(&proxy, "one.localhost", &["http/1.1"]).await?;
    let opening = "GET / HTTP/1.1\r\nhost: one.localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.write_all(opening.as_bytes()).await?;
    let mut head = [0; 12];
    socket.read_exact(&mut head).await?;
    assert_eq!(&head, b"HTTP/1.1 101");
    let mut second = Box::pin(connect(&proxy, "one.localhost", &["http/1.1"]));
    assert!(tokio::time::timeout(Duration::from_millis(300), second.as_mut()).await.is_err());
    drop(socket);
    second.as_mut().await?;
    drop(second);
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn endpoints_of_different_schemes_are_refused_at_load() -> Result {
    let both = json!({ "to": ["http://127.0.0.1:1", "h2c://127.0.0.1:2"] });
    let error = Setup::default().route("one", "http://127.0.0.1:1", &open(&both)).start().await.unwrap_err();
    assert!(error.to_string().contains("scheme"), "{error}");
    Ok(())
}
