//! Which connections are used again.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;

use http::Request;
use http_body_util::BodyExt as _;
use tokio::net::TcpStream;

use super::super::body::RequestBody;
use super::super::socket::Socket;
use super::super::stream::Stream;
use super::*;
use crate::test_support;

/// Carries one request over a connection of a new pool; then its peer sends `more`, or closes where there is none.
async fn after(more: Option<&'static [u8]>) -> Option<Box<Connection>> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (go_on, going_on) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").unwrap();
        going_on.recv().unwrap();
        let Some(more) = more else {
            drop(stream);
            tell.send(()).unwrap();
            return;
        };
        stream.write_all(more).unwrap();
        tell.send(()).unwrap();
        let _ = going_on.recv();
    });
    let pool = Arc::new(Pool::default());
    let stream = Stream::Clear(Socket::from(TcpStream::connect(address).await.unwrap()));
    let connection = pool.open(stream);
    let request = Request::get("/").header("host", "a").body(RequestBody::empty()).unwrap();
    let response = connection.send(request, &test_support::told("a")).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
    assert_eq!(pool.counts(), (1, 1), "the connection waits as soon as the response has ended");
    go_on.send(()).unwrap();
    told.recv().unwrap();
    pool.take()
}

#[tokio::test]
async fn a_connection_on_which_more_came_than_was_asked_for_is_not_used_again() {
    assert!(after(Some(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nsmuggled")).await.is_none());
    assert!(after(Some(b"")).await.is_some());
}

#[tokio::test]
async fn a_connection_that_its_peer_has_closed_is_not_used_again() {
    assert!(after(None).await.is_none());
}
