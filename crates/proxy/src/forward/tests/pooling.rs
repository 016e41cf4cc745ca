//! Which connections are used, shared, retried and given up.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;

use super::*;

async fn ok(_: Request<Incoming>) -> Response<AnyBody> {
    Response::new(full("ok"))
}

#[tokio::test]
async fn requests_one_after_another_share_an_http1_connection() {
    let upstream = upstream(Http::One, ok).await;
    let front = front(Http::One, &route(EndpointScheme::Http, &[upstream.address])).await;
    let client = Client::connect(Http::One, &front).await;
    for _ in 0..20 {
        assert_eq!(text(client.get("/").await).await, "ok");
        let response = client.send(Request::post("/").body(full("body")).unwrap()).await;
        assert_eq!(text(response).await, "ok");
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn concurrent_first_requests_share_one_http2_connection() {
    let upstream = upstream(Http::Two, ok).await;
    let front = front(Http::Two, &route(EndpointScheme::H2c, &[upstream.address])).await;
    let client = Client::connect(Http::Two, &front).await;
    let requests: Vec<_> = (0..50)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { text(client.get("/").await).await })
        })
        .collect();
    for request in requests {
        assert_eq!(request.await.unwrap(), "ok");
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn further_http2_connections_are_opened_when_the_peers_streams_are_used_up() {
    let gate = Arc::new(Semaphore::new(0));
    let (came, mut arrivals) = mpsc::unbounded_channel();
    let opened = Arc::clone(&gate);
    let upstream = limited_upstream(Http::Two, 2, move |_| {
        let (gate, came) = (Arc::clone(&opened), came.clone());
        async move {
            came.send(()).unwrap();
            gate.acquire().await.unwrap().forget();
            Response::new(full("ok"))
        }
    })
    .await;
    let front = front(Http::Two, &route(EndpointScheme::H2c, &[upstream.address])).await;
    let client = Client::connect(Http::Two, &front).await;
    let requests: Vec<_> = (0..20)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { text(client.get("/").await).await })
        })
        .collect();
    // All twenty are under way at once, though a connection takes only two.
    for _ in 0..20 {
        arrivals.recv().await.unwrap();
    }
    assert_eq!(upstream.connections(), 10);
    gate.add_permits(20);
    for request in requests {
        assert_eq!(request.await.unwrap(), "ok");
    }
}

#[tokio::test]
async fn bodies_that_go_on_behind_their_answers_leave_room_for_other_requests() {
    let (hold, _held) = mpsc::unbounded_channel();
    let upstream = limited_upstream(Http::Two, 2, move |request: Request<Incoming>| {
        // Neither read nor refused.
        hold.send(request.into_body()).unwrap();
        async { Response::new(full("ok")) }
    })
    .await;
    let front = front(Http::Two, &route(EndpointScheme::H2c, &[upstream.address])).await;
    let client = Client::connect(Http::Two, &front).await;
    for _ in 0..2 {
        // More than the upstream takes without reading.
        let request = Request::post("/").body(full(vec![0; 1024 * 1024])).unwrap();
        assert_eq!(text(client.send(request).await).await, "ok");
    }
    let third = tokio::time::timeout(Duration::from_secs(20), client.get("/")).await.expect("there is no room");
    assert_eq!(text(third).await, "ok");
    assert_eq!(upstream.connections(), 2);
}

#[tokio::test]
async fn endpoints_take_turns() {
    let (first, second) = (upstream(Http::One, ok).await, upstream(Http::One, ok).await);
    let front = front(Http::One, &route(EndpointScheme::Http, &[first.address, second.address])).await;
    let client = Client::connect(Http::One, &front).await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(header(&client.get("/").await, "x-endpoint").to_owned());
    }
    let (one, two) = (format!("http://{}", first.address), format!("http://{}", second.address));
    assert_eq!(seen, [&*one, &*two, &*one, &*two]);
}

#[tokio::test]
async fn a_name_with_several_addresses_is_tried_at_each() {
    // `localhost` is also `::1` where the machine has IPv6; nobody listens there.
    let upstream = upstream(Http::One, ok).await;
    let mut by_name = route(EndpointScheme::Http, &[upstream.address]);
    by_name.to[0].host = "localhost".to_owned();
    let front = front(Http::One, &by_name).await;
    let client = Client::connect(Http::One, &front).await;
    assert_eq!(text(client.get("/").await).await, "ok");
}

