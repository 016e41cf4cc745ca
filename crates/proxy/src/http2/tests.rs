//! Streams as clients make them, against a whole proxy.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use crate::test_support::{Proxy, Setup, echo, route};
use crate::{EndpointScheme, WebSockets};

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(300);
const ENDLESS: &str = "HTTP/1.1 200 OK\r\n\r\n";

/// What an upstream was sent before it saw the end of the connection.
type Ended = UnboundedReceiver<String>;

/// Starts an upstream of HTTP/1.1 that answers each head with `answer`, then sends what `fills` says for as long as it is
/// taken, and tells all that it was sent once the connection has ended.
async fn upstream(answer: &'static str, fills: bool) -> (SocketAddr, Ended) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let tell = tell.clone();
            tokio::spawn(async move {
                let mut read = Vec::new();
                while !read.windows(4).any(|end| end == b"\r\n\r\n") {
                    stream.read_buf(&mut read).await.unwrap();
                }
                stream.write_all(answer.as_bytes()).await.unwrap();
                while fills && stream.write_all(&[b'x'; 1024]).await.is_ok() {}
                // A connection that is cut has ended as well.
                let _ = stream.read_to_end(&mut read).await;
                let _ = tell.send(String::from_utf8(read).unwrap());
            });
        }
    });
    (address, told)
}

/// Starts an upstream of HTTP/2 that answers each request with `answer`.
async fn upstream2<F, R>(answer: F) -> SocketAddr
where
    F: Fn(Request<RecvStream>, SendResponse<Bytes>) -> R + Clone + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((request, respond))) = connection.accept().await {
                    tokio::spawn(answer(request, respond));
                }
            });
        }
    });
    address
}

/// Starts a proxy of one route, `a.test`.
fn proxy(upstream: SocketAddr, scheme: EndpointScheme) -> Proxy {
    let mut app = route("a.test", upstream);
    app.to[0].scheme = scheme;
    app.websockets = WebSockets::Any;
    let mut setup = Setup::cleartext().route(app, "true");
    setup.listener.limits.idle_timeout = SHORT;
    setup.start()
}

async fn client(proxy: &Proxy) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let (requests, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    requests.ready().await.unwrap()
}

fn request(method: Method) -> Request<()> {
    Request::builder().method(method).uri("http://a.test/").body(()).unwrap()
}

/// Waits for what comes before a response.
async fn before(response: &mut ResponseFuture) -> Option<Response<()>> {
    let said = poll_fn(|cx| response.poll_informational(cx));
    timeout(LONG, said).await.unwrap().map(Result::unwrap)
}

fn hint(respond: &mut SendResponse<Bytes>) {
    let hint = Response::builder().status(103).header("link", "</a.css>").header("set-cookie", "a=b");
    respond.send_informational(hint.body(()).unwrap()).unwrap();
}

