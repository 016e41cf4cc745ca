//! HTTP/3 to upstreams that behave: an implementation that is not ours answers.

mod hostile;
mod peer;
mod tls;

use h3::error::Code;
use http::{HeaderMap, StatusCode};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use self::peer::{Exchange, Peer, answer_with, body_of, part_of, peer, peer_allowing, respond};
use super::*;
use crate::config::{HealthCheck, HealthProbe, RetryOn};
use crate::upstream::EndpointState;

/// A front of requests that go over HTTP/3 to `peer`, and a client of it.
async fn front_to(http: Http, peer: &Peer) -> (Front, Client) {
    let front = front(http, &peer.route()).await;
    let client = Client::connect(http, &front).await;
    (front, client)
}

/// A route that sends again what was refused.
fn retrying(peer: &Peer) -> Route {
    let mut route = peer.route();
    route.upstream.retry.attempts = 1;
    route.upstream.retry.on = vec![RetryOn::RefusedStream];
    route
}

fn post(body: AnyBody) -> Request<AnyBody> {
    Request::post("/").body(body).unwrap()
}

#[tokio::test]
async fn a_request_goes_over_http3_and_its_answer_comes_back() {
    let peer = peer(|request, mut exchange| async move {
        let seen = format!("{} {} {:?}", request.method(), request.uri(), request.headers().get("host"));
        let sent = body_of(&mut exchange).await;
        answer_with(exchange, format!("{seen} {sent:?}")).await;
    })
    .await;
    for http in [Http::One, Http::Two] {
        let (_front, client) = front_to(http, &peer).await;
        let response = client.send(Request::put("/a?b=c").body(full("hello")).unwrap()).await;
        assert_eq!((header(&response, "x-protocol"), header(&response, "x-reason")), ("h3", "configured"));
        assert_eq!(header(&response, "x-endpoint"), format!("https://{}", peer.address));
        let authority = peer.address;
        assert_eq!(text(response).await, format!("PUT https://{authority}/a?b=c None b\"hello\""));
    }
}

#[tokio::test]
async fn requests_share_a_connection() {
    let peer = peer(|_, exchange| answer_with(exchange, "ok")).await;
    let (_front, client) = front_to(Http::Two, &peer).await;
    let all = (0..20).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { text(client.get("/").await).await })
    });
    for answer in all.collect::<Vec<_>>() {
        assert_eq!(answer.await.unwrap(), "ok");
    }
    assert_eq!(peer.connections(), 1);
}

#[tokio::test]
async fn further_connections_are_opened_when_the_peers_streams_are_used_up() {
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let (go, going) = tokio::sync::watch::channel(false);
    let peer = peer_allowing(2, move |_, exchange| {
        let (arrived, mut going) = (arrived.clone(), going.clone());
        async move {
            arrived.send(()).unwrap();
            going.wait_for(|go| *go).await.unwrap();
            answer_with(exchange, "ok").await;
        }
    })
    .await;
    let (_front, client) = front_to(Http::Two, &peer).await;
    let all: Vec<_> = (0..5)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { text(client.get("/").await).await })
        })
        .collect();
    for _ in 0..5 {
        arrivals.recv().await.unwrap();
    }
    assert_eq!(peer.connections(), 3);
    go.send(true).unwrap();
    for answer in all {
        assert_eq!(answer.await.unwrap(), "ok");
    }
}

