//! Upstreams that break the protocol: each gives a clear failure and none hangs or panics.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

async fn answering(answer: &'static [u8]) -> Upstream {
    raw_upstream(move |mut tcp| async move {
        let _head = tcp.read(&mut [0; 4096]).await;
        let _sent = tcp.write_all(answer).await;
    })
    .await
}

async fn check(answer: &'static [u8], kind: &str) {
    let upstream = answering(answer).await;
    let front = front(Http::One, &route(EndpointScheme::Http, &[upstream.address])).await;
    let response = Client::connect(Http::One, &front).await.get("/").await;
    assert_eq!(failure(response).await.0, kind, "{}", String::from_utf8_lossy(answer));
}

#[tokio::test]
async fn nonsense_is_a_protocol_error() {
    for answer in [
        &b""[..],
        b"garbage\r\n\r\n",
        b"\x00\x01\x02\x03",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 999999 X\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nBad Header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: y\r\n folded\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
    ] {
        check(answer, "Protocol").await;
    }
}

#[tokio::test]
async fn what_answers_http1_to_http2_is_said_to_speak_none() {
    let upstream = answering(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").await;
    let front = front(Http::One, &route(EndpointScheme::H2c, &[upstream.address])).await;
    let response = Client::connect(Http::One, &front).await.get("/").await;
    assert_eq!(failure(response).await, ("Protocol".to_owned(), "upstream speaks no HTTP/2".to_owned()));
}

#[tokio::test]
async fn endless_headers_are_a_protocol_error() {
    let upstream = raw_upstream(|mut tcp| async move {
        let _head = tcp.read(&mut [0; 4096]).await;
        let _sent = tcp.write_all(b"HTTP/1.1 200 OK\r\n").await;
        while tcp.write_all(b"x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n").await.is_ok() {}
    })
    .await;
    let front = front(Http::One, &route(EndpointScheme::Http, &[upstream.address])).await;
    assert_eq!(failure(Client::connect(Http::One, &front).await.get("/").await).await.0, "Protocol");
}

#[tokio::test]
async fn a_body_that_is_too_short_breaks_off_downstream_too() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let upstream = answering(answer).await;
        for http in [Http::One, Http::Two] {
            let front = front(http, &route(EndpointScheme::Http, &[upstream.address])).await;
            let client = Client::connect(http, &front).await;
            // Where the body breaks off at once, the head may not have been sent yet.
            if let Ok(response) = client.try_send(Request::get("/").body(empty()).unwrap()).await {
                assert_eq!(response.status(), 200);
                assert!(response.into_body().collect().await.is_err(), "{}", String::from_utf8_lossy(answer));
            }
        }
    }
}

#[tokio::test]
async fn a_second_response_behind_the_first_reaches_nobody() {
    let upstream =
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
            .await;
    let front = front(Http::One, &route(EndpointScheme::Http, &[upstream.address])).await;
    let client = Client::connect(Http::One, &front).await;
    for _ in 0..3 {
        assert_eq!(text(client.get("/").await).await, "ok");
    }
    assert_eq!(upstream.connections(), 3);
}

#[tokio::test]
async fn a_length_beside_chunks_does_not_pass() {
    let upstream =
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
            .await;
    let front = front(Http::Two, &route(EndpointScheme::Http, &[upstream.address])).await;
    let response = Client::connect(Http::Two, &front).await.get("/").await;
    assert_eq!(header(&response, "content-length"), "");
    assert_eq!(text(response).await, "ok");
}

#[tokio::test]
async fn an_upstream_of_http1_that_is_spoken_to_in_http2_is_a_protocol_error() {
    let upstream = raw_upstream(|mut tcp| async move {
        let _preface = tcp.read(&mut [0; 4096]).await;
        let _sent = tcp.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
        let _end = tcp.read(&mut [0; 4096]).await;
    })
    .await;
    let front = front(Http::One, &route(EndpointScheme::H2c, &[upstream.address])).await;
    let (kind, detail) = failure(Client::connect(Http::One, &front).await.get("/").await).await;
    assert_eq!(kind, "Protocol", "{detail}");
}

#[tokio::test]
async fn an_upstream_that_never_speaks_http2_is_given_up_even_for_grpc() {
    let upstream = raw_upstream(|mut tcp| async move {
        let mut sink = [0; 4096];
        while tcp.read(&mut sink).await.is_ok_and(|read| read > 0) {}
    })
    .await;
    let mut silent = route(EndpointScheme::H2c, &[upstream.address]);
    silent.timeouts.connect = Duration::from_millis(30);
    let front = front(Http::Two, &silent).await;
    let request = Request::post("/s/m").header("content-type", "application/grpc").body(full("x")).unwrap();
    let (kind, detail) = failure(Client::connect(Http::Two, &front).await.send(request).await).await;
    assert_eq!((kind.as_str(), detail.as_str()), ("Timeout", "upstream sent no HTTP/2 settings within 30ms"));
}
