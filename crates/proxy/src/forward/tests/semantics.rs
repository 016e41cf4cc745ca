//! Methods, bodies, headers and time limits.

use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

async fn echo(request: Request<Incoming>) -> Response<AnyBody> {
    let mut response = Response::builder();
    for (name, value) in request.headers() {
        response = response.header(format!("got-{name}"), value);
    }
    response
        .header("got-method", request.method().as_str())
        .header("got-uri", request.uri().to_string())
        .header("got-end", request.body().is_end_stream().to_string())
        .body(request.into_body().map_err(broken).boxed_unsync())
        .unwrap()
}

#[tokio::test]
async fn a_request_goes_out_in_origin_form_with_the_endpoints_host_over_http1() {
    let upstream = upstream(Http::One, echo).await;
    for http in [Http::One, Http::Two] {
        let front = front(http, &route(EndpointScheme::Http, &[upstream.address])).await;
        let response = Client::connect(http, &front).await.get("/a/b?c=d").await;
        assert_eq!(header(&response, "got-uri"), "/a/b?c=d");
        assert_eq!(header(&response, "got-host"), upstream.address.to_string());
        assert_eq!(header(&response, "got-end"), "true");
        assert_eq!(header(&response, "got-transfer-encoding"), "");
        assert_eq!(header(&response, "got-content-length"), "");
        assert_eq!(header(&response, "x-protocol"), "http/1.1");
        assert_eq!(header(&response, "x-reason"), "configured");
        assert_eq!(header(&response, "x-endpoint"), format!("http://{}", upstream.address));
    }
}

#[tokio::test]
async fn a_request_goes_out_with_scheme_and_authority_over_http2() {
    let upstream = upstream(Http::Two, echo).await;
    for http in [Http::One, Http::Two] {
        let front = front(http, &route(EndpointScheme::H2c, &[upstream.address])).await;
        let response = Client::connect(http, &front).await.get("/a/b?c=d").await;
        assert_eq!(header(&response, "got-uri"), format!("http://{}/a/b?c=d", upstream.address));
        assert_eq!(header(&response, "got-host"), "");
        assert_eq!(header(&response, "x-protocol"), "h2c");
    }
}

#[tokio::test]
async fn the_host_is_rewritten_or_preserved_as_the_route_says() {
    let (one, two) = (upstream(Http::One, echo).await, upstream(Http::Two, echo).await);
    for (host_header, expected) in
        [(HostHeader::Preserve, "app.example.com"), (HostHeader::Rewrite("inner.test:81".to_owned()), "inner.test:81")]
    {
        let mut to_one = route(EndpointScheme::Http, &[one.address]);
        to_one.host_header = host_header.clone();
        let front_one = front(Http::One, &to_one).await;
        let response = Client::connect(Http::One, &front_one).await.get("/").await;
        assert_eq!(header(&response, "got-host"), expected);
        let mut to_two = route(EndpointScheme::H2c, &[two.address]);
        to_two.host_header = host_header;
        let front_two = front(Http::One, &to_two).await;
        let response = Client::connect(Http::One, &front_two).await.get("/").await;
        assert_eq!(header(&response, "got-uri"), format!("http://{expected}/"));
    }
}

#[tokio::test]
async fn a_known_length_stays_known_and_an_unknown_one_is_chunked() {
    let upstream = upstream(Http::One, echo).await;
    let front = front(Http::One, &route(EndpointScheme::Http, &[upstream.address])).await;
    let client = Client::connect(Http::One, &front).await;
    let response = client.send(Request::post("/").body(full("hello")).unwrap()).await;
    assert_eq!(header(&response, "got-content-length"), "5");
    assert_eq!(header(&response, "got-transfer-encoding"), "");
    assert_eq!(text(response).await, "hello");
    let (feed, body) = fed();
    feed.send(data("hel")).unwrap();
    feed.send(data("lo")).unwrap();
    drop(feed);
    let response = client.send(Request::post("/").body(body).unwrap()).await;
    assert_eq!(header(&response, "got-content-length"), "");
    assert_eq!(header(&response, "got-transfer-encoding"), "chunked");
    assert_eq!(text(response).await, "hello");
}