#[tokio::test]
async fn a_peer_that_allows_no_stream_is_asked_once() {
    let peer = peer_allowing(0, |_, exchange| answer_with(exchange, "never")).await;
    let (_front, client) = front_to(Http::One, &peer).await;
    let (kind, detail) = failure(client.get("/").await).await;
    assert_eq!((kind.as_str(), detail.as_str()), ("Protocol", "upstream allows no stream on its connection"));
    assert_eq!(peer.connections(), 1);
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let peer = peer(|_, mut exchange| async move {
        assert_eq!(body_of(&mut exchange).await, "hello");
        let came = exchange.recv_trailers().await.unwrap().unwrap();
        respond(&mut exchange, 200).await;
        exchange.send_data("body".into()).await.unwrap();
        exchange.send_trailers(came).await.unwrap();
        exchange.finish().await.unwrap();
    })
    .await;
    let (_front, client) = front_to(Http::Two, &peer).await;
    let (send, body) = fed();
    send.send(data("hello")).unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", HeaderValue::from_static("abc"));
    send.send(Frame::trailers(trailers)).unwrap();
    drop(send);
    let answer = client.send(post(body)).await.into_body().collect().await.unwrap();
    assert_eq!(answer.trailers().unwrap()["x-checksum"], "abc");
    assert_eq!(answer.to_bytes(), "body");
}

#[tokio::test]
async fn answers_without_a_body_end_at_once() {
    let peer = peer(|request, mut exchange| async move {
        let status = request.uri().path().trim_start_matches('/').parse().unwrap_or(200);
        let mut response = Response::builder().status(status);
        if status != 204_u16 {
            response = response.header("content-length", 5);
        }
        exchange.send_response(response.body(()).unwrap()).await.unwrap();
        exchange.finish().await.unwrap();
    })
    .await;
    for http in [Http::One, Http::Two] {
        let (_front, client) = front_to(http, &peer).await;
        for (request, status) in [
            (Request::head("/"), StatusCode::OK),
            (Request::get("/204"), StatusCode::NO_CONTENT),
            (Request::get("/304"), StatusCode::NOT_MODIFIED),
        ] {
            let response = client.send(request.body(empty()).unwrap()).await;
            assert_eq!(response.status(), status);
            if status == 200 {
                assert_eq!(header(&response, "content-length"), "5");
            }
            assert_eq!(text(response).await, "");
        }
    }
}

#[tokio::test]
async fn a_body_waits_for_100_continue() {
    let (asked, asking) = oneshot::channel::<()>();
    let asking = Arc::new(tokio::sync::Mutex::new(Some(asking)));
    let peer = peer(move |request, mut exchange| {
        let asking = Arc::clone(&asking);
        async move {
            assert_eq!(request.headers()["expect"], "100-continue");
            asking.lock().await.take().unwrap().await.unwrap();
            respond(&mut exchange, 100).await;
            let sent = body_of(&mut exchange).await;
            answer_with(exchange, sent).await;
        }
    })
    .await;
    let (_front, client) = front_to(Http::One, &peer).await;
    let request = Request::post("/").header("expect", "100-continue").body(full("hello")).unwrap();
    let sending = tokio::spawn(async move { text(client.send(request).await).await });
    asked.send(()).unwrap();
    assert_eq!(sending.await.unwrap(), "hello");
}

#[tokio::test]
async fn an_answer_that_comes_early_passes_while_the_body_is_still_sent() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let peer = peer(move |_, mut exchange| {
        let tell = tell.clone();
        async move {
            respond(&mut exchange, 200).await;
            exchange.send_data("early".into()).await.unwrap();
            exchange.finish().await.unwrap();
            tell.send(body_of(&mut exchange).await).unwrap();
        }
    })
    .await;
    let (_front, client) = front_to(Http::Two, &peer).await;
    let (send, body) = fed();
    send.send(data("one")).unwrap();
    assert_eq!(text(client.send(post(body)).await).await, "early");
    send.send(data("two")).unwrap();
    drop(send);
    assert_eq!(told.recv().await.unwrap(), "onetwo");
}

#[tokio::test]
async fn calls_of_grpc_stream_both_ways() {
    let peer = peer(|request, mut exchange| async move {
        assert_eq!(request.headers()["te"], "trailers");
        exchange
            .send_response(Response::builder().header("content-type", "application/grpc").body(()).unwrap())
            .await
            .unwrap();
        while let Some(part) = part_of(&mut exchange).await {
            exchange.send_data(part).await.unwrap();
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        exchange.send_trailers(trailers).await.unwrap();
        exchange.finish().await.unwrap();
    })
    .await;
    let (_front, client) = front_to(Http::Two, &peer).await;
    let (send, body) = fed();
    let request = Request::post("/s/m").header("content-type", "application/grpc").header("te", "trailers");
    let mut answer = client.send(request.body(body).unwrap()).await.into_body();
    for part in ["one", "two"] {
        send.send(data(part)).unwrap();
        assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), part);
    }
    drop(send);
    assert_eq!(answer.frame().await.unwrap().unwrap().into_trailers().unwrap()["grpc-status"], "0");
}

