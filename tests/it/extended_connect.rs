//! WebSockets over HTTP/2 (RFC 8441): the same phases as over HTTP/1.1, and an HTTP/1.1 upstream behind them.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use http::{Method, Request, Response};
use integration::{Proxy, Seen, Setup, Upstream, http2, read_request};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::Result;

/// Agrees to a WebSocket, and sends back every byte that comes then.
async fn echo(mut stream: TcpStream, seen: Arc<Mutex<Vec<Seen>>>) {
    let mut early = Vec::new();
    let Some(request) = read_request(&mut stream, &mut early).await else { return };
    let accept = derive_accept_key(request.all("sec-websocket-key").concat().as_bytes());
    seen.lock().unwrap().push(request);
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: {accept}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
    stream.write_all(&early).await.unwrap();
    let (mut read, mut write) = stream.split();
    let _ = tokio::io::copy(&mut read, &mut write).await;
}

struct Opened {
    response: Response<RecvStream>,
    send: SendStream<Bytes>,
}

async fn open(proxy: &Proxy, host: &str, protocol: Option<&'static str>, headers: &[(&str, &str)]) -> Result<Opened> {
    let mut requests = http2(proxy, &format!("{host}.localhost")).await?;
    // The answer comes after the settings, which say that extended CONNECT is understood.
    let plain = Request::get(format!("https://{host}.localhost/.portcullis/none")).body(())?;
    requests.send_request(plain, true)?.0.await?;
    assert!(requests.is_extended_connect_protocol_enabled());
    let mut requests = requests.ready().await?;
    let uri = match protocol {
        Some(_) => format!("https://{host}.localhost/ws"),
        None => format!("{host}.localhost:443"),
    };
    let mut request = Request::builder().method(Method::CONNECT).uri(uri).header("sec-websocket-version", "13");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(())?;
    if let Some(protocol) = protocol {
        request.extensions_mut().insert(Protocol::from_static(protocol));
    }
    let (response, send) = requests.send_request(request, false)?;
    Ok(Opened { response: response.await?, send })
}

#[tokio::test]
async fn a_websocket_over_http2_is_decided_cleaned_carried_and_recorded() -> Result {
    let seen = Arc::<Mutex<Vec<Seen>>>::default();
    let kept = Arc::clone(&seen);
    let upstream = Upstream::with(move |stream| echo(stream, Arc::clone(&kept))).await?;
    let member = json!({ "allow": "'engineering' in user.groups && request.method == 'GET'" });
    let proxy = Setup::default().route("one", &upstream.url(), &member).start().await?;
    let ada = proxy.signed_in("ada", "one").await;
    // The app speaks nothing but WebSocket, so signing in ends on an answer of its own.
    drop(ada);
    let mut ada = proxy.browser();
    ada.open("https://one.localhost/.portcullis/sign_in?return_to=%2F.portcullis%2F", "ada").await?;
    seen.lock().unwrap().clear();
    let session = ada.cookies("one.localhost").remove("__Host-portcullis").expect("signed in");
    let cookie = format!("__Host-portcullis={session}; a=b");
    let mut opened = open(
        &proxy,
        "one",
        Some("websocket"),
        &[
            ("cookie", &cookie),
            ("origin", "https://one.localhost"),
            ("x-portcullis-jwt-assertion", "forged"),
            ("x_portcullis_jwt_assertion", "forged"),
            ("x-auth-request-email", "forged"),
            ("x-forwarded-for", "6.6.6.6"),
        ],
    )
    .await?;
    assert_eq!(opened.response.status(), 200);
    opened.send.send_data(Bytes::from_static(b"there and back"), false)?;
    let body = opened.response.body_mut();
    let mut back = Vec::new();
    while back.len() < 14 {
        back.extend_from_slice(&body.data().await.expect("open")?);
    }
    assert_eq!(back, b"there and back");
    opened.send.send_data(Bytes::new(), true)?;
    while body.data().await.is_some() {}

    let asked = seen.lock().unwrap().pop().expect("asked");
    assert_eq!(asked.line, "GET /ws HTTP/1.1");
    assert!(asked.headers.iter().all(|(_, value)| !value.contains("forged")), "{asked:?}");
    assert_eq!(asked.all("x-portcullis-jwt-assertion").len(), 1);
    assert_eq!((asked.all("x-forwarded-for"), asked.all("cookie")), (vec!["127.0.0.1"], vec!["a=b"]));
    let records = proxy.stop().await?;
    let record = records.iter().find(|record| record["path"] == "/ws").expect("recorded");
    assert_eq!((&record["method"], &record["protocol"], &record["status"]), (&json!("GET"), &json!("h2"), &json!(200)));
    assert_eq!((&record["bytes_in"], &record["bytes_out"]), (&json!(14), &json!(14)));
    assert_eq!(record["user"]["email"], "ada@example.com");
    assert_eq!(record["upstream"]["protocol"], "http/1.1");
    Ok(())
}

#[tokio::test]
async fn what_is_refused_opens_nothing() -> Result {
    let upstream = Upstream::hello().await?;
    let open_to_all = json!({ "authenticate": "none", "allow": "true" });
    let proxy = Setup::default()
        .route("members", &upstream.url(), &json!({ "allow": "user.authenticated" }))
        .route("nobody", &upstream.url(), &json!({ "authenticate": "none", "allow": "request.method == 'CONNECT'" }))
        .route("public", &upstream.url(), &open_to_all)
        .route("off", &upstream.url(), &json!({ "authenticate": "none", "allow": "true", "websockets": "off" }))
        .start()
        .await?;
    for (host, protocol, origin, expected) in [
        ("members", Some("websocket"), "https://members.localhost", 401),
        ("nobody", Some("websocket"), "https://nobody.localhost", 403),
        ("public", Some("websocket"), "https://evil.example", 403),
        ("off", Some("websocket"), "https://off.localhost", 403),
        ("public", Some("connect-udp"), "https://public.localhost", 501),
        ("public", None, "https://public.localhost", 405),
    ] {
        let opened = open(&proxy, host, protocol, &[("origin", origin)]).await?;
        assert_eq!(opened.response.status(), expected, "{host} {protocol:?} {origin}");
    }
    assert!(upstream.seen().is_empty());
    let records = proxy.stop().await?;
    let reasons: Vec<_> =
        records.iter().filter(|record| record["path"] != "/.portcullis/none").map(|record| &record["reason"]).collect();
    assert_eq!(
        reasons,
        [
            "sign-in-required",
            "no-policy-matched",
            "cross-origin-websocket",
            "websockets-off",
            "upgrade-not-supported",
            "method-not-allowed"
        ]
    );
    Ok(())
}

#[tokio::test]
async fn an_upstream_that_does_not_agree_opens_nothing() -> Result {
    let upstream = Upstream::hello().await?;
    let proxy = Setup::default()
        .route("one", &upstream.url(), &json!({ "authenticate": "none", "allow": "true" }))
        .start()
        .await?;
    let mut opened = open(&proxy, "one", Some("websocket"), &[]).await?;
    assert_eq!(opened.response.status(), 502);
    // What was sent ahead goes nowhere.
    let _ = opened.send.send_data(Bytes::from_static(b"GET /smuggled HTTP/1.1\r\n\r\n"), true);
    let records = proxy.stop().await?;
    assert_eq!(records.last().expect("recorded")["status"], 502);
    assert!(upstream.seen().iter().all(|seen| !seen.line.contains("smuggled")));
    Ok(())
}
