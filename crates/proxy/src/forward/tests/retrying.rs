//! When a request is tried again, and when it must not be.

use std::sync::atomic::AtomicUsize;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::config::{OutlierDetection, Retry, RetryOn};

/// An upstream that fails its first requests with a status, and then says which body it got.
async fn failing(status: u16, first: usize) -> (Upstream, Arc<AtomicUsize>) {
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    let upstream = upstream(Http::One, move |request: Request<Incoming>| {
        let number = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            let status = if number < first { status } else { 200 };
            Response::builder().status(status).body(full(body)).unwrap()
        }
    })
    .await;
    (upstream, requests)
}

fn retrying(scheme: EndpointScheme, addresses: &[SocketAddr], attempts: u32, on: &[RetryOn]) -> Route {
    let mut route = route(scheme, addresses);
    route.upstream.retry = Retry { attempts, on: on.to_vec(), ..Retry::default() };
    route
}

async fn send(front: &Front, request: Request<AnyBody>) -> Response<Incoming> {
    Client::connect(Http::One, front).await.send(request).await
}

#[tokio::test]
async fn an_idempotent_request_is_tried_again_after_a_bad_answer_and_the_last_answer_passes() {
    for (fails, attempts, status, tries) in [(2, 3, 200, 3), (5, 3, 503, 4), (1, 0, 503, 1)] {
        let (upstream, requests) = failing(503, fails).await;
        let route = retrying(EndpointScheme::Http, &[upstream.address], attempts, &[RetryOn::ServiceUnavailable]);
        let answer = send(&front(Http::One, &route).await, Request::get("/").body(empty()).unwrap()).await;
        assert_eq!((answer.status().as_u16(), header(&answer, "x-attempts")), (status, tries.to_string().as_str()));
        assert_eq!(requests.load(Ordering::SeqCst), tries);
    }
}

#[tokio::test]
async fn another_endpoint_gets_the_next_try() {
    let (bad, requests) = failing(502, 100).await;
    let (good, _) = failing(502, 0).await;
    let route = retrying(EndpointScheme::Http, &[bad.address, good.address], 1, &[RetryOn::BadGateway]);
    let front = front(Http::One, &route).await;
    for _ in 0..4 {
        let answer = send(&front, Request::get("/").body(empty()).unwrap()).await;
        assert_eq!(
            (answer.status().as_u16(), header(&answer, "x-endpoint")),
            (200, &*format!("http://{}", good.address))
        );
    }
    assert_eq!(requests.load(Ordering::SeqCst), 2, "every second request began there");
}

#[tokio::test]
async fn what_must_not_happen_twice_is_sent_once() {
    let (upstream, requests) = failing(503, 100).await;
    let on = [RetryOn::ServiceUnavailable, RetryOn::Reset];
    let front = front(Http::One, &retrying(EndpointScheme::Http, &[upstream.address], 3, &on)).await;
    let post = Request::post("/").body(full("pay")).unwrap();
    assert_eq!(send(&front, post).await.status(), 503);
    let large = Request::put("/").body(full(vec![b'x'; 100 * 1024])).unwrap();
    assert_eq!(send(&front, large).await.status(), 503);
    let other = Request::get("/").body(empty()).unwrap();
    assert_eq!(header(&send(&front, other).await, "x-attempts"), "4");
    assert_eq!(requests.load(Ordering::SeqCst), 6);
}

#[tokio::test]
async fn a_small_body_is_sent_again_whole() {
    let (upstream, _) = failing(503, 2).await;
    let route = retrying(EndpointScheme::Http, &[upstream.address], 2, &[RetryOn::ServiceUnavailable]);
    let front = front(Http::One, &route).await;
    let answer = send(&front, Request::put("/").body(full("the whole text")).unwrap()).await;
    assert_eq!(header(&answer, "x-attempts"), "3");
    assert_eq!(text(answer).await, "the whole text");
}

#[tokio::test]
async fn a_body_that_comes_in_parts_is_sent_again_whole() {
    let (parts, body) = fed();
    let (upstream, _) = failing(503, 1).await;
    let route = retrying(EndpointScheme::Http, &[upstream.address], 2, &[RetryOn::ServiceUnavailable]);
    let front = front(Http::Two, &route).await;
    let client = Client::connect(Http::Two, &front).await;
    for part in ["in ", "parts"] {
        parts.send(data(part)).unwrap();
    }
    drop(parts);
    let answer = client.send(Request::put("/").body(body).unwrap()).await;
    assert_eq!(header(&answer, "x-attempts"), "2");
    assert_eq!(text(answer).await, "in parts");
}

