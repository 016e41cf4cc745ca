//! Which waits have a limit, and which have none: hours pass at once.

use http::HeaderMap;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;

use super::*;

/// Lets time pass.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// Lets every part take notice of what has come.
async fn turns() {
    for _ in 0..2000 {
        tokio::task::yield_now().await;
    }
}

fn trailers() -> Frame<Bytes> {
    Frame::trailers(HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static("0"))]))
}

/// Answers when told to, with a body that is fed by the test.
async fn patient(
    http: Http,
    content_type: &'static str,
    go: &Arc<Notify>,
) -> (Upstream, mpsc::UnboundedReceiver<mpsc::UnboundedSender<Frame<Bytes>>>) {
    let (tell, told) = mpsc::unbounded_channel();
    let go = Arc::clone(go);
    let upstream = upstream(http, move |_| {
        let (tell, go) = (tell.clone(), Arc::clone(&go));
        async move {
            let (feed, body) = fed();
            tell.send(feed).unwrap();
            go.notified().await;
            Response::builder().header("content-type", content_type).body(body).unwrap()
        }
    })
    .await;
    (upstream, told)
}

#[tokio::test]
async fn grpc_waits_for_headers_and_messages_as_long_as_its_own_deadline() {
    let go = Arc::new(Notify::new());
    let (upstream, mut told) = patient(Http::Two, "application/grpc", &go).await;
    let front = front(Http::Two, &route(EndpointScheme::H2c, &[upstream.address])).await;
    let client = Client::connect(Http::Two, &front).await;
    let call = Request::post("/s/m").header("content-type", "application/grpc").body(full("x")).unwrap();
    let calling = tokio::spawn(async move { client.send(call).await });
    let feed = told.recv().await.unwrap();
    turns().await;
    pass(HOURS).await;
    turns().await;
    go.notify_one();
    let response = calling.await.unwrap();
    turns().await;
    pass(HOURS).await;
    turns().await;
    feed.send(trailers()).unwrap();
    drop(feed);
    assert_eq!(response.into_body().collect().await.unwrap().trailers().unwrap()["grpc-status"], "0");
}

#[tokio::test]
async fn other_headers_are_awaited_for_a_minute() {
    let go = Arc::new(Notify::new());
    let (upstream, mut told) = patient(Http::One, "text/plain", &go).await;
    let front = front(Http::One, &route(EndpointScheme::Http, &[upstream.address])).await;
    let client = Client::connect(Http::One, &front).await;
    let asking = tokio::spawn(async move { client.get("/").await });
    let _feed = told.recv().await.unwrap();
    turns().await;
    pass(Duration::from_secs(59)).await;
    turns().await;
    assert!(!asking.is_finished());
    pass(Duration::from_secs(2)).await;
    let (kind, detail) = failure(asking.await.unwrap()).await;
    assert_eq!((kind.as_str(), detail.as_str()), ("Timeout", "no response headers within 60s"));
}

#[tokio::test]
async fn events_may_be_rare_and_other_bodies_must_move() {
    for (content_type, is_patient) in [("text/event-stream; charset=utf-8", true), ("text/plain", false)] {
        let go = Arc::new(Notify::new());
        go.notify_one();
        let (upstream, mut told) = patient(Http::One, content_type, &go).await;
        let front = front(Http::Two, &route(EndpointScheme::Http, &[upstream.address])).await;
        let response = Client::connect(Http::Two, &front).await.get("/").await;
        let feed = told.recv().await.unwrap();
        turns().await;
        pass(HOURS).await;
        turns().await;
        let _gone = feed.send(data("late"));
        drop(feed);
        let body = response.into_body().collect().await;
        assert_eq!(body.ok().map(|body| body.to_bytes()), is_patient.then(|| "late".into()), "{content_type}");
    }
}

#[tokio::test]
async fn a_client_that_takes_nothing_for_hours_is_no_silence_of_the_upstream() {
    // More than is taken of a client that does not read: nobody waits for the upstream then.
    const MUCH: usize = WINDOW + 16 * 1024;
    let go = Arc::new(Notify::new());
    go.notify_one();
    let (upstream, mut told) = patient(Http::One, "text/plain", &go).await;
    let front = front(Http::Two, &route(EndpointScheme::Http, &[upstream.address])).await;
    let response = Client::connect(Http::Two, &front).await.get("/").await;
    let feed = told.recv().await.unwrap();
    feed.send(data(vec![b'0'; MUCH])).unwrap();
    for _ in 0..10 {
        turns().await;
    }
    pass(HOURS).await;
    turns().await;
    let mut body = response.into_body();
    let mut read = 0;
    while read < MUCH {
        read += body.frame().await.unwrap().unwrap().into_data().unwrap().len();
    }
    turns().await;
    feed.send(data("late")).unwrap();
    drop(feed);
    assert_eq!(body.collect().await.unwrap().to_bytes(), "late");
}