#[tokio::test]
async fn an_endpoint_that_refuses_connections_is_passed_over() {
    let dead = dead().await;
    for (http, scheme) in [(Http::One, EndpointScheme::Http), (Http::Two, EndpointScheme::H2c)] {
        let live = upstream(http, ok).await;
        let front = front(Http::One, &route(scheme, &[dead, live.address])).await;
        let client = Client::connect(Http::One, &front).await;
        let (feed, body) = fed();
        feed.send(data("x")).unwrap();
        drop(feed);
        let response = client.send(Request::post("/").body(body).unwrap()).await;
        assert_eq!(header(&response, "x-attempts"), "2");
        assert_eq!(text(response).await, "ok");
    }
}

#[tokio::test]
async fn no_endpoint_and_one_endpoint_that_refuses_are_told_apart() {
    for scheme in [EndpointScheme::Http, EndpointScheme::H2c] {
        let (one, other) = (dead().await, dead().await);
        let alone = front(Http::One, &route(scheme, &[one])).await;
        let (kind, detail) = failure(Client::connect(Http::One, &alone).await.get("/").await).await;
        assert_eq!(kind, "Connect");
        assert!(detail.starts_with(&format!("cannot connect to `{one}`: ")), "{detail}");
        let both = front(Http::One, &route(scheme, &[one, other])).await;
        let (kind, _) = failure(Client::connect(Http::One, &both).await.get("/").await).await;
        assert_eq!(kind, "NoHealthyUpstream");
    }
}

#[tokio::test]
async fn requests_that_wait_for_one_connection_share_its_failure() {
    let dead = dead().await;
    let front = front(Http::Two, &route(EndpointScheme::H2c, &[dead])).await;
    let client = Client::connect(Http::Two, &front).await;
    let requests: Vec<_> = (0..20)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { failure(client.get("/").await).await.0 })
        })
        .collect();
    for request in requests {
        assert_eq!(request.await.unwrap(), "Connect");
    }
}

/// Reads up to the end of what `end` ends.
async fn read_until(tcp: &mut TcpStream, end: &[u8]) -> Vec<u8> {
    let mut read = Vec::new();
    while !read.ends_with(end) {
        read.push(tcp.read_u8().await.unwrap());
    }
    read
}

#[tokio::test]
async fn a_request_that_is_answered_early_is_sent_to_its_end_and_its_connection_serves_again() {
    let upstream = raw_upstream(|mut tcp| async move {
        for _ in 0..2 {
            let head = read_until(&mut tcp, b"\r\n\r\n").await;
            tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
            if head.starts_with(b"POST") {
                let body = read_until(&mut tcp, b"0\r\n\r\n").await;
                // What is there at the same time is one chunk.
                let chunks: [&[u8]; 2] = [b"b\r\nfirstsecond\r\n0\r\n\r\n", b"5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\n"];
                assert!(chunks.contains(&&*body), "{body:?}");
            }
        }
    })
    .await;
    let cluster =
        Arc::new(Cluster::build(&route(EndpointScheme::Http, &[upstream.address]), &Pools::default()).unwrap());
    let front = front_of(Http::Two, Arc::clone(&cluster)).await;
    let client = Client::connect(Http::Two, &front).await;
    let (feed, body) = fed();
    assert_eq!(text(client.send(Request::post("/").body(body).unwrap()).await).await, "ok");
    feed.send(data("first")).unwrap();
    feed.send(data("second")).unwrap();
    drop(feed);
    while cluster.view().endpoints[0].idle == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(text(client.get("/").await).await, "ok");
    assert_eq!(upstream.connections(), 1);
}

/// Answers the first request of each connection, and closes when the second has come.
async fn once_each(mut tcp: TcpStream) {
    let mut head = [0; 4096];
    if tcp.read(&mut head).await.unwrap_or(0) == 0 {
        return;
    }
    tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
    let _second = tcp.read(&mut head).await;
}