#[tokio::test]
async fn a_connection_that_breaks_off_is_tried_again_elsewhere() {
    let cut = raw_upstream(async |mut tcp| {
        let mut some = [0; 1024];
        let _read = tcp.read(&mut some).await;
    })
    .await;
    let (good, _) = failing(503, 0).await;
    let route = retrying(EndpointScheme::Http, &[cut.address, good.address], 1, &[RetryOn::Reset]);
    let front = front(Http::One, &route).await;
    for _ in 0..4 {
        let answer = send(&front, Request::delete("/").body(full("x")).unwrap()).await;
        assert_eq!((answer.status().as_u16(), text(answer).await.as_str()), (200, "x"));
    }
    let (kind, _) = failure(send(&front, Request::post("/").body(full("x")).unwrap()).await).await;
    assert_eq!(kind, "Protocol", "a POST that may have arrived is not sent twice");
}

#[tokio::test]
async fn a_request_that_a_new_connection_loses_goes_to_another_endpoint_once_by_default() {
    let cut = || {
        raw_upstream(async |mut tcp| {
            let mut some = [0; 1024];
            let _read = tcp.read(&mut some).await;
        })
    };
    let (one, two, (good, _)) = (cut().await, cut().await, failing(503, 0).await);
    let mut route = route(EndpointScheme::Http, &[one.address, good.address]);
    route.upstream.outlier_detection = None;
    let by_default = front(Http::One, &route).await;
    for _ in 0..4 {
        assert_eq!(send(&by_default, Request::get("/").body(empty()).unwrap()).await.status(), 200);
    }
    let post = || Request::post("/").body(empty()).unwrap();
    let statuses = [send(&by_default, post()).await.status(), send(&by_default, post()).await.status()];
    assert!(statuses.contains(&http::StatusCode::BAD_GATEWAY), "what may not happen twice is sent once: {statuses:?}");
    route.upstream.retry.attempts = 0;
    let never = front(Http::One, &route).await;
    let get = || Request::get("/").body(empty()).unwrap();
    let statuses = [send(&never, get()).await.status(), send(&never, get()).await.status()];
    assert!(statuses.contains(&http::StatusCode::BAD_GATEWAY), "{statuses:?}");
    // A request that kills whatever takes it kills two, and not all.
    let all = super::route(EndpointScheme::Http, &[one.address, two.address, cut().await.address]);
    let failed = send(&front(Http::One, &all).await, get()).await;
    assert_eq!(header(&failed, "x-attempts"), "2");
    let (kind, detail) = failure(failed).await;
    assert_eq!(kind, "Protocol", "{detail}");
}

#[tokio::test]
async fn a_try_that_takes_too_long_is_given_up_for_another() {
    let silent = raw_upstream(async |_tcp| std::future::pending().await).await;
    let (good, _) = failing(503, 0).await;
    let mut route = retrying(EndpointScheme::Http, &[silent.address, good.address], 1, &[RetryOn::GatewayTimeout]);
    route.upstream.retry.per_try_timeout = Some(Duration::from_millis(50));
    let answer = send(&front(Http::One, &route).await, Request::get("/").body(empty()).unwrap()).await;
    assert_eq!((answer.status().as_u16(), header(&answer, "x-attempts")), (200, "2"));
}

#[tokio::test]
async fn retries_end_with_their_budget() {
    let (upstream, requests) = failing(503, usize::MAX).await;
    let mut route = retrying(EndpointScheme::Http, &[upstream.address], 1, &[RetryOn::ServiceUnavailable]);
    route.upstream.retry.budget = 0;
    let front = front(Http::One, &route).await;
    for _ in 0..5 {
        assert_eq!(send(&front, Request::get("/").body(empty()).unwrap()).await.status(), 503);
    }
    assert_eq!(requests.load(Ordering::SeqCst), 5);
}

/// An HTTP/2 upstream that refuses its first stream unseen, and answers the others.
async fn refusing() -> Upstream {
    raw_upstream(async |tcp| {
        let mut server = h2::server::handshake(tcp).await.unwrap();
        let mut number = 0;
        while let Some(Ok((request, mut respond))) = server.accept().await {
            number += 1;
            if number == 1 {
                respond.send_reset(h2::Reason::REFUSED_STREAM);
                continue;
            }
            tokio::spawn(async move {
                let mut body = request.into_body();
                let mut got = Vec::new();
                while let Some(Ok(part)) = body.data().await {
                    body.flow_control().release_capacity(part.len()).unwrap();
                    got.extend_from_slice(&part);
                }
                respond.send_response(Response::new(()), false).unwrap().send_data(got.into(), true).unwrap();
            });
        }
    })
    .await
}

#[tokio::test]
async fn a_stream_that_was_refused_unseen_is_sent_again_whatever_its_method() {
    for (on, status) in [(&[RetryOn::RefusedStream][..], 200), (&[RetryOn::Reset], 502)] {
        let upstream = refusing().await;
        let route = retrying(EndpointScheme::H2c, &[upstream.address], 1, on);
        let answer = send(&front(Http::One, &route).await, Request::post("/").body(full("once")).unwrap()).await;
        assert_eq!(answer.status().as_u16(), status);
        if status == 200 {
            assert_eq!(text(answer).await, "once");
        }
    }
}

