//! What gRPC needs: trailers, trailers-only answers, cancellation, and connections that outlive a stalled stream.

use http::{HeaderMap, HeaderName};

use super::*;

fn call(path: &str, body: AnyBody) -> Request<AnyBody> {
    Request::post(path).header("content-type", "application/grpc").header("te", "trailers").body(body).unwrap()
}

fn trailers(status: &'static str) -> Frame<Bytes> {
    let mut trailers = HeaderMap::new();
    trailers.insert(HeaderName::from_static("grpc-status"), HeaderValue::from_static(status));
    Frame::trailers(trailers)
}

#[tokio::test]
async fn trailers_metadata_and_te_pass_in_both_directions() {
    let upstream = upstream(Http::Two, |request: Request<Incoming>| async move {
        assert_eq!(request.headers()["te"], "trailers");
        assert_eq!(request.headers()["grpc-timeout"], "1S");
        let sent = request.into_body().collect().await.unwrap();
        assert_eq!(sent.trailers().unwrap()["grpc-status"], "1");
        let (feed, body) = fed();
        feed.send(data("answer")).unwrap();
        feed.send(trailers("0")).unwrap();
        Response::new(body)
    })
    .await;
    let front = front(Http::Two, &route(EndpointScheme::H2c, &[upstream.address])).await;
    let (feed, body) = fed();
    feed.send(data("question")).unwrap();
    feed.send(trailers("1")).unwrap();
    drop(feed);
    let mut request = call("/s/m", body);
    request.headers_mut().insert("grpc-timeout", HeaderValue::from_static("1S"));
    let got = Client::connect(Http::Two, &front).await.send(request).await.into_body().collect().await.unwrap();
    assert_eq!(got.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(got.to_bytes(), "answer");
}

#[tokio::test]
async fn a_trailers_only_answer_stays_one() {
    let upstream = upstream(Http::Two, |_| async {
        Response::builder().header("content-type", "application/grpc").header("grpc-status", "5").body(empty()).unwrap()
    })
    .await;
    let front = front(Http::Two, &route(EndpointScheme::H2c, &[upstream.address])).await;
    let response = Client::connect(Http::Two, &front).await.send(call("/s/m", full("x"))).await;
    assert_eq!(header(&response, "grpc-status"), "5");
    assert!(response.body().is_end_stream());
}

#[tokio::test]
async fn dropping_the_response_ends_the_upstreams_stream_though_the_request_goes_on() {
    let (told, mut gone) = mpsc::unbounded_channel();
    let upstream = upstream(Http::Two, move |request: Request<Incoming>| {
        let told = told.clone();
        async move {
            let (feed, body) = fed();
            feed.send(data("x")).unwrap();
            tokio::spawn(async move {
                let mut sent = request.into_body();
                while let Some(Ok(_)) = sent.frame().await {}
                told.send(()).unwrap();
                drop(feed);
            });
            Response::new(body)
        }
    })
    .await;
    let front = front(Http::Two, &route(EndpointScheme::H2c, &[upstream.address])).await;
    let (feed, body) = fed();
    feed.send(data("x")).unwrap();
    let response = Client::connect(Http::Two, &front).await.send(call("/given-up", body)).await;
    assert_eq!(response.status(), 204);
    gone.recv().await.unwrap();
    drop(feed);
}

#[tokio::test]
async fn a_stalled_stream_of_small_messages_does_not_end_the_streams_beside_it() {
    let upstream = upstream(Http::Two, |request: Request<Incoming>| async move {
        if request.uri().path() != "/flood" {
            return Response::new(full("ok"));
        }
        let (feed, body) = fed();
        for _ in 0..50_000 {
            feed.send(data(&b"0123456789"[..])).unwrap();
        }
        feed.send(trailers("0")).unwrap();
        Response::new(body)
    })
    .await;
    let front = front(Http::Two, &route(EndpointScheme::H2c, &[upstream.address])).await;
    let stalled = Client::connect(Http::Two, &front).await.send(call("/flood", full("x"))).await;
    let client = Client::connect(Http::Two, &front).await;
    for _ in 0..200 {
        assert_eq!(text(client.send(call("/s/m", full("x"))).await).await, "ok");
    }
    assert_eq!(upstream.connections(), 1);
    let flood = stalled.into_body().collect().await.unwrap();
    assert_eq!(flood.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(flood.to_bytes().len(), 500_000);
    assert_eq!(upstream.connections(), 1);
}