const HINTED: &str = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\nset-cookie: a=b\r\nkeep-alive: x\r\n\r\n\
                      HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn hints_of_either_protocol_pass_to_clients_of_either() {
    let one = upstream(HINTED, false).await.0;
    let two = upstream2(|_, mut respond| async move {
        hint(&mut respond);
        let response = Response::builder().header("content-length", "2").body(()).unwrap();
        respond.send_response(response, false).unwrap().send_data("ok".into(), true).unwrap();
    })
    .await;
    for (address, scheme) in [(one, EndpointScheme::Http), (two, EndpointScheme::H2c)] {
        let proxy = proxy(address, scheme);
        let (mut response, _) = client(&proxy).await.send_request(request(Method::GET), true).unwrap();
        let said = before(&mut response).await.expect("a hint");
        assert_eq!((said.status(), &said.headers()["link"]), (StatusCode::EARLY_HINTS, &"</a.css>".parse().unwrap()));
        assert_eq!(said.headers().len(), 1, "{said:?}");
        assert!(before(&mut response).await.is_none());
        assert_eq!(response.await.unwrap().status(), 200);
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\n"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_hint_passes_before_the_answer_is_there() {
    let two = upstream2(|_, mut respond| async move {
        hint(&mut respond);
        std::future::pending::<()>().await;
    })
    .await;
    let proxy = proxy(two, EndpointScheme::H2c);
    let (mut response, _) = client(&proxy).await.send_request(request(Method::GET), true).unwrap();
    assert_eq!(before(&mut response).await.unwrap().status(), StatusCode::EARLY_HINTS);
}

#[tokio::test]
async fn a_client_that_waits_with_its_body_is_asked_for_it() {
    let two = upstream2(|request, mut respond| async move {
        let go_on = Response::builder().status(100).body(()).unwrap();
        respond.send_informational(go_on).unwrap();
        let mut body = request.into_body();
        assert_eq!(body.data().await.unwrap().unwrap(), "ok");
        respond.send_response(Response::new(()), true).unwrap();
    })
    .await;
    for (address, scheme) in [(echo().await, EndpointScheme::Http), (two, EndpointScheme::H2c)] {
        let proxy = proxy(address, scheme);
        let mut post = request(Method::POST);
        post.headers_mut().insert("expect", "100-continue".parse().unwrap());
        let (mut response, mut body) = client(&proxy).await.send_request(post, false).unwrap();
        assert_eq!(before(&mut response).await.expect("a question").status(), StatusCode::CONTINUE);
        body.send_data("ok".into(), true).unwrap();
        assert_eq!(response.await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn a_get_whose_body_turns_out_to_be_empty_has_none() {
    let proxy = proxy(echo().await, EndpointScheme::Http);
    for (parts, expected) in [(&[""][..], ""), (&["", "he", "", "llo", ""], "hello")] {
        let (response, mut body) = client(&proxy).await.send_request(request(Method::GET), false).unwrap();
        for (number, part) in parts.iter().enumerate() {
            body.send_data((*part).into(), number + 1 == parts.len()).unwrap();
        }
        let seen = response.await.unwrap().into_body().data().await.unwrap().unwrap();
        let seen: serde_json::Value = serde_json::from_slice(&seen).unwrap();
        let is_chunked = seen["headers"].to_string().contains("transfer-encoding");
        assert_eq!((&seen["body"], is_chunked), (&expected.into(), !expected.is_empty()), "{seen}");
    }
}

#[tokio::test]
async fn a_length_that_is_said_twice_is_passed_on_once_and_none_that_disagree() {
    let counted = upstream2(|request, mut respond| async move {
        let lengths = request.headers().get_all("content-length").iter().count();
        let answer = Response::builder().header("lengths", lengths).body(()).unwrap();
        respond.send_response(answer, true).unwrap();
    })
    .await;
    let proxy = proxy(counted, EndpointScheme::H2c);
    for (lengths, passed_on) in [(["2", "2"], true), (["2", "3"], false)] {
        let mut request = request(Method::POST);
        for length in lengths {
            request.headers_mut().append("content-length", length.parse().unwrap());
        }
        let (response, mut body) = client(&proxy).await.send_request(request, false).unwrap();
        body.send_data("ok".into(), true).unwrap();
        let seen = response.await.ok().and_then(|answer| answer.headers().get("lengths").cloned());
        assert_eq!(seen.map(|seen| seen == "1"), passed_on.then_some(true), "{lengths:?}");
    }
}

#[tokio::test]
async fn a_request_that_is_taken_back_never_looks_whole() {
    for reason in [Reason::CANCEL, Reason::NO_ERROR, Reason::INTERNAL_ERROR] {
        let (address, mut ended) = upstream("HTTP/1.1 103 Early Hints\r\n\r\n", false).await;
        let proxy = proxy(address, EndpointScheme::Http);
        let (mut response, mut body) = client(&proxy).await.send_request(request(Method::POST), false).unwrap();
        body.send_data("half".into(), false).unwrap();
        before(&mut response).await.expect("the upstream reads the request");
        body.send_reset(reason);
        let seen = timeout(LONG, ended.recv()).await.unwrap().unwrap();
        assert!(seen.contains("transfer-encoding: chunked") && !seen.ends_with("0\r\n\r\n"), "{reason:?}: {seen}");
    }
}

#[tokio::test]
async fn a_response_that_its_upstream_takes_back_never_looks_whole() {
    let address = upstream2(|_, mut respond| async move {
        let mut body = respond.send_response(Response::new(()), false).unwrap();
        body.send_data("half".into(), false).unwrap();
        tokio::time::sleep(SHORT / 3).await;
        body.send_reset(Reason::CANCEL);
    })
    .await;
    let proxy = proxy(address, EndpointScheme::H2c);
    let (response, _) = client(&proxy).await.send_request(request(Method::GET), true).unwrap();
    let mut body = response.await.unwrap().into_body();
    assert_eq!(body.data().await.unwrap().unwrap(), "half");
    let error = body.data().await.expect("a reset").unwrap_err();
    assert_eq!(error.reason(), Some(Reason::CANCEL));
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("4\r\nhalf\r\n"), "{answer}");
    let records = proxy.stop().await;
    assert!(records.iter().all(|record| record["error"].as_str().unwrap().contains("http2 error")), "{records:#?}");
}

#[tokio::test]
async fn a_response_before_which_the_rest_of_the_request_is_refused_is_whole() {
    let address = upstream2(|_, mut respond| async move {
        let mut body = respond.send_response(Response::builder().status(413).body(()).unwrap(), false).unwrap();
        // The request's body is dropped: h2 resets the stream with `NO_ERROR` behind the response.
        body.send_data("too much".into(), true).unwrap();
    })
    .await;
    let proxy = proxy(address, EndpointScheme::H2c);
    let (response, _body) = client(&proxy).await.send_request(request(Method::POST), false).unwrap();
    let response = timeout(LONG, response).await.unwrap().unwrap();
    assert_eq!(response.status(), 413);
    let mut body = response.into_body();
    assert_eq!(body.data().await.unwrap().unwrap(), "too much");
    assert!(body.data().await.is_none_or(|error| error.unwrap_err().reason() == Some(Reason::NO_ERROR)));
}

#[tokio::test]
async fn a_response_that_its_upstream_resets_without_an_error_is_whole_only_where_it_had_ended() {
    for ends in [true, false] {
        let address = upstream2(move |_, mut respond| async move {
            let mut body = respond.send_response(Response::new(()), false).unwrap();
            body.send_data("half".into(), false).unwrap();
            if ends {
                // The request's body is dropped with it: the reset follows.
                body.send_data("half".into(), true).unwrap();
            } else {
                tokio::time::sleep(SHORT / 3).await;
                body.send_reset(Reason::NO_ERROR);
            }
        })
        .await;
        let proxy = proxy(address, EndpointScheme::H2c);
        for method in [Method::GET, Method::POST] {
            let is_post = method == Method::POST;
            let (response, _upload) = client(&proxy).await.send_request(request(method), !is_post).unwrap();
            let mut body = response.await.unwrap().into_body();
            let mut read = String::new();
            let end = loop {
                match body.data().await {
                    Some(Ok(data)) => read += std::str::from_utf8(&data).unwrap(),
                    end => break end,
                }
            };
            assert_eq!(read, if ends { "halfhalf" } else { "half" });
            let reason = end.map(|end| end.unwrap_err().reason().unwrap());
            assert_eq!(reason, (!ends).then_some(Reason::INTERNAL_ERROR), "{is_post}");
        }
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer.ends_with("0\r\n\r\n"), ends, "{answer}");
    }
}

#[tokio::test]
async fn what_comes_behind_a_status_without_content_is_none() {
    for (status, content) in [(204, ""), (304, ""), (204, "smuggled"), (304, "smuggled")] {
        let address = upstream2(move |_, mut respond| async move {
            let answer = Response::builder().status(status).header("etag", "a").body(()).unwrap();
            respond.send_response(answer, false).unwrap().send_data(content.into(), true).unwrap();
        })
        .await;
        let proxy = proxy(address, EndpointScheme::H2c);
        let (response, _) = client(&proxy).await.send_request(request(Method::GET), true).unwrap();
        // Where it breaks off at once, the head may not have been sent yet.
        let whole = async {
            let response = response.await?;
            assert_eq!((response.status().as_u16(), &response.headers()["etag"]), (status, &"a".parse().unwrap()));
            response.into_body().data().await.transpose()
        };
        let whole = whole.await;
        assert!(
            if content.is_empty() {
                whole.is_ok_and(|data| data.is_none_or(|data| data.is_empty()))
            } else {
                whole.is_err()
            },
            "{status}"
        );
    }
}

#[tokio::test]
async fn an_upstream_of_http2_switches_no_protocols() {
    let address = upstream2(|_, mut respond| async move {
        let switch = Response::builder().status(101).body(()).unwrap();
        respond.send_informational(switch).unwrap();
        respond.send_response(Response::new(()), true).unwrap();
    })
    .await;
    let proxy = proxy(address, EndpointScheme::H2c);
    let answer = proxy.send("GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n").await;
    assert_eq!((answer.status, &answer.json()["error"]), (502, &"upstream_protocol_error".into()));
}

#[tokio::test]
async fn who_takes_nothing_of_an_answer_is_cut_and_only_there() {
    let (address, mut ended) = upstream(ENDLESS, true).await;
    let proxy = proxy(address, EndpointScheme::Http);
    let mut requests = client(&proxy).await;
    let (response, _) = requests.send_request(request(Method::GET), true).unwrap();
    let mut body = response.await.unwrap().into_body();
    // No window is given back.
    timeout(LONG, ended.recv()).await.unwrap().unwrap();
    let error = loop {
        match body.data().await.expect("a reset") {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error.reason(), Some(Reason::CANCEL));
    assert!(proxy.metrics().contains(r#"portcullis_limits_reached_total{listener="test",limit="idle_timeout"} 1"#));
    let records = proxy.stop().await;
    assert_eq!(records[0]["error"], "the client left before the response ended");
}

#[tokio::test]
async fn an_answer_that_nobody_reads_ends_when_it_is_no_longer_allowed() {
    for alone in [true, false] {
        let (address, mut ended) = upstream(ENDLESS, true).await;
        let proxy = Setup::cleartext().route(route("a.test", address), "true").start();
        let mut kept = Vec::new();
        if alone {
            let mut stream = TcpStream::connect(proxy.address).await.unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n").await.unwrap();
            stream.read_exact(&mut [0; 12]).await.unwrap();
            kept.push((Some(stream), None));
        } else {
            let (response, _) = client(&proxy).await.send_request(request(Method::GET), true).unwrap();
            kept.push((None, Some(response.await.unwrap())));
        }
        // Long enough for all buffers on the way to be full.
        tokio::time::sleep(SHORT).await;
        proxy.replace(crate::Config {
            revision: "r2".into(),
            record_inputs: crate::RecordInputs::default(),
            authenticate: None,
            routes: Vec::new(),
            tls_routes: Vec::new(),
        });
        timeout(LONG, ended.recv()).await.unwrap().unwrap();
        drop(kept);
        let records = proxy.stop().await;
        assert!(records[0]["error"].as_str().unwrap().starts_with("closed: "), "{records:#?}");
    }
}

/// Asks for a WebSocket; what is sent with the request comes before the answer.
async fn open(proxy: &Proxy, early: &'static str) -> (Result<Response<RecvStream>, h2::Error>, SendStream<Bytes>) {
    let mut requests = client(proxy).await;
    let (plain, _) = requests.send_request(request(Method::OPTIONS), true).unwrap();
    // The answer comes after the settings, which say that extended CONNECT is understood.
    plain.await.unwrap();
    let mut connect = request(Method::CONNECT);
    connect.headers_mut().insert("sec-websocket-version", "13".parse().unwrap());
    connect.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
    let (response, mut send) = requests.ready().await.unwrap().send_request(connect, false).unwrap();
    if !early.is_empty() {
        send.send_data(early.into(), false).unwrap();
    }
    (timeout(LONG, response).await.unwrap(), send)
}

/// Starts an app that agrees to WebSockets, and tells what it is sent then.
async fn websockets() -> (SocketAddr, Ended) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            let Some((_, key)) = head.split_once("sec-websocket-key: ") else {
                stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await.unwrap();
                continue;
            };
            // What comes early has the time to be there.
            tokio::time::sleep(SHORT).await;
            let key = key.split_once("\r\n").unwrap().0.parse().unwrap();
            let accept = crate::forward::accept_of(&key);
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                 sec-websocket-accept: {accept}\r\n\r\n"
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
            let mut came = Vec::new();
            let _ = stream.read_to_end(&mut came).await;
            let _ = tell.send(String::from_utf8(came).unwrap());
        }
    });
    (address, told)
}

#[tokio::test]
async fn what_comes_before_a_tunnel_is_open_never_passes_through_it() {
    let (address, mut told) = websockets().await;
    let proxy = proxy(address, EndpointScheme::Http);
    let (answer, _send) = open(&proxy, "early").await;
    assert_eq!(answer.unwrap_err().reason(), Some(Reason::PROTOCOL_ERROR));
    assert_eq!(told.recv().await.unwrap(), "");
    let (answer, mut send) = open(&proxy, "").await;
    assert_eq!(answer.unwrap().status(), 200);
    send.send_data("in time".into(), true).unwrap();
    assert_eq!(told.recv().await.unwrap(), "in time");
    let upgrade = "GET / HTTP/1.1\r\nhost: a.test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    for (together, after) in [(format!("{upgrade}early"), ""), (upgrade.to_owned(), "early")] {
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream.write_all(together.as_bytes()).await.unwrap();
        stream.write_all(after.as_bytes()).await.unwrap();
        let mut answer = String::new();
        // A connection that is cut has ended as well.
        let _ = timeout(LONG, stream.read_to_string(&mut answer)).await.unwrap();
        assert_eq!((&*answer, &*told.recv().await.unwrap()), ("", ""));
    }
}

#[tokio::test]
async fn what_is_for_one_connection_never_passes_and_each_answer_has_a_date() {
    let (address, _ended) = upstream(
        "HTTP/1.1 200 OK\r\nconnection: close, x-hop\r\nx-hop: 1\r\nkeep-alive: 1\r\nx-end: 1\r\ncontent-length: 0\r\n\r\n",
        false,
    )
    .await;
    let proxy = proxy(address, EndpointScheme::Http);
    let (response, _) = client(&proxy).await.send_request(request(Method::GET), true).unwrap();
    let response = response.await.unwrap();
    let names = |headers: &HeaderMap| headers.keys().map(|name| name.as_str().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(response.headers()), ["x-end", "content-length", "date"]);
}
