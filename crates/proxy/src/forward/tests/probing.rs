//! `upstream_protocol: auto` towards endpoints without TLS: what is found, remembered, and found again.

use std::sync::atomic::AtomicBool;

use tokio::io::AsyncReadExt as _;

use super::websocket::{agree, opening};
use super::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

fn probing(upstream: &Upstream) -> Route {
    Route { upstream_protocol: UpstreamProtocol::Auto, ..route(EndpointScheme::Http, &[upstream.address]) }
}

async fn ok(request: Request<Incoming>) -> Response<AnyBody> {
    request.into_body().collect().await.unwrap();
    Response::new(full("ok"))
}

async fn starts_with_preface(tcp: &TcpStream) -> bool {
    let mut first = [0; 3];
    while tcp.peek(&mut first).await.unwrap() < first.len() {}
    &first == b"PRI"
}

fn grpc() -> Request<AnyBody> {
    Request::post("/s/m").header("content-type", "application/grpc").body(full("x")).unwrap()
}

fn found(response: &Response<Incoming>) -> (&str, &str) {
    (header(response, "x-protocol"), header(response, "x-reason"))
}

const HTTP1: (&str, &str) = ("http/1.1", "fallback");
const HTTP2: (&str, &str) = ("h2c", "probed");

/// Sends a few requests; the endpoint sees one connection that probes, and one that carries them.
async fn check(upstream: Upstream, expected: (&str, &str)) {
    check_as(&probing(&upstream), expected).await;
    assert_eq!(upstream.connections(), 2);
}

async fn check_as(route: &Route, expected: (&str, &str)) {
    let front = front(Http::Two, route).await;
    let client = Client::connect(Http::Two, &front).await;
    for _ in 0..3 {
        let response = client.send(Request::post("/").body(full("body")).unwrap()).await;
        assert_eq!(found(&response), expected);
        assert_eq!(text(response).await, "ok");
    }
}

#[tokio::test]
async fn an_endpoint_of_http2_alone_gets_http2() {
    check(upstream(Http::Two, ok).await, HTTP2).await;
}

#[tokio::test]
async fn an_endpoint_of_both_gets_http2() {
    let both = raw_upstream(|tcp| async move {
        let http = if starts_with_preface(&tcp).await { Http::Two } else { Http::One };
        serve(TokioIo::new(tcp), http, 200, ok).await;
    });
    check(both.await, HTTP2).await;
}

#[tokio::test]
async fn an_endpoint_of_http1_alone_gets_http1() {
    check(upstream(Http::One, ok).await, HTTP1).await;
}

#[tokio::test]
async fn an_endpoint_that_closes_on_the_preface_gets_http1() {
    let closing = raw_upstream(|tcp| async move {
        if !starts_with_preface(&tcp).await {
            serve(TokioIo::new(tcp), Http::One, 0, ok).await;
        }
    });
    check(closing.await, HTTP1).await;
}

#[tokio::test]
async fn an_endpoint_that_is_silent_on_the_preface_gets_http1_and_nothing_twice() {
    let (keep, mut probed) = mpsc::unbounded_channel();
    let silent = raw_upstream(move |mut tcp| {
        let keep = keep.clone();
        async move {
            if starts_with_preface(&tcp).await {
                let mut received = Vec::new();
                tcp.read_to_end(&mut received).await.unwrap();
                keep.send(received).unwrap();
            } else {
                serve(TokioIo::new(tcp), Http::One, 0, ok).await;
            }
        }
    })
    .await;
    let mut route = probing(&silent);
    route.timeouts.connect = Duration::from_millis(300);
    check_as(&route, HTTP1).await;
    assert_eq!(silent.connections(), 2);
    assert_eq!(probed.recv().await.unwrap(), PREFACE);
}

#[tokio::test]
async fn frames_that_are_no_settings_are_no_http2() {
    for answer in [
        // GOAWAY; SETTINGS that acknowledge; SETTINGS of a stream; less than a frame.
        &b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\x0b"[..],
        b"\0\0\0\x04\x01\0\0\0\0",
        b"\0\0\0\x04\0\0\0\0\x01",
        b"\0\0\0\x04",
    ] {
        let odd = raw_upstream(move |mut tcp| async move {
            if starts_with_preface(&tcp).await {
                tokio::io::AsyncWriteExt::write_all(&mut tcp, answer).await.unwrap();
            } else {
                serve(TokioIo::new(tcp), Http::One, 0, ok).await;
            }
        });
        check(odd.await, HTTP1).await;
    }
}

