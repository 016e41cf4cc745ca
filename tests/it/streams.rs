//! What is open for long is decided again: after a reload, and when its session ends.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use integration::{Browser, Proxy, Result as Outcome, Setup, Upstream, connect, http2, read_request, status};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio_rustls::client::TlsStream;

use crate::Result;

/// Agrees to WebSockets; sends a part of an answer to anything else. Neither ends by itself.
pub(crate) async fn endless() -> Outcome<Upstream> {
    Upstream::with(|mut stream| async move {
        let Some(request) = read_request(&mut stream, &mut Vec::new()).await else { return };
        let key = request.all("sec-websocket-key").concat();
        let answer = if key.is_empty() {
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n5\r\ndata:\r\n"
                .to_owned()
        } else {
            let accept = tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes());
            format!(
                "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                 sec-websocket-accept: {accept}\r\n\r\n\u{1}\u{2}hi"
            )
        };
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await
}

/// Opens a path, with these further header lines, and reads the head of the answer.
async fn open(proxy: &Proxy, path: &str, more: &str) -> Outcome<(TlsStream<TcpStream>, String)> {
    let mut stream = connect(proxy, "one.localhost", &["http/1.1"]).await?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: one.localhost\r\n{more}\r\n").as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok((stream, String::from_utf8(head)?))
}

pub(crate) async fn websocket(proxy: &Proxy, more: &str) -> Outcome<TlsStream<TcpStream>> {
    let opening = format!(
        "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: \
         dGhlIHNhbXBsZSBub25jZQ==\r\n{more}"
    );
    let (mut stream, head) = open(proxy, "/ws", &opening).await?;
    assert_eq!(status(&head), 101, "{head}");
    let mut greeting = [0; 4];
    stream.read_exact(&mut greeting).await?;
    assert_eq!(&greeting, b"\x01\x02hi");
    Ok(stream)
}

/// Reads what is left, as long as it takes to be closed; a limit that never strikes fails the test.
pub(crate) async fn rest(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Outcome<Vec<u8>> {
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut rest)).await?;
    Ok(rest)
}

pub(crate) fn closed(records: &[Value], path: &str) -> String {
    let record = records.iter().filter(|record| record["error"].is_string()).find(|record| record["path"] == path);
    record.and_then(|record| record["error"].as_str()).unwrap_or_default().to_owned()
}

const GOING_AWAY: &[u8] = &[0x88, 2, 0x03, 0xe9];
pub(crate) const POLICY_VIOLATION: &[u8] = &[0x88, 2, 0x03, 0xf0];

#[tokio::test]
async fn a_reload_closes_what_it_no_longer_allows_and_nothing_else() -> Result {
    let upstream = endless().await?;
    let allow = |expression: &str| json!({ "authenticate": "none", "allow": expression });
    let proxy = Setup::default().route("one", &upstream.url(), &allow("true")).start().await?;
    let mut socket = websocket(&proxy, "").await?;
    let (mut events, _) = open(&proxy, "/events", "").await?;
    let (mut kept, _) = open(&proxy, "/kept", "").await?;
    let mut read = [0; 10];
    events.read_exact(&mut read).await?;
    kept.read_exact(&mut read).await?;

    let to = |path: &'static str| move |file: &mut Value| file["routes"][0]["allow"] = json!(path);
    assert_eq!(status(&proxy.reload(to("request.path in ['/ws', '/kept']")).await?), 200);
    assert_eq!(rest(&mut events).await?, b"", "it breaks off: no last chunk says that it is whole");
    assert_eq!(status(&proxy.reload(to("request.path == '/kept'")).await?), 200);
    assert_eq!(rest(&mut socket).await?, POLICY_VIOLATION);
    // Twice decided again, twice allowed.
    let open = tokio::time::timeout(Duration::from_millis(10), kept.read_u8()).await;
    assert!(open.is_err(), "{open:?}");
    drop(kept);
    let metrics = proxy.admin_get("localhost", "/metrics").await?;
    let counted = "portcullis_streams_closed_total{route=\"one\",reason=\"no-policy-matched\"} 2\n";
    assert!(metrics.contains(counted), "{metrics}");
    let records = proxy.stop().await?;
    assert!(closed(&records, "/events").contains("closed: no-policy-matched"), "{records:#?}");
    assert!(closed(&records, "/ws").contains("closed: no-policy-matched"), "{records:#?}");
    Ok(())
}