#[tokio::test]
async fn a_download_waits_for_its_reader_and_arrives_whole() {
    let sent = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&sent);
    let peer = peer(move |_, mut exchange| {
        let sent = Arc::clone(&counted);
        async move {
            respond(&mut exchange, 200).await;
            for _ in 0..LARGE / PIECE.len() {
                exchange.send_data(Bytes::from_static(&PIECE)).await.unwrap();
                sent.fetch_add(PIECE.len(), Ordering::SeqCst);
            }
            exchange.finish().await.unwrap();
        }
    })
    .await;
    let mut route = peer.route();
    route.upstream.http2.initial_connection_window_size = 512 * 1024;
    let front = front(Http::Two, &route).await;
    let client = Client::connect(Http::Two, &front).await;
    let response = client.get("/").await;
    let in_flight = settled(&sent).await;
    assert!(in_flight < MOST, "{in_flight} bytes were taken though nobody reads");
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes().len(), LARGE);
}

#[tokio::test]
async fn an_upload_waits_for_its_upstream_and_arrives_whole() {
    let (go, going) = tokio::sync::watch::channel(false);
    let peer = peer(move |_, mut exchange| {
        let mut going = going.clone();
        async move {
            going.wait_for(|go| *go).await.unwrap();
            let length = body_of(&mut exchange).await.len();
            answer_with(exchange, length.to_string()).await;
        }
    })
    .await;
    let (_front, client) = front_to(Http::Two, &peer).await;
    let made = Arc::<AtomicUsize>::default();
    let body = Made { left: LARGE, made: Arc::clone(&made) }.boxed_unsync();
    let sending = tokio::spawn(async move { client.send(post(body)).await });
    let in_flight = settled(&made).await;
    assert!(in_flight < MOST, "{in_flight} bytes were taken though nobody reads");
    go.send(true).unwrap();
    assert_eq!(text(sending.await.unwrap()).await, LARGE.to_string());
}