#[tokio::test]
async fn a_grpc_call_that_was_refused_unseen_is_sent_again_unless_nothing_is() {
    for (attempts, status) in [(1, 200), (0, 502)] {
        let upstream = refusing().await;
        let route = retrying(EndpointScheme::H2c, &[upstream.address], attempts, &[RetryOn::ConnectFailure]);
        let call = Request::post("/s/m").header("content-type", "application/grpc").body(full("once")).unwrap();
        let answer = send(&front(Http::One, &route).await, call).await;
        assert_eq!(answer.status().as_u16(), status);
        if status == 200 {
            assert_eq!(text(answer).await, "once");
        }
    }
}

#[tokio::test]
async fn an_endpoint_that_takes_no_more_calls_for_now_is_not_taken_for_broken() {
    let (one, two) = (refusing().await, refusing().await);
    let mut route = retrying(EndpointScheme::H2c, &[one.address, two.address], 1, &[RetryOn::ConnectFailure]);
    route.upstream.outlier_detection =
        Some(OutlierDetection { consecutive_failures: 1, ..OutlierDetection::default() });
    let cluster = Arc::new(Cluster::build(&route, &Pools::default()).unwrap());
    let front = front_of(Http::One, Arc::clone(&cluster)).await;
    let call = Request::post("/s/m").header("content-type", "application/grpc").body(full("once")).unwrap();
    assert_eq!(send(&front, call).await.status(), 200);
    let endpoints = cluster.view().endpoints;
    assert!(endpoints.iter().all(|endpoint| endpoint.state != crate::EndpointState::Ejected), "{endpoints:?}");
}

/// Serves the number of each request, on one connection after another, until told to restart: then what is in flight is
/// answered, nothing new is accepted for a while, and it goes on at the same address.
async fn restarting(mut restarts: tokio::sync::watch::Receiver<u32>) -> SocketAddr {
    let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = first.local_addr().unwrap();
    tokio::spawn(async move {
        let mut listener = Some(first);
        loop {
            let accepting = match listener.take() {
                Some(listener) => listener,
                None => bind_again(address),
            };
            let mut connections = tokio::task::JoinSet::new();
            loop {
                tokio::select! {
                    accepted = accepting.accept() => {
                        let (mut tcp, _) = accepted.unwrap();
                        connections.spawn(async move {
                            let mut some = [0; 4096];
                            while matches!(tcp.read(&mut some).await, Ok(1..)) {
                                tokio::task::yield_now().await;
                                let _gone = tcp.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
                            }
                        });
                    }
                    changed = restarts.changed() => {
                        if changed.is_err() {
                            return;
                        }
                        break;
                    }
                }
            }
            // As a process that is killed: every connection is cut where it stands.
            drop((accepting, connections));
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    });
    address
}

fn bind_again(address: SocketAddr) -> TcpListener {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    socket.listen(128).unwrap()
}

#[tokio::test]
async fn a_rolling_restart_of_all_endpoints_under_load_loses_no_idempotent_request() {
    let (mut senders, mut addresses) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let (sender, receiver) = tokio::sync::watch::channel(0);
        addresses.push(restarting(receiver).await);
        senders.push(sender);
    }
    let on = [RetryOn::ConnectFailure, RetryOn::Reset];
    let mut route = retrying(EndpointScheme::Http, &addresses, 3, &on);
    route.upstream.retry.budget = 100;
    let front = Arc::new(front(Http::One, &route).await);
    let done = CancellationToken::new();
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let (front, done) = (Arc::clone(&front), done.clone());
            tokio::spawn(async move {
                let client = Client::connect(Http::One, &front).await;
                let mut served = 0;
                while !done.is_cancelled() {
                    let answer = client.get("/").await;
                    let status = answer.status();
                    assert_eq!((status.as_u16(), text(answer).await.as_str()), (200, "ok"));
                    served += 1;
                }
                served
            })
        })
        .collect();
    for round in 1..=4 {
        for sender in &senders {
            sender.send(round).unwrap();
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
    }
    done.cancel();
    for caller in callers {
        assert!(caller.await.unwrap() > 10);
    }
}

#[tokio::test]
async fn what_may_be_retried_is_not_renewed_by_another_configuration() {
    let mut route = retrying(EndpointScheme::Http, &[([127, 0, 0, 1], 1).into()], 2, &[RetryOn::Reset]);
    let pools = Pools::default();
    let before = Cluster::build(&route, &pools).unwrap();
    while before.take_retry() {}
    let next = Cluster::build(&route, &pools).unwrap().after(&before);
    assert!(!next.take_retry(), "a reload would let an upstream that fails be buried");
    route.upstream.retry.budget += 1;
    assert!(Cluster::build(&route, &pools).unwrap().after(&next).take_retry());
}