#[tokio::test]
async fn only_what_may_be_repeated_is_sent_again_when_a_reused_connection_closes() {
    for (method, body, expected) in
        [("GET", "", "200"), ("DELETE", "", "200"), ("POST", "", "502"), ("PUT", "body", "502"), ("PATCH", "", "502")]
    {
        let upstream = raw_upstream(once_each).await;
        let front = front(Http::One, &route(EndpointScheme::Http, &[upstream.address])).await;
        let client = Client::connect(Http::One, &front).await;
        assert_eq!(text(client.get("/").await).await, "ok");
        let body = if body.is_empty() { empty() } else { full(body) };
        let response = client.send(Request::builder().method(method).uri("/").body(body).unwrap()).await;
        assert_eq!(response.status().as_str(), expected, "{method}");
        if expected == "502" {
            assert_eq!(failure(response).await.0, "Protocol");
            assert_eq!(upstream.connections(), 1);
        } else {
            assert_eq!(header(&response, "x-attempts"), "2");
        }
    }
}

#[tokio::test]
async fn a_fresh_connection_that_closes_is_not_tried_again() {
    let upstream = raw_upstream(|mut tcp| async move {
        let _head = tcp.read(&mut [0; 4096]).await;
    })
    .await;
    let front = front(Http::One, &route(EndpointScheme::Http, &[upstream.address])).await;
    let (kind, _) = failure(Client::connect(Http::One, &front).await.get("/").await).await;
    assert_eq!(kind, "Protocol");
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn a_connection_that_says_goodbye_is_replaced() {
    // Each connection serves one request and then sends GOAWAY.
    let upstream = raw_upstream(|tcp| async move {
        let (served, once) = tokio::sync::oneshot::channel();
        let served = Arc::new(std::sync::Mutex::new(Some(served)));
        let service = service_fn(move |_: Request<Incoming>| {
            if let Some(served) = served.lock().unwrap().take() {
                served.send(()).unwrap();
            }
            async { Ok::<_, Broken>(Response::new(full("ok"))) }
        });
        let connection =
            hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(tcp), service);
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            _ = connection.as_mut() => {}
            _ = once => {
                connection.as_mut().graceful_shutdown();
                let _ended = connection.await;
            }
        }
    })
    .await;
    let front = front(Http::Two, &route(EndpointScheme::H2c, &[upstream.address])).await;
    let client = Client::connect(Http::Two, &front).await;
    for _ in 0..10 {
        let response = client.send(Request::post("/").body(full("x")).unwrap()).await;
        assert_eq!(text(response).await, "ok");
    }
    assert!(upstream.connections() > 1);
}

#[tokio::test]
async fn routes_that_reach_an_endpoint_in_the_same_way_share_its_connections() {
    let upstream = upstream(Http::One, ok).await;
    let pools = Pools::default();
    let route = route(EndpointScheme::Http, &[upstream.address]);
    for _ in 0..2 {
        let front = front_of(Http::One, Arc::new(Cluster::build(&route, &pools).unwrap())).await;
        assert_eq!(text(Client::connect(Http::One, &front).await.get("/").await).await, "ok");
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn a_new_configuration_goes_on_with_the_connections_of_the_one_before() {
    let upstream = upstream(Http::One, ok).await;
    let pools = Pools::default();
    let route = route(EndpointScheme::Http, &[upstream.address]);
    let mut cluster = Arc::new(Cluster::build(&route, &pools).unwrap());
    for _ in 0..3 {
        let front = front_of(Http::One, Arc::clone(&cluster)).await;
        assert_eq!(text(Client::connect(Http::One, &front).await.get("/").await).await, "ok");
        // Built before the other is let go, as a reload does.
        cluster = Arc::new(Cluster::build(&route, &pools).unwrap());
    }
    assert_eq!(upstream.connections(), 1);
    let mut other = route.clone();
    other.timeouts.connect = Duration::from_secs(1);
    let front = front_of(Http::One, Arc::new(Cluster::build(&other, &pools).unwrap())).await;
    assert_eq!(text(Client::connect(Http::One, &front).await.get("/").await).await, "ok");
    assert_eq!(upstream.connections(), 2, "how it is reached has changed");
}

/// An address where nobody listens.
pub(super) async fn dead() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}