#[tokio::test]
async fn bodies_stream_in_both_directions_at_once() {
    for (http, scheme) in
        [(Http::One, EndpointScheme::Http), (Http::Two, EndpointScheme::H2c), (Http::Two, EndpointScheme::Http)]
    {
        let spoken = if scheme == EndpointScheme::H2c { Http::Two } else { Http::One };
        let upstream = upstream(spoken, echo).await;
        let front = front(http, &route(scheme, &[upstream.address])).await;
        let (feed, body) = fed();
        feed.send(data("first")).unwrap();
        let response = Client::connect(http, &front).await.send(Request::post("/").body(body).unwrap()).await;
        let mut back = response.into_body();
        assert_eq!(back.frame().await.unwrap().unwrap().into_data().unwrap(), "first");
        feed.send(data("second")).unwrap();
        assert_eq!(back.frame().await.unwrap().unwrap().into_data().unwrap(), "second");
        drop(feed);
        assert!(back.collect().await.unwrap().to_bytes().is_empty());
    }
}

#[tokio::test]
async fn head_204_and_304_have_no_body_and_keep_their_headers() {
    for (spoken, scheme) in [(Http::One, EndpointScheme::Http), (Http::Two, EndpointScheme::H2c)] {
        let upstream = upstream(spoken, |request: Request<Incoming>| async move {
            let status: u16 = request.uri().path().trim_start_matches('/').parse().unwrap();
            let response = Response::builder().status(status);
            if request.method() == "HEAD" {
                response.header("content-length", "1234").body(empty()).unwrap()
            } else {
                response.header("etag", "\"x\"").body(empty()).unwrap()
            }
        })
        .await;
        let front = front(Http::One, &route(scheme, &[upstream.address])).await;
        let client = Client::connect(Http::One, &front).await;
        let response = client.send(Request::head("/200").body(empty()).unwrap()).await;
        assert_eq!(header(&response, "content-length"), "1234");
        assert_eq!(text(response).await, "");
        for status in [204, 304] {
            let response = client.get(&format!("/{status}")).await;
            assert_eq!(response.status().as_u16(), status);
            assert_eq!(header(&response, "etag"), "\"x\"");
            assert_eq!(header(&response, "content-length"), "");
            assert_eq!(text(response).await, "");
        }
    }
}

#[tokio::test]
async fn hop_by_hop_headers_of_a_response_stay_here() {
    let upstream = raw_upstream(|mut tcp| async move {
        let mut head = [0; 4096];
        let _read = tcp.read(&mut head).await;
        tcp.write_all(
            b"HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Private\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\n\
              Proxy-Connection: keep-alive\r\nUpgrade: h2c\r\nTE: x\r\nX-Public: 2\r\nContent-Length: 2\r\n\r\nok",
        )
        .await
        .unwrap();
        let _end = tcp.read(&mut head).await;
    })
    .await;
    let front = front(Http::Two, &route(EndpointScheme::Http, &[upstream.address])).await;
    let response = Client::connect(Http::Two, &front).await.get("/").await;
    for gone in ["connection", "x-private", "keep-alive", "proxy-connection", "te", "upgrade"] {
        assert_eq!(header(&response, gone), "", "{gone}");
    }
    assert_eq!(header(&response, "x-public"), "2");
    assert_eq!(text(response).await, "ok");
}

