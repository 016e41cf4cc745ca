//! What comes before an answer.

use super::*;
use crate::test_support::http2;

const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\nset-cookie: a=b\r\nconnection: x\r\n\r\n";

#[tokio::test]
async fn hints_pass_to_clients_that_understand_them() {
    let answer = Box::leak(format!("{HINTS}{HINTS}{OK}").into_boxed_str());
    let (address, _told) = upstream(Box::leak(Box::new([("/", &*answer)]))).await;
    let proxy = proxy(address);
    let get = |minor: u8| format!("GET / HTTP/1.{minor}\r\nhost: a.test\r\nconnection: close\r\n\r\n");
    let mut stream = connect(&proxy).await;
    stream.write_all(get(1).as_bytes()).await.unwrap();
    let answers = read_all(&mut stream).await;
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n";
    assert!(answers.starts_with(&format!("{hints}{hints}HTTP/1.1 200 OK\r\n")), "{answers}");
    assert_eq!(proxy.send(&get(0)).await.status, 200);
    let mut sender = http2(proxy.address).await;
    let request = http::Request::get("http://a.test/").body(http_body_util::Empty::new()).unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
}

#[tokio::test]
async fn hints_pass_before_the_answer_is_there() {
    let (address, mut told) = upstream(&[("/", HINTS)]).await;
    let proxy = proxy(address);
    let mut stream = connect(&proxy).await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n").await.unwrap();
    assert!(read_head(&mut stream).await.unwrap().starts_with("HTTP/1.1 103 "));
    drop(stream);
    assert!(matches!(told.recv().await, Some(Seen::Head(_))));
    assert_eq!(timeout(LONG, told.recv()).await.unwrap(), Some(Seen::Closed));
}

#[tokio::test]
async fn a_body_that_waits_is_asked_for_or_the_connection_ends() {
    let proxy =
        Setup::cleartext().route(route("a.test", crate::test_support::echo().await), "request.path != '/no'").start();
    let post = |path: &str| {
        format!("POST {path} HTTP/1.1\r\nhost: a.test\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
    };
    let mut stream = connect(&proxy).await;
    stream.write_all(post("/").as_bytes()).await.unwrap();
    assert_eq!(read_head(&mut stream).await.unwrap(), "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"ok").await.unwrap();
    let head = read_head(&mut stream).await.unwrap();
    assert!(head.starts_with("HTTP/1.1 200") && !head.contains("connection: close"), "{head}");
    // Who is refused may send the body or not: what comes next is not known.
    let mut stream = connect(&proxy).await;
    stream.write_all(post("/no").as_bytes()).await.unwrap();
    let answer = read_all(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("connection: close\r\n"), "{answer}");
}