#[tokio::test]
async fn concurrent_first_requests_share_one_probe_and_are_sent_once() {
    for (http, expected) in [(Http::Two, HTTP2), (Http::One, HTTP1)] {
        let (served, probes) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (serving, probing_now) = (Arc::clone(&served), Arc::clone(&probes));
        let upstream = raw_upstream(move |tcp| {
            let (serving, probing_now) = (Arc::clone(&serving), Arc::clone(&probing_now));
            async move {
                if starts_with_preface(&tcp).await {
                    probing_now.fetch_add(1, Ordering::SeqCst);
                }
                serve(TokioIo::new(tcp), http, 200, move |request| {
                    serving.fetch_add(1, Ordering::SeqCst);
                    ok(request)
                })
                .await;
            }
        })
        .await;
        let front = front(Http::Two, &probing(&upstream)).await;
        let client = Client::connect(Http::Two, &front).await;
        let requests: Vec<_> = (0..50)
            .map(|_| {
                let client = client.clone();
                let request = Request::post("/").body(full("body")).unwrap();
                tokio::spawn(async move { client.send(request).await })
            })
            .collect();
        for request in requests {
            assert_eq!(found(&request.await.unwrap()), expected);
        }
        assert_eq!(served.load(Ordering::SeqCst), 50);
        // The connection that HTTP/2 is then spoken on begins with the preface too.
        assert_eq!(probes.load(Ordering::SeqCst), if http == Http::Two { 2 } else { 1 });
    }
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_connected_to_is_probed_later() {
    // Bound, so that nobody else gets the port, and not listening yet.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let auto = Route { upstream_protocol: UpstreamProtocol::Auto, ..route(EndpointScheme::Http, &[address]) };
    let front = front(Http::One, &auto).await;
    let client = Client::connect(Http::One, &front).await;
    assert_eq!(failure(client.get("/").await).await.0, "Connect");
    let listener = socket.listen(8).unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(serve(TokioIo::new(tcp), Http::Two, 200, ok));
        }
    });
    assert_eq!(found(&client.get("/").await), HTTP2);
}

/// An endpoint that speaks one protocol until it is replaced by one that speaks the other.
struct Replaced {
    upstream: Upstream,
    is_new: Arc<AtomicBool>,
    old: CancellationToken,
}

impl Replaced {
    async fn new(before: Http, after: Http) -> Self {
        let (is_new, old) = (Arc::<AtomicBool>::default(), CancellationToken::new());
        let (flag, token) = (Arc::clone(&is_new), old.clone());
        let upstream = raw_upstream(move |tcp| {
            let (is_new, old) = (flag.load(Ordering::SeqCst), token.clone());
            async move {
                if is_new {
                    return serve(TokioIo::new(tcp), after, 200, ok).await;
                }
                tokio::select! {
                    () = serve(TokioIo::new(tcp), before, 200, ok) => {}
                    () = old.cancelled() => {}
                }
            }
        })
        .await;
        Self { upstream, is_new, old }
    }

    fn replace(&self) {
        self.is_new.store(true, Ordering::SeqCst);
        self.old.cancel();
    }
}

#[tokio::test]
async fn grpc_is_not_sent_over_http1_and_probes_again() {
    let endpoint = Replaced::new(Http::One, Http::Two).await;
    let front = front(Http::Two, &probing(&endpoint.upstream)).await;
    let client = Client::connect(Http::Two, &front).await;
    assert_eq!(found(&client.get("/").await), HTTP1);
    let (kind, detail) = failure(client.send(grpc()).await).await;
    assert_eq!((kind.as_str(), detail.contains("HTTP/2")), ("Protocol", true), "{detail}");
    // Nobody else is disturbed.
    assert_eq!(found(&client.get("/").await), HTTP1);
    assert_eq!(endpoint.upstream.connections(), 3);
    endpoint.replace();
    assert_eq!(found(&client.send(grpc()).await), HTTP2);
    assert_eq!(found(&client.get("/").await), HTTP2);
}

#[tokio::test]
async fn a_connection_that_contradicts_what_was_found_makes_it_be_found_again() {
    for (before, after, first, then) in [(Http::One, Http::Two, HTTP1, HTTP2), (Http::Two, Http::One, HTTP2, HTTP1)] {
        let endpoint = Replaced::new(before, after).await;
        let front = front(Http::Two, &probing(&endpoint.upstream)).await;
        let client = Client::connect(Http::Two, &front).await;
        assert_eq!(found(&client.get("/").await), first);
        endpoint.replace();
        let mut failed = 0;
        loop {
            let response = client.get("/").await;
            if response.status() == 200 {
                assert_eq!(found(&response), then);
                break;
            }
            // Lost with the old connection, or what showed the contradiction.
            failed += 1;
            let (kind, detail) = failure(response).await;
            assert!(kind == "Protocol" && failed <= 2, "{failed}: {kind}: {detail}");
        }
    }
}

#[tokio::test]
async fn websockets_go_over_http1_without_a_probe() {
    let upstream = raw_upstream(agree).await;
    let front = front(Http::One, &probing(&upstream)).await;
    let response = Client::connect(Http::One, &front).await.send(opening()).await;
    assert_eq!((response.status().as_u16(), found(&response)), (101, HTTP1));
    assert_eq!(upstream.connections(), 1);
}
