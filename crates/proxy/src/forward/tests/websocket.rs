//! WebSockets from HTTP/1.1 and HTTP/2, and upstreams that lie about them.

use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// The example of RFC 6455 §1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Reads the head of a request.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

fn field(head: &str, name: &str) -> String {
    let prefix = format!("{name}: ");
    head.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or_default().to_owned()
}

/// Agrees, and echoes until the other side ends; then says goodbye.
pub(super) async fn agree(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let head = head(&mut stream).await;
    assert!(head.starts_with("GET /chat?x=1 HTTP/1.1\r\n"), "{head}");
    assert_eq!(field(&head, "upgrade"), "websocket");
    assert_eq!(field(&head, "connection"), "Upgrade");
    assert_eq!(field(&head, "sec-websocket-version"), "13");
    assert_eq!(field(&head, "sec-websocket-protocol"), "chat, super");
    let key = HeaderValue::from_str(&field(&head, "sec-websocket-key")).unwrap();
    let accept = crate::forward::upgrade::accept_of(&key);
    // The first bytes of the tunnel come with the answer.
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: chat\r\n\r\nhello"
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
    let (mut read, mut write) = tokio::io::split(stream);
    tokio::io::copy(&mut read, &mut write).await.unwrap();
    write.write_all(b"bye").await.unwrap();
}

pub(super) fn opening() -> Request<AnyBody> {
    Request::get("/chat?x=1")
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", KEY)
        .header("sec-websocket-protocol", "chat, super")
        .body(empty())
        .unwrap()
}

fn connect() -> Request<AnyBody> {
    Request::builder()
        .method("CONNECT")
        .uri("/chat?x=1")
        .extension(hyper::ext::Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13")
        .header("sec-websocket-protocol", "chat, super")
        .body(empty())
        .unwrap()
}

pub(super) async fn talk(upgraded: hyper::upgrade::Upgraded) {
    let mut tunnel = TokioIo::new(upgraded);
    let mut greeting = [0; 5];
    tunnel.read_exact(&mut greeting).await.unwrap();
    assert_eq!(&greeting, b"hello");
    tunnel.write_all(b"ping").await.unwrap();
    let mut echo = [0; 4];
    tunnel.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"ping");
    // Half-closed: the other direction goes on.
    tunnel.shutdown().await.unwrap();
    let mut rest = Vec::new();
    tunnel.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"bye");
}

#[test]
fn the_accept_of_the_rfcs_example_is_computed() {
    assert_eq!(crate::forward::upgrade::accept_of(&HeaderValue::from_static(KEY)), ACCEPT);
}

#[tokio::test]
async fn a_websocket_from_http1_is_carried_both_ways() {
    let upstream = raw_upstream(agree).await;
    let front = front(Http::One, &route(EndpointScheme::Http, &[upstream.address])).await;
    let response = Client::connect(Http::One, &front).await.send(opening()).await;
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(header(&response, "sec-websocket-accept"), ACCEPT);
    assert_eq!(header(&response, "sec-websocket-protocol"), "chat");
    assert_eq!(header(&response, "upgrade"), "websocket");
    talk(hyper::upgrade::on(response).await.unwrap()).await;
    front.tunnels.close();
    front.tunnels.wait().await;
}

#[tokio::test]
async fn a_websocket_from_http2_is_opened_with_a_key_of_our_own() {
    let upstream = raw_upstream(agree).await;
    // Also to an endpoint that requests reach over HTTP/2: upgrades are of HTTP/1.1.
    for scheme in [EndpointScheme::Http, EndpointScheme::H2c] {
        let mut front = front(Http::Two, &route(scheme, &[upstream.address])).await;
        let client = Client::connect(Http::Two, &front).await;
        // The client may use extended CONNECT once it has seen the server's settings.
        let mut response = None;
        while response.is_none() {
            response = client.try_send(connect()).await.ok();
        }
        let response = response.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(header(&response, "sec-websocket-accept"), "");
        assert_eq!(header(&response, "sec-websocket-protocol"), "chat");
        talk(hyper::upgrade::on(response).await.unwrap()).await;
        front.served.recv().await.unwrap();
        front.tunnels.close();
        front.tunnels.wait().await;
    }
}

#[tokio::test]
async fn an_agreement_that_is_none_opens_no_tunnel() {
    for (answer, detail) in [
        ("200 OK\r\nContent-Length: 0", "upstream answered the opening of a WebSocket with success instead of 101"),
        ("101 S\r\nUpgrade: h2c\r\nConnection: Upgrade", "upstream switched to another protocol than WebSocket"),
        ("101 S\r\nConnection: Upgrade", "upstream switched to another protocol than WebSocket"),
        ("101 S\r\nUpgrade: websocket", "upstream answered 101 without `Connection: Upgrade`"),
        ("101 S\r\nUpgrade: websocket\r\nConnection: Upgrade", "upstream answered 101 without `Sec-WebSocket-Accept`"),
        (
            "101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAA",
            "upstream answered 101 with a `Sec-WebSocket-Accept` of another key",
        ),
    ] {
        let upstream = raw_upstream(move |mut tcp| async move {
            head(&mut tcp).await;
            tcp.write_all(format!("HTTP/1.1 {answer}\r\n\r\n").as_bytes()).await.unwrap();
            // Nothing of the client comes through.
            assert_eq!(tcp.read(&mut [0; 1]).await.unwrap_or(0), 0);
        })
        .await;
        let front = front(Http::One, &route(EndpointScheme::Http, &[upstream.address])).await;
        let response = Client::connect(Http::One, &front).await.send(opening()).await;
        assert_eq!(failure(response).await, ("Protocol".to_owned(), detail.to_owned()));
        assert!(front.tunnels.is_empty());
    }
}

#[tokio::test]
async fn a_refusal_is_passed_on_as_it_is() {
    let upstream = raw_upstream(|mut tcp| async move {
        head(&mut tcp).await;
        tcp.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await.unwrap();
    })
    .await;
    let front = front(Http::One, &route(EndpointScheme::Http, &[upstream.address])).await;
    let response = Client::connect(Http::One, &front).await.send(opening()).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(text(response).await, "no");
    assert!(front.tunnels.is_empty());
}

#[tokio::test]
async fn a_tunnel_closes_when_asked_to() {
    let upstream = raw_upstream(agree).await;
    let front = front(Http::One, &route(EndpointScheme::Http, &[upstream.address])).await;
    let response = Client::connect(Http::One, &front).await.send(opening()).await;
    let mut tunnel = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    let mut greeting = [0; 5];
    tunnel.read_exact(&mut greeting).await.unwrap();
    front.close.cancel();
    front.tunnels.close();
    front.tunnels.wait().await;
    assert_eq!(tunnel.read(&mut greeting).await.unwrap_or(0), 0);
}