/// Sends for ever, and tells how long it took until that was no longer wanted.
async fn sends_until_stopped(mut exchange: Exchange, tell: mpsc::UnboundedSender<Code>) {
    respond(&mut exchange, 200).await;
    loop {
        match exchange.send_data(Bytes::from_static(&PIECE)).await {
            Ok(()) => {}
            Err(h3::error::StreamError::RemoteTerminate { code, .. }) => break tell.send(code).unwrap(),
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_stops_the_answer() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let peer = peer(move |_, exchange| sends_until_stopped(exchange, tell.clone())).await;
    for http in [Http::One, Http::Two] {
        let (_front, client) = front_to(http, &peer).await;
        let mut response = client.get("/").await;
        assert!(response.body_mut().frame().await.unwrap().is_ok());
        let left = Instant::now();
        drop((response, client));
        assert_eq!(told.recv().await.unwrap(), Code::H3_REQUEST_CANCELLED);
        assert!(left.elapsed() < SOON, "{:?}", left.elapsed());
    }
}

#[tokio::test]
async fn a_client_that_leaves_breaks_off_its_request() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let peer = peer(move |_, mut exchange| {
        let tell = tell.clone();
        async move {
            tell.send(None).unwrap();
            let ended = loop {
                match exchange.recv_data().await {
                    Ok(Some(_)) => {}
                    Ok(None) => break "ended",
                    Err(h3::error::StreamError::RemoteTerminate { .. }) => break "broken off",
                    Err(_) => break "lost",
                }
            };
            tell.send(Some(ended)).unwrap();
        }
    })
    .await;
    for http in [Http::One, Http::Two] {
        let (_front, client) = front_to(http, &peer).await;
        let (send, body) = fed();
        send.send(data("half")).unwrap();
        let sending = tokio::spawn(async move { client.try_send(post(body)).await });
        assert_eq!(told.recv().await.unwrap(), None);
        sending.abort();
        let _left = sending.await;
        assert_eq!(told.recv().await.unwrap(), Some("broken off"), "what is cut short never looks whole");
        drop(send);
    }
}

#[tokio::test]
async fn a_peer_that_goes_away_is_replaced() {
    let peer = peer(|_, exchange| answer_with(exchange, "ok")).await;
    let front = front(Http::One, &retrying(&peer)).await;
    let client = Client::connect(Http::One, &front).await;
    assert_eq!(text(client.get("/").await).await, "ok");
    peer.go_away();
    // Requests may go out before the goodbye has come; they are refused, and sent again.
    while peer.connections() < 2 {
        assert_eq!(text(client.get("/").await).await, "ok");
    }
    assert_eq!(text(client.get("/").await).await, "ok");
    assert_eq!(peer.connections(), 2);
}

#[tokio::test]
async fn a_request_that_was_refused_is_sent_again_whatever_its_method() {
    let refused = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&refused);
    let peer = peer(move |_, mut exchange| {
        let refused = Arc::clone(&counted);
        async move {
            if refused.fetch_add(1, Ordering::SeqCst) == 0 {
                exchange.stop_sending(Code::H3_REQUEST_REJECTED);
                exchange.stop_stream(Code::H3_REQUEST_REJECTED);
                return;
            }
            let sent = body_of(&mut exchange).await;
            answer_with(exchange, sent).await;
        }
    })
    .await;
    let front = front(Http::One, &retrying(&peer)).await;
    let client = Client::connect(Http::One, &front).await;
    assert_eq!(text(client.send(post(full("hello"))).await).await, "hello");
}

#[tokio::test]
async fn nobody_behind_a_port_is_told_with_what_silence_may_mean() {
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut silent = route(EndpointScheme::Https, &[nobody.local_addr().unwrap()]);
    silent.upstream_protocol = UpstreamProtocol::Http3;
    silent.timeouts.connect = Duration::from_millis(50);
    let front = front(Http::One, &silent).await;
    let (kind, detail) = failure(Client::connect(Http::One, &front).await.get("/").await).await;
    let address = nobody.local_addr().unwrap();
    let expected = format!("cannot connect to `{address}`: no QUIC handshake within 50ms; over UDP silence is all");
    assert_eq!(kind, "Silence");
    assert!(detail.starts_with(&expected), "{detail}");
}

#[tokio::test]
async fn a_peer_that_dies_in_silence_is_found_by_the_next_request() {
    let peer = peer(|_, exchange| answer_with(exchange, "ok")).await;
    let mut route = peer.route();
    route.timeouts.connect = Duration::from_millis(300);
    let front = front(Http::One, &route).await;
    let client = Client::connect(Http::One, &front).await;
    assert_eq!(text(client.get("/").await).await, "ok");
    peer.vanish();
    let expected = "nothing came from the upstream for 300ms, not even that it got the request";
    assert_eq!(failure(client.get("/").await).await, ("Protocol".to_owned(), expected.to_owned()));
    assert_eq!(failure(client.get("/").await).await.0, "Silence", "a new connection is tried");
}

#[tokio::test]
async fn a_peer_that_takes_long_to_answer_is_waited_for() {
    let (go, going) = tokio::sync::watch::channel(false);
    let peer = peer(move |_, exchange| {
        let mut going = going.clone();
        async move {
            going.wait_for(|go| *go).await.unwrap();
            answer_with(exchange, "ok").await;
        }
    })
    .await;
    let mut route = peer.route();
    route.timeouts.connect = Duration::from_millis(300);
    let front = front(Http::One, &route).await;
    let client = Client::connect(Http::One, &front).await;
    let asking = tokio::spawn(async move { text(client.get("/").await).await });
    let _longer = timeout(Duration::from_millis(900), std::future::pending::<()>()).await;
    go.send(true).unwrap();
    assert_eq!(asking.await.unwrap(), "ok");
}