#[tokio::test]
async fn a_body_waits_for_the_upstream_to_ask_for_it() {
    let upstream = raw_upstream(|mut tcp| async move {
        let mut head = [0; 4096];
        let read = tcp.read(&mut head).await.unwrap();
        let head = String::from_utf8_lossy(&head[..read]).into_owned();
        assert!(head.ends_with("\r\n\r\n"), "nothing but the head comes unasked: {head}");
        assert!(head.contains("expect: 100-continue"));
        if head.starts_with("POST /no") {
            tcp.write_all(b"HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        } else {
            tcp.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
            let mut body = [0; 5];
            tcp.read_exact(&mut body).await.unwrap();
            assert_eq!(&body, b"hello");
            tcp.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        }
        let _end = tcp.read(&mut [0; 16]).await;
    })
    .await;
    let front = front(Http::One, &route(EndpointScheme::Http, &[upstream.address])).await;
    for (path, expected) in [("/yes", "HTTP/1.1 200"), ("/no", "HTTP/1.1 417")] {
        let mut tcp = TcpStream::connect(front.address).await.unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
        tcp.write_all(head.as_bytes()).await.unwrap();
        let mut answer = vec![0; 4096];
        let mut read = tcp.read(&mut answer).await.unwrap();
        let first = String::from_utf8_lossy(&answer[..read]).into_owned();
        if first.starts_with("HTTP/1.1 100") {
            tcp.write_all(b"hello").await.unwrap();
            read = tcp.read(&mut answer).await.unwrap();
        }
        let last = String::from_utf8_lossy(&answer[..read]).into_owned();
        assert!(last.starts_with(expected), "{first}{last}");
    }
}

#[tokio::test]
async fn the_headers_limit_counts_from_the_end_of_the_request() {
    let upstream = upstream(Http::One, |request: Request<Incoming>| async move {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Response::new(full(body))
    })
    .await;
    let mut limited = route(EndpointScheme::Http, &[upstream.address]);
    limited.timeouts.response_headers = Some(Duration::from_millis(1));
    limited.timeouts.idle = None;
    let front = front(Http::One, &limited).await;
    let client = Client::connect(Http::One, &front).await;
    let (feed, body) = fed();
    let sending = tokio::spawn(async move { client.send(Request::post("/").body(body).unwrap()).await });
    // The request goes on for longer than the limit.
    tokio::time::timeout(Duration::from_millis(30), std::future::pending::<()>()).await.unwrap_err();
    assert!(!sending.is_finished());
    drop(feed);
    sending.await.unwrap();
}

#[tokio::test]
async fn the_total_limit_ends_a_body_that_still_moves() {
    let upstream = upstream(Http::One, |_| async {
        let (feed, body) = fed();
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(Duration::from_millis(2));
            while feed.send(data("x")).is_ok() {
                tick.tick().await;
            }
        });
        Response::new(body)
    })
    .await;
    let mut limited = route(EndpointScheme::Http, &[upstream.address]);
    limited.timeouts.total = Some(Duration::from_millis(50));
    let front = front(Http::Two, &limited).await;
    let response = Client::connect(Http::Two, &front).await.get("/").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.into_body().collect().await.is_err());
}

#[tokio::test]
async fn a_client_that_goes_away_takes_its_request_along() {
    for (spoken, scheme) in [(Http::One, EndpointScheme::Http), (Http::Two, EndpointScheme::H2c)] {
        let (told, mut gone) = mpsc::unbounded_channel();
        let upstream = upstream(spoken, move |mut request: Request<Incoming>| {
            let told = told.clone();
            async move {
                assert!(request.body_mut().frame().await.unwrap().is_ok());
                told.send("came").unwrap();
                while let Some(Ok(_)) = request.body_mut().frame().await {}
                told.send("gone").unwrap();
                Response::new(empty())
            }
        })
        .await;
        let front = front(Http::Two, &route(scheme, &[upstream.address])).await;
        let client = Client::connect(Http::Two, &front).await;
        let (feed, body) = fed();
        feed.send(data("x")).unwrap();
        let sending = tokio::spawn(async move { client.try_send(Request::post("/").body(body).unwrap()).await });
        assert_eq!(gone.recv().await, Some("came"));
        sending.abort();
        assert_eq!(gone.recv().await, Some("gone"));
        drop(feed);
    }
}
