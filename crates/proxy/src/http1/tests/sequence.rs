//! One request after the other on a connection.

use serde_json::json;

use super::*;
use crate::test_support::echo;

#[tokio::test]
async fn requests_that_are_sent_at_once_are_answered_in_their_order() {
    let proxy = proxy(echo().await);
    let mut stream = connect(&proxy).await;
    let requests: String = (0..200)
        .map(|number| match number % 3 {
            0 => format!("GET /{number} HTTP/1.1\r\nhost: a.test\r\n\r\n"),
            1 => format!("\r\nPOST /{number} HTTP/1.1\r\nhost: a.test\r\ncontent-length: 2\r\n\r\n\r\n"),
            _ => format!(
                "PUT /{number} HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"
            ),
        })
        .collect();
    let last = "GET /last HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n";
    let (mut read, mut write) = stream.split();
    let text = format!("{requests}{last}GET /never HTTP/1.1\r\nhost: a.test\r\n\r\n");
    let sending = async { write.write_all(text.as_bytes()).await.unwrap() };
    let (answers, ()) = tokio::join!(read_all(&mut read), sending);
    let paths: Vec<_> = answers.split("\"uri\":\"/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let expected: Vec<_> = (0..200).map(|number| number.to_string()).chain(["last".to_owned()]).collect();
    assert_eq!(paths, expected);
}

#[tokio::test]
async fn http10_keeps_a_connection_only_where_it_asks_to() {
    let (address, _told) = upstream(&[
        ("/", OK),
        ("/chunked", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
    ])
    .await;
    let proxy = proxy(address);
    let mut stream = connect(&proxy).await;
    let get = |path: &str, lines: &str| format!("GET {path} HTTP/1.0\r\nhost: a.test\r\n{lines}\r\n");
    stream.write_all(get("/", "connection: keep-alive\r\n").as_bytes()).await.unwrap();
    stream.write_all(get("/", "").as_bytes()).await.unwrap();
    let answers = read_all(&mut stream).await;
    assert_eq!(statuses(&answers), ["200", "200"]);
    assert_eq!(
        (answers.matches("connection: keep-alive").count(), answers.matches("connection: close").count()),
        (1, 1)
    );
    // Chunks are not for HTTP/1.0: the end of the connection ends the answer.
    let answer = proxy.send(&get("/chunked", "connection: keep-alive\r\n")).await;
    assert_eq!((answer.status, &*answer.body, answer.header("transfer-encoding")), (200, "ok", ""));
}

#[tokio::test]
async fn an_answer_without_a_body_is_followed_by_the_next() {
    let (address, _told) = upstream(&[
        ("/head", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"),
        ("/204", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("/304", "HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\netag: \"a\"\r\n\r\n"),
        ("/odd", "HTTP/1.1 299 Rather Odd\r\ncontent-length: 0\r\n\r\n"),
        ("/", OK),
    ])
    .await;
    let proxy = proxy(address);
    let mut stream = connect(&proxy).await;
    for (method, path) in [("HEAD", "/head"), ("GET", "/204"), ("GET", "/304"), ("GET", "/odd"), ("GET", "/")] {
        let last = if path == "/" { "connection: close\r\n" } else { "" };
        stream.write_all(format!("{method} {path} HTTP/1.1\r\nhost: a.test\r\n{last}\r\n").as_bytes()).await.unwrap();
    }
    let answers = read_all(&mut stream).await;
    assert_eq!(statuses(&answers), ["200", "204", "304", "299", "200"]);
    let answers: Vec<_> = answers.split("HTTP/1.1 ").skip(1).collect();
    assert!(answers[0].contains("content-length: 5\r\n") && answers[0].ends_with("\r\n\r\n"), "{}", answers[0]);
    assert!(!answers[1].contains("content-length") && !answers[1].contains("transfer-encoding"), "{}", answers[1]);
    assert!(answers[2].contains("content-length: 7\r\n") && answers[2].ends_with("\r\n\r\n"), "{}", answers[2]);
    assert!(answers[3].starts_with("299 Rather Odd\r\n"), "{}", answers[3]);
    assert!(answers.iter().all(|answer| answer.matches("date: ").count() == 1), "{answers:?}");
}

#[tokio::test]
async fn trailers_pass_to_a_client_that_reads_them_announced_or_not() {
    let (address, mut told) = upstream(&[(
        "/",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum, content-length\r\n\r\n\
         2\r\nok\r\n0\r\nx-sum: 1\r\nx-other: 2\r\ncontent-length: 3\r\n\r\n",
    )])
    .await;
    let proxy = proxy(address);
    let get = |lines: &str| format!("GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close{lines}\r\n\r\n");
    let with = proxy.send(&get(", te\r\nte: trailers")).await;
    assert_eq!(with.body, "2\r\nok\r\n0\r\nx-sum: 1\r\nx-other: 2\r\n\r\n");
    assert_eq!(proxy.send(&get("")).await.body, "2\r\nok\r\n0\r\n\r\n");
    // RFC 9110 §10.1.4: the upstream is asked for them, where the client asks for them.
    for asked in [true, false] {
        let Some(Seen::Head(head)) = told.recv().await else { panic!() };
        assert_eq!(head.contains("\r\nte: trailers\r\nconnection: te\r\n"), asked, "{head}");
        assert_eq!(head.contains("connection"), asked, "{head}");
    }
}

#[tokio::test]
async fn trailers_of_a_request_pass_announced_or_not() {
    let (address, mut told) = upstream(&[("/", OK)]).await;
    let proxy = proxy(address);
    let post = "POST / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n\
                2\r\nok\r\n0\r\nx-sum: 1\r\nx-other: 2\r\nhost: b.test\r\n\r\n";
    proxy.send(post).await;
    let Some(Seen::Head(_)) = told.recv().await else { panic!() };
    assert_eq!(told.recv().await, Some(Seen::Head("2\r\nok\r\n0\r\nx-sum: 1\r\nx-other: 2\r\n\r\n".into())));
}

#[tokio::test]
async fn a_small_body_that_nobody_wants_is_read_and_a_large_one_ends_the_connection() {
    let proxy = Setup::cleartext().route(route("a.test", echo().await), "request.method == 'GET'").start();
    let get = "GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n";
    let post = |length: usize| format!("POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: {length}\r\n\r\n");
    let mut stream = connect(&proxy).await;
    stream.write_all(post(60_000).as_bytes()).await.unwrap();
    assert!(read_head(&mut stream).await.unwrap().starts_with("HTTP/1.1 403"));
    stream.write_all(&[b'a'; 60_000]).await.unwrap();
    stream.write_all(get.as_bytes()).await.unwrap();
    assert!(statuses(&read_all(&mut stream).await).contains(&"200"));
    // The answer is read although the client goes on sending for a while.
    let mut stream = connect(&proxy).await;
    stream.write_all(post(10_000_000).as_bytes()).await.unwrap();
    let (mut read, mut write) = stream.split();
    let sending = async { while write.write_all(&[b'a'; 10_000]).await.is_ok() && write.flush().await.is_ok() {} };
    let answer = tokio::select! {
        answer = read_all(&mut read) => answer,
        () = sending => panic!("cut before the answer was read"),
    };
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("connection: close\r\n"), "{answer}");
    assert_eq!(proxy.stop().await.iter().filter(|record| record["status"] == json!(403)).count(), 2);
}

#[tokio::test]
async fn a_connection_ends_after_the_request_under_way_when_the_proxy_stops() {
    let (address, mut told) = upstream(&[("/first", OK)]).await;
    let mut proxy = proxy(address);
    let mut idle = connect(&proxy).await;
    idle.write_all(b"GET /first HTTP/1.1\r\nhost: a.test\r\n\r\n").await.unwrap();
    assert!(!read_head(&mut idle).await.unwrap().contains("connection: close"));
    idle.read_exact(&mut [0; 2]).await.unwrap();
    assert!(matches!(told.recv().await, Some(Seen::Head(_))));
    let (slow, waiting) = tokio::sync::oneshot::channel::<()>();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let late = Setup::cleartext().route(route("a.test", listener.local_addr().unwrap()), "true");
    let mut second = late.start();
    let mut busy = connect(&second).await;
    busy.write_all(b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\nGET / HTTP/1.1\r\nhost: a.test\r\n\r\n").await.unwrap();
    let (mut app, _) = listener.accept().await.unwrap();
    read_head(&mut app).await.unwrap();
    tokio::spawn(async move {
        waiting.await.unwrap();
        app.write_all(OK.as_bytes()).await.unwrap();
    });
    proxy.begin_to_stop();
    assert_eq!(read_all(&mut idle).await, "");
    second.begin_to_stop();
    // The connection knows once nobody is accepted any more.
    while TcpStream::connect(second.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    slow.send(()).unwrap();
    let answers = read_all(&mut busy).await;
    assert_eq!(statuses(&answers), ["200"]);
    assert!(answers.contains("connection: close\r\n"), "{answers}");
    second.stopped().await;
}