#[tokio::test]
async fn a_name_with_several_addresses_is_tried_at_each() {
    // `localhost` is also `::1` where the machine has IPv6; nobody answers there.
    let peer = peer(|_, exchange| answer_with(exchange, "ok")).await;
    let mut by_name = peer.route();
    by_name.to[0].host = "localhost".to_owned();
    by_name.upstream_tls.server_name = Some("127.0.0.1".to_owned());
    by_name.timeouts.connect = Duration::from_secs(2);
    let front = front(Http::One, &by_name).await;
    assert_eq!(text(Client::connect(Http::One, &front).await.get("/").await).await, "ok");
}

/// Answers a check of gRPC.
async fn tell_health(mut exchange: Exchange, status: u8) {
    respond(&mut exchange, 200).await;
    exchange.send_data(vec![0, 0, 0, 0, 2, 0x08, status].into()).await.unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    exchange.send_trailers(trailers).await.unwrap();
    exchange.finish().await.unwrap();
}

#[tokio::test]
async fn checks_of_grpc_go_over_it() {
    let (status, serving) = tokio::sync::watch::channel(1);
    let peer = peer(move |request, exchange| {
        assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
        let status = *serving.borrow();
        tell_health(exchange, status)
    })
    .await;
    let mut route = peer.route();
    route.upstream.health_check = Some(HealthCheck {
        probe: HealthProbe::Grpc { service: "app".to_owned() },
        interval: Duration::from_millis(1),
        jitter: Duration::ZERO,
        timeout: Duration::from_secs(10),
        healthy_threshold: 1,
        unhealthy_threshold: 1,
    });
    let cluster = Cluster::build(&route, &Pools::default()).unwrap();
    cluster.watch();
    for (now, expected) in [(2, EndpointState::Unhealthy), (1, EndpointState::Available)] {
        status.send(now).unwrap();
        while cluster.view().endpoints[0].state != expected {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_websocket_is_refused_before_anything_is_sent() {
    let peer = peer(|_, exchange| answer_with(exchange, "never")).await;
    let (_front, client) = front_to(Http::One, &peer).await;
    let request = Request::get("/").header("connection", "upgrade").header("upgrade", "websocket");
    let request = request.header("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA==").body(empty()).unwrap();
    let (kind, detail) = failure(client.send(request).await).await;
    assert_eq!(kind, "Protocol");
    assert!(detail.starts_with("no WebSocket goes over HTTP/3"), "{detail}");
    assert_eq!(peer.connections(), 0);
}

/// A body that is made as it is asked for.
struct Made {
    left: usize,
    made: Arc<AtomicUsize>,
}

impl Body for Made {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let piece = &PIECE[..self.left.min(PIECE.len())];
        self.left -= piece.len();
        self.made.fetch_add(piece.len(), Ordering::SeqCst);
        Poll::Ready((!piece.is_empty()).then(|| Ok(data(piece))))
    }
}

/// Waits until no more is taken for a while.
async fn settled(taken: &AtomicUsize) -> usize {
    let mut before = 0;
    loop {
        let quiet = timeout(QUIET, std::future::pending::<()>()).await.is_err();
        let now = taken.load(Ordering::SeqCst);
        if quiet && now > 0 && now == before {
            return now;
        }
        before = now;
    }
}

static PIECE: [u8; 64 * 1024] = [b'x'; 64 * 1024];
const LARGE: usize = 32 * 1024 * 1024;

/// More than all buffers on the way: our windows, those of the client and of the peer, and those of the kernel.
const MOST: usize = 16 * 1024 * 1024;

/// QUIC has timers of its own, so that turns of the runtime do not tell that nothing moves.
const QUIET: Duration = Duration::from_millis(100);

/// Within 100 ms, and what a busy machine takes on top.
const SOON: Duration = Duration::from_secs(2);