#[tokio::test]
async fn rules_over_headers_are_decided_again_over_the_same_headers() -> Result {
    let upstream = endless().await?;
    let more = json!({ "authenticate": "none", "allow": "request.headers['x-team'] in ['a', 'b']" });
    let proxy = Setup::default().route("one", &upstream.url(), &more).start().await?;
    let (mut a, head) = open(&proxy, "/a", "x-team: a\r\n").await?;
    assert_eq!(status(&head), 200);
    let (mut b, _) = open(&proxy, "/b", "x-team: b\r\n").await?;
    proxy.reload(|file| file["routes"][0]["allow"] = json!("request.headers['x-team'] == 'a'")).await?;
    rest(&mut b).await?;
    // A socket that stays open has something to read, or nothing: never an end.
    let open = tokio::time::timeout(Duration::from_millis(10), a.read_exact(&mut [0; 11])).await;
    assert!(open.is_err(), "{open:?}");
    proxy.reload(|file| file["routes"][0]["websockets"] = json!("off")).await?;
    drop(a);
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn the_end_of_a_session_ends_what_it_opened() -> Result {
    let upstream = endless().await?;
    let proxy =
        Setup::default().route("one", &upstream.url(), &json!({ "allow": "user.authenticated" })).start().await?;
    let mut ada = signed_in(&proxy, "ada").await?;
    let grace = signed_in(&proxy, "grace").await?;
    let mut socket = websocket(&proxy, &cookie(&ada)).await?;
    let mut other = websocket(&proxy, &cookie(&grace)).await?;
    let (mut events, head) = open(&proxy, "/events", &cookie(&ada)).await?;
    assert_eq!(status(&head), 200, "{head}");

    let began = tokio::time::Instant::now();
    let form = [("origin", "https://one.localhost"), ("content-type", "application/x-www-form-urlencoded")];
    let url = "https://one.localhost/.portcullis/sign_out";
    let answer = ada.send(Method::POST, url, &form, Bytes::new()).await?;
    assert!(answer.status.is_redirection() || answer.status.is_success(), "{}: {}", answer.status, answer.text());
    assert_eq!(rest(&mut socket).await?, POLICY_VIOLATION);
    rest(&mut events).await?;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let open = tokio::time::timeout(Duration::from_millis(10), other.read_u8()).await;
    assert!(open.is_err(), "{open:?}");

    // A lifetime that was shortened ends sessions, and what they opened.
    proxy.reload(|file| file["authenticate"]["session"]["lifetime"] = json!("1s")).await?;
    assert_eq!(rest(&mut other).await?, POLICY_VIOLATION);
    let records = proxy.stop().await?;
    assert!(closed(&records, "/events").contains("closed: session-ended"), "{records:#?}");
    Ok(())
}

/// Returns the header lines by which a page of the app is recognised.
pub(crate) fn cookie(browser: &Browser) -> String {
    let cookies = browser.cookies("one.localhost");
    let pairs: Vec<_> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("cookie: {}\r\norigin: https://one.localhost\r\n", pairs.join("; "))
}

#[tokio::test]
async fn a_stream_whose_sign_in_falls_short_of_a_new_step_up_is_closed() -> Result {
    let upstream = endless().await?;
    let proxy =
        Setup::default().route("one", &upstream.url(), &json!({ "allow": "user.authenticated" })).start().await?;
    let ada = signed_in(&proxy, "ada").await?;
    let mut socket = websocket(&proxy, &cookie(&ada)).await?;
    proxy.reload(|file| file["routes"][0]["step_up"] = json!({ "acr_values": ["phr"] })).await?;
    assert_eq!(rest(&mut socket).await?, POLICY_VIOLATION);
    let records = proxy.stop().await?;
    assert!(closed(&records, "/ws").contains("closed: step-up-required"), "{records:#?}");
    Ok(())
}

/// Signs in without asking the upstream, which never ends an answer.
pub(crate) async fn signed_in(proxy: &Proxy, user: &str) -> Outcome<Browser> {
    let mut browser = proxy.browser();
    browser.open("https://one.localhost/.portcullis/", user).await?;
    Ok(browser)
}

#[tokio::test]
async fn a_grpc_stream_ends_with_a_status() -> Result {
    let upstream = endless().await?;
    let more = json!({ "authenticate": "none", "allow": "true" });
    let proxy = Setup::default().route("one", &upstream.url(), &more).start().await?;
    let mut requests = http2(&proxy, "one.localhost").await?;
    let call = Request::post("https://one.localhost/svc/Method").header("content-type", "application/grpc").body(())?;
    let (response, _body) = requests.send_request(call, false)?;
    let mut response = response.await?;
    assert_eq!(response.status(), 200);
    let body = response.body_mut();
    let _ = body.data().await.ok_or("no data")??;
    proxy.reload(|file| file["routes"][0]["allow"] = json!("false")).await?;
    while body.data().await.transpose()?.is_some() {}
    let trailers = body.trailers().await?.ok_or("no trailers")?;
    assert_eq!(trailers["grpc-status"], "7");
    proxy.stop().await?;
    Ok(())
}

#[tokio::test]
async fn websockets_are_told_that_the_proxy_goes_away() -> Result {
    let upstream = endless().await?;
    let more = json!({ "authenticate": "none", "allow": "true" });
    let setup = Setup::default().route("one", &upstream.url(), &more).section(&json!({ "drain_timeout": "60s" }));
    let mut proxy = setup.start().await?;
    let mut socket = websocket(&proxy, "").await?;
    proxy.drain();
    assert_eq!(rest(&mut socket).await?, GOING_AWAY);
    let records = proxy.stop().await?;
    assert_eq!(records.iter().find(|record| record["path"] == "/ws").ok_or("no record")?["status"], 101);
    Ok(())
}

/// Reads requests and answers none.
async fn silent() -> Outcome<Upstream> {
    Upstream::with(|mut stream| async move {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await
}

#[tokio::test]
async fn an_upload_that_goes_on_ends_with_its_session() -> Result {
    let upstream = silent().await?;
    let members = json!({ "allow": "user.authenticated" });
    let proxy = Setup::default().route("one", &upstream.url(), &members).start().await?;
    let ada = signed_in(&proxy, "ada").await?;
    let mut stream = connect(&proxy, "one.localhost", &["http/1.1"]).await?;
    let head = format!("PUT /up HTTP/1.1\r\nhost: one.localhost\r\ncontent-length: 1000000\r\n{}\r\nabc", cookie(&ada));
    stream.write_all(head.as_bytes()).await?;
    proxy.reload(|file| file["authenticate"]["session"]["lifetime"] = json!("1s")).await?;
    let answer = String::from_utf8(rest(&mut stream).await?)?;
    assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("\"no_longer_allowed\""), "{answer}");
    let records = proxy.stop().await?;
    assert!(closed(&records, "/up").contains("closed: session-ended"), "{records:#?}");
    assert_eq!(records.iter().filter(|record| record["kind"] == "stream_closed").count(), 1);
    let record = records.iter().find(|record| record["path"] == "/up").ok_or("no record")?;
    assert_eq!(record["upstream"]["endpoint"], upstream.url(), "{record:#}");
    Ok(())
}

#[tokio::test]
async fn a_reload_ends_an_upload_that_it_refuses_and_no_request_that_has_come_whole() -> Result {
    let (tell, mut told) = mpsc::unbounded_channel();
    let (release, released) = watch::channel(false);
    let upstream = Upstream::with(move |mut stream| {
        let (tell, mut released) = (tell.clone(), released.clone());
        async move {
            if read_request(&mut stream, &mut Vec::new()).await.is_some() {
                let _ = tell.send(());
                let _ = released.wait_for(|released| *released).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone").await;
            }
        }
    })
    .await?;
    let open = json!({ "authenticate": "none", "allow": "true" });
    let proxy = Setup::default().route("one", &upstream.url(), &open).start().await?;
    let mut whole = connect(&proxy, "one.localhost", &["http/1.1"]).await?;
    let head = "host: one.localhost\r\nconnection: close\r\n";
    whole.write_all(format!("POST /pay HTTP/1.1\r\n{head}content-length: 3\r\n\r\nabc").as_bytes()).await?;
    told.recv().await.ok_or("the upstream has ended")?;
    let mut upload = connect(&proxy, "one.localhost", &["http/1.1"]).await?;
    upload.write_all(format!("PUT /up HTTP/1.1\r\n{head}content-length: 9\r\n\r\nabc").as_bytes()).await?;
    // The rule reads what was not kept of either.
    proxy.reload(|file| file["routes"][0]["allow"] = json!("!('x-team' in request.headers)")).await?;
    let answer = String::from_utf8(rest(&mut upload).await?)?;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    release.send(true)?;
    let answer = String::from_utf8(rest(&mut whole).await?)?;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("done"), "{answer}");
    let records = proxy.stop().await?;
    assert!(closed(&records, "/up").contains("closed: headers-not-kept"), "{records:#?}");
    Ok(())
}

#[tokio::test]
async fn a_grpc_stream_without_a_message_yet_ends_with_a_status() -> Result {
    let upstream = silent().await?;
    let more = json!({ "authenticate": "none", "allow": "true", "upstream_protocol": "http1" });
    let proxy = Setup::default().route("one", &upstream.url(), &more).start().await?;
    let mut requests = http2(&proxy, "one.localhost").await?;
    let call = Request::post("https://one.localhost/svc/Watch").header("content-type", "application/grpc").body(())?;
    let (response, _body) = requests.send_request(call, true)?;
    proxy.reload(|file| file["routes"][0]["allow"] = json!("false")).await?;
    let response = response.await?;
    assert_eq!((response.status().as_u16(), response.headers()["grpc-status"].to_str()?), (200, "7"));
    proxy.stop().await?;
    Ok(())
}
