//! What RFC 9110 asks of whoever stands between a client and an app.

use super::*;
use crate::test_support::echo;

#[tokio::test]
async fn a_get_may_have_content_in_chunks_or_none() {
    let proxy = proxy(echo().await);
    let get = |body: &str| {
        format!("GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n{body}")
    };
    let some = proxy.send(&get("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")).await.json();
    assert_eq!(some["body"], "hello");
    let none = proxy.send(&get("0\r\n\r\n")).await.json();
    assert!(none["body"] == "" && !none["headers"].to_string().contains("transfer-encoding"), "{none}");
}

#[tokio::test]
async fn options_may_ask_for_the_host_itself_and_say_how_far_it_goes() {
    let (address, mut told) = upstream(&[("*", OK), ("/", OK)]).await;
    let proxy = proxy(address);
    let options = |target: &str, left: &str| {
        format!("OPTIONS {target} HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\nmax-forwards: {left}\r\n\r\n")
    };
    for (target, left, passed) in [("*", "2", "1"), ("/", "1", "0")] {
        assert_eq!(proxy.send(&options(target, left)).await.status, 200);
        let Some(Seen::Head(head)) = told.recv().await else { panic!() };
        assert!(head.starts_with(&format!("OPTIONS {target} HTTP/1.1\r\n")), "{head}");
        assert!(head.contains(&format!("max-forwards: {passed}\r\n")), "{head}");
    }
    let answer = proxy.send(&options("*", "0")).await;
    assert_eq!((answer.status, answer.header("allow")), (204, crate::respond::METHODS));
    let records = proxy.stop().await;
    assert_eq!((&records[2]["decision"], &records[2]["upstream"]), (&"allow".into(), &serde_json::Value::Null));
    assert!(!std::iter::from_fn(|| told.try_recv().ok()).any(|seen| matches!(seen, Seen::Head(_))));
}

#[tokio::test]
async fn what_an_upstream_says_of_its_connection_ends_here() {
    let (address, _told) = upstream(&[(
        "/",
        "HTTP/1.1 200 OK\r\nconnection: x-hop, close\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\nproxy-connection: x\r\n\
         upgrade: h2c\r\nx-end: 1\r\ncontent-length: 0\r\n\r\n",
    )])
    .await;
    let answer = proxy(address).get("a.test", "/", "").await;
    let names: Vec<_> = answer.headers.keys().map(http::HeaderName::as_str).collect();
    assert_eq!(names, ["x-end", "content-length", "date", "connection"]);
    assert_eq!(answer.header("connection"), "close", "which is what the client asked for");
}

#[tokio::test]
async fn what_http10_expects_is_ignored() {
    let (address, mut told) = upstream(&[("/", OK)]).await;
    let proxy = proxy(address);
    let post = "POST / HTTP/1.0\r\nhost: a.test\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\nok";
    let mut stream = connect(&proxy).await;
    stream.write_all(post.as_bytes()).await.unwrap();
    assert_eq!(statuses(&read_all(&mut stream).await), ["200"]);
    let Some(Seen::Head(head)) = told.recv().await else { panic!() };
    assert!(!head.contains("expect"), "{head}");
}

#[tokio::test]
async fn a_target_that_does_not_end_is_too_long() {
    let proxy = proxy(echo().await);
    let get = |target: usize, header: usize| {
        let (target, header) = ("a".repeat(target), "b".repeat(header));
        format!("GET /{target} HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\nx: {header}\r\n\r\n")
    };
    for (request, status) in [(get(80_000, 0), 414), (get(0, 80_000), 431), (get(50_000, 0), 200)] {
        let mut stream = connect(&proxy).await;
        let (mut read, mut write) = stream.split();
        // What is too long is not read to its end.
        let sending = async { drop(write.write_all(request.as_bytes()).await) };
        let (answer, ()) = tokio::join!(read_all(&mut read), sending);
        assert_eq!(statuses(&answer), [status.to_string()], "{}", answer.get(..200).unwrap_or(&answer));
    }
}

#[tokio::test]
async fn a_websocket_is_asked_for_with_one_key() {
    let (address, mut told) = upstream(&[]).await;
    let proxy = proxy(address);
    for keys in ["", "sec-websocket-key: YQ==\r\nsec-websocket-key: Yg==\r\n"] {
        let answer = proxy.get("a.test", "/", &format!("connection: upgrade\r\nupgrade: websocket\r\n{keys}")).await;
        assert_eq!((answer.status, &answer.json()["error"]), (400, &"websocket-key-invalid".into()));
    }
    assert!(told.try_recv().is_err());
}