#[tokio::test]
async fn a_body_that_moves_is_never_cut_however_long_it_takes() {
    let upstream = upstream(Http::One, |request: Request<Incoming>| async {
        Response::new(request.into_body().map_err(broken).boxed_unsync())
    })
    .await;
    let front = front(Http::Two, &route(EndpointScheme::Http, &[upstream.address])).await;
    let (feed, body) = fed();
    let client = Client::connect(Http::Two, &front).await;
    feed.send(data("0")).unwrap();
    let mut back = client.send(Request::post("/").body(body).unwrap()).await.into_body();
    let day = 24 * 60 / 4;
    for _ in 0..day {
        assert_eq!(back.frame().await.unwrap().unwrap().into_data().unwrap(), "0");
        pass(Duration::from_secs(4 * 60)).await;
        feed.send(data("0")).unwrap();
    }
    drop(feed);
    assert_eq!(back.collect().await.unwrap().to_bytes(), "0");
}

#[tokio::test]
async fn a_websocket_may_be_silent() {
    let upstream = raw_upstream(super::websocket::agree).await;
    let front = front(Http::One, &route(EndpointScheme::Http, &[upstream.address])).await;
    let response = Client::connect(Http::One, &front).await.send(super::websocket::opening()).await;
    let mut tunnel = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    tunnel.read_exact(&mut [0; 5]).await.unwrap();
    turns().await;
    pass(HOURS).await;
    turns().await;
    tunnel.write_all(b"ping").await.unwrap();
    let mut echo = [0; 4];
    tunnel.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"ping");
}

/// Longer than any limit that a route has by default.
const HOURS: Duration = Duration::from_secs(12 * 60 * 60);

#[tokio::test]
async fn an_upstream_that_answers_early_and_takes_no_more_is_left_after_a_while() {
    const LARGE: usize = 64 * 1024 * 1024;
    let go = Arc::new(Notify::new());
    let (tell, mut told) = mpsc::unbounded_channel();
    let wait = Arc::clone(&go);
    let upstream = raw_upstream(move |mut tcp| {
        let (tell, wait) = (tell.clone(), Arc::clone(&wait));
        async move {
            assert!(tcp.read(&mut [0; 1024]).await.unwrap() > 0);
            tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
            wait.notified().await;
            let mut read = 0;
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(more @ 1..) = tcp.read(&mut buffer).await {
                read += more;
            }
            tell.send(read).unwrap();
        }
    })
    .await;
    let front = front(Http::Two, &route(EndpointScheme::Http, &[upstream.address])).await;
    let client = Client::connect(Http::Two, &front).await;
    let (feed, body) = fed();
    for _ in 0..64 {
        feed.send(Frame::data(Bytes::from(vec![0; LARGE / 64]))).unwrap();
    }
    drop(feed);
    assert_eq!(text(client.send(Request::post("/").body(body).unwrap()).await).await, "ok");
    // In the first while it may have taken something.
    for _ in 0..2 {
        turns().await;
        pass(Duration::from_secs(301)).await;
    }
    turns().await;
    go.notify_one();
    assert!(told.recv().await.unwrap() < LARGE);
}

#[tokio::test]
async fn an_http2_upstream_that_answers_early_and_takes_no_more_is_left_after_a_while() {
    let (hold, mut held) = mpsc::unbounded_channel();
    let upstream = upstream(Http::Two, move |request| {
        hold.send(request.into_body()).unwrap();
        async { Response::new(full("ok")) }
    })
    .await;
    let front = front(Http::Two, &route(EndpointScheme::H2c, &[upstream.address])).await;
    let client = Client::connect(Http::Two, &front).await;
    // More than the upstream takes without reading.
    let request = Request::post("/").body(full(vec![0; 1024 * 1024])).unwrap();
    assert_eq!(text(client.send(request).await).await, "ok");
    // In the first while it may have taken something.
    for _ in 0..2 {
        turns().await;
        pass(Duration::from_secs(301)).await;
    }
    turns().await;
    assert!(held.recv().await.unwrap().collect().await.is_err());
}

#[tokio::test]
async fn a_body_that_waits_to_be_asked_for_goes_over_http2_at_once() {
    let upstream = upstream(Http::Two, |request: Request<Incoming>| async move {
        Response::new(full(request.into_body().collect().await.unwrap().to_bytes()))
    })
    .await;
    let front = front(Http::One, &route(EndpointScheme::H2c, &[upstream.address])).await;
    let client = Client::connect(Http::One, &front).await;
    assert_eq!(text(client.get("/").await).await, "");
    // From here on, no time passes.
    tokio::time::pause();
    let request = Request::post("/").header("expect", "100-continue").body(full("hello")).unwrap();
    let answer = tokio::spawn(async move { text(client.send(request).await).await });
    for _ in 0..50 {
        turns().await;
        if answer.is_finished() {
            break;
        }
    }
    assert!(answer.is_finished(), "it waits");
    assert_eq!(answer.await.unwrap(), "hello");
}
